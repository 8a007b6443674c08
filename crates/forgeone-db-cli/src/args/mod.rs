//! The command line as it is typed, and its help: one file for each group of commands.

#![expect(clippy::doc_markdown, reason = "these doc comments are the help texts that people read")]

#[macro_use]
mod exits;
mod events;
mod keys;
mod logs;
mod state;
mod store;
mod topics;
mod transfer;

pub(crate) use events::{AppendArgs, EventsCommand, QueryArgs, TailArgs};
pub(crate) use keys::{KeyCommand, RotateArgs};
pub(crate) use logs::{AppendFormat, LogsAppendArgs, LogsCommand, LogsQueryArgs, LogsTailArgs};
pub(crate) use state::{
    FlagsCommand, FlagsSetArgs, MetadataCommand, SettingsCommand, SettingsListArgs, SettingsSetArgs,
};
pub(crate) use store::{
    InitArgs, ManArgs, QuotaArgs, RepairArgs, SalvageArgs, ScrubArgs, TourArgs, VerifyArgs,
};
pub(crate) use topics::{ShredArgs, TopicsCommand};
pub(crate) use transfer::{ExportArgs, ExportKind, ImportArgs, OnConflict};

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use exits::EXITS_GROUP;
use std::path::PathBuf;

/// An encrypted, verifiable store for events, logs and system state, in one directory.
///
/// The directory is --dir, else the variable `FORGEONE_DB_DIR`, else ./data/redb. The key comes from
/// --key-file, else from the file that `FORGEONE_DB_KEY_FILE` names, else it is the passphrase in
/// `FORGEONE_DB_KEY`, else it is asked for on a terminal. It is never an argument. What a store may take
/// of memory is --memory-max, else the variable `FORGEONE_DB_MEMORY_MAX`, else 512MiB.
///
/// Data goes to standard output, everything else to standard error.
#[derive(Debug, Parser)]
#[command(
    name = "forgeone-db",
    version,
    max_term_width = 100,
    after_long_help = exits!("   3  not found",
"   4  wrong or missing key",
"   5  the store is damaged",
"   6  another process writes to the store",
"   7  the disk or the store's limit is full",
"   8  conflict",
"   9  the outcome is unknown: do it again with the same ids",
"  10  written by a newer release",
"  11  access is denied, or --strict refuses the key file";
"\nStart with:",
"  forgeone-db tour                try everything on the files or the git history at hand",
"  forgeone-db init --generate-key ./store.key")
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// The store's directory
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// The file that holds the key
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Print NDJSON: one JSON value a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Refuse a key file that others can read; for doctor, take warnings for failures
    #[arg(long, global = true)]
    pub(crate) strict: bool,
    /// How long to wait for another writer [default: 0 for append, else 10]
    #[arg(long, global = true, value_name = "SECONDS")]
    pub(crate) wait: Option<u64>,
    /// Memory that an open store may take, such as 64MiB or 1GiB [default: 512MiB; at least 48MiB]
    #[arg(long, global = true, value_name = "SIZE", value_parser = size)]
    pub(crate) memory_max: Option<u64>,
}

/// Bytes, from a number with or without a unit.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let end = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => return Err("a size is a number and B, KiB, MiB or GiB, such as 64MiB".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "a size begins with a number".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "the size is too large".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a store
    ///
    /// Without a key from --key-file, --generate-key or the environment, asks for a new passphrase
    /// twice, if there is a terminal. A creation that was interrupted is taken up again when the
    /// command is repeated with the same key; after --generate-key that is --key-file.
    ///
    /// Keep the key: a lost key is lost data. `forgeone-db key add` makes a second one.
    #[command(after_long_help = exits!("   4  the key file is none, or the store half made here has another key",
"   6  another process holds the directory",
"   7  the disk is full",
"   8  there is a store already, or something else lies in the way",
"   9  the outcome is unknown: do it again",
"  11  access is denied, or --strict refuses the key file";
"\nExamples:",
"  forgeone-db init --generate-key ~/events.key",
"  forgeone-db --dir /srv/events init --shards 8 --max-size-gb 50"))]
    Init(InitArgs),
    /// Try the whole store on real input, with a report
    ///
    /// Makes a new encrypted store in a directory of its own, ./forgeone-db-tour-DATE, or in --dir,
    /// with a key file beside it; stores the files named, one topic a file; finds records by id,
    /// topic, time and text; follows the store from a second thread while it is written to; opens it
    /// again and checks that everything is there, unchanged, and that log files come back byte for
    /// byte.
    ///
    /// Log files are stored as logs: those whose name ends in .log, and those whose lines mostly say
    /// when they were written. Every line of another file is an event, JSON lines too.
    ///
    /// For a directory, takes the regular files in it. Without a PATH, takes the git history of the
    /// current directory, one event a commit; where there is none, the files under the current
    /// directory, hidden ones and build results left out, up to 256 MiB.
    #[command(after_long_help = exits!("   3  a PATH is not there",
"   4  the key file given is none",
"   5  what was read back is not what was stored",
"   7  the disk is full",
"   8  the directory is taken",
"  11  access is denied, or --strict refuses the key file";
"\nExamples:",
"  forgeone-db tour /var/log",
"  forgeone-db tour            (in a git repository)"))]
    Tour(TourArgs),
    /// Store events and find them again
    #[command(subcommand, after_long_help = EXITS_GROUP)]
    Events(EventsCommand),
    /// Store log lines, find them by what they say, and get them back byte for byte
    #[command(subcommand, after_long_help = EXITS_GROUP)]
    Logs(LogsCommand),
    /// List the topics of events and logs, describe one, and destroy what one holds
    #[command(subcommand, after_long_help = EXITS_GROUP)]
    Topics(TopicsCommand),
    /// Keep settings: JSON values by key, with versions and history
    #[command(subcommand, after_long_help = EXITS_GROUP)]
    Settings(SettingsCommand),
    /// Turn features on and off, for everybody or for some
    #[command(subcommand, after_long_help = EXITS_GROUP)]
    Flags(FlagsCommand),
    /// Keep short texts about the store
    #[command(subcommand, after_long_help = EXITS_GROUP)]
    Metadata(MetadataCommand),
    /// List, add, remove and replace the keys that open the store, and those inside it
    #[command(subcommand, after_long_help = EXITS_GROUP)]
    Key(KeyCommand),
    /// Write what the store has as lines of JSON, for other programs or another store
    ///
    /// THE EXPORT IS NOT ENCRYPTED: whoever can read it can read what was exported.
    ///
    /// The first line says what it is; then there is one line for each topic, event, log entry,
    /// setting (feature flags are settings) and text about the store, as the other commands print
    /// them with --json, and "kind"; the last line has counts and a BLAKE3 hash of all lines before
    /// it, so that `import` notices what is missing or changed. The hash is no signature: who changes
    /// an export on purpose can hash it again. Of a setting there is the present value; its history
    /// and blobs are not exported.
    ///
    /// Works beside a writer: each topic is exported up to where it was when the export began,
    /// settings and texts as they are when their turn comes. Memory is bounded.
    ///
    /// A FILE is written under a temporary name, synced and renamed: it is there whole or not at
    /// all, with mode 0600. Prints counts and hash then; with --json as {"file", "counts",
    /// "blake3"}.
    #[command(after_long_help = exits!("   3  no store in the directory",
"      or no directory for FILE",
"   4  wrong or missing key",
"   5  the store is damaged",
"   7  the disk is full",
"   8  FILE exists, and --force is not given",
"  10  written by a newer release",
"  11  access is denied, or --strict refuses the key file";
"Examples:",
"  forgeone-db export store.ndjson",
"  forgeone-db export | zstd > store.ndjson.zst",
"  forgeone-db export --topic 'orders.>' --kind events | jq -r 'select(.kind == \"event\").payload'"))]
    Export(ExportArgs),
    /// Store what `export` wrote, into this store or another
    ///
    /// May be repeated, also after it was interrupted or killed: records keep their ids, and what
    /// is there already is counted and not stored again. The order within each topic is kept. A
    /// setting or text that differs is set to what the export says; one that does not is left alone,
    /// so that a repetition makes no version.
    ///
    /// A FILE, also on standard input, is checked as a whole first, and nothing of a broken one is
    /// stored. A pipe is stored while it is checked: all records before a broken line. What is wrong
    /// is told with the number of the line. Lines have up to 130 MiB.
    ///
    /// Prints for each kind how many were imported and were there before; with --json as one value.
    #[command(after_long_help = write_exits!("      or no such FILE";
"   8  an id is taken by other content; nothing behind that line is stored";
"1 is also for an export that is none, is cut off or was changed.",
"\nExamples:",
"  forgeone-db import --check store.ndjson        (needs no store)",
"  forgeone-db import --dry-run store.ndjson",
"  forgeone-db --dir other import store.ndjson",
"  zstd -dc store.ndjson.zst | forgeone-db import --topic 'orders.>'"))]
    Import(ImportArgs),
    /// Verify that the store is what was written
    ///
    /// Reads without changing anything, beside a writer or without one. Prints a line for each place
    /// that is damaged, missing or contradicts another, and what to do about it; with --json the
    /// whole report as one value.
    ///
    /// Without an option, authenticates every stored unit and index page, and compares the indexes
    /// with the records. No verification can notice that the whole directory was replaced by an
    /// older copy of itself.
    #[command(after_long_help = exits!(
        "   3  no store in the directory",
        "   4  wrong or missing key",
        "   5  something is damaged; standard output names the places",
        "  10  written by a newer release",
        "  11  access is denied, or --strict refuses the key file";
        "Examples:",
        "  forgeone-db verify",
        "  forgeone-db verify --deep && echo sound",
    ))]
    Verify(VerifyArgs),
    /// Verify over and over in the background, within a rate
    ///
    /// Goes through the whole store as `verify` does, reading no more than so many bytes a second,
    /// pauses, and begins again, until it is interrupted. Works beside a writer, and changes nothing.
    /// Prints what each round has found; with --json each round's report as one value.
    ///
    /// It does not check the engine's own pages, and does not read a store that does not open:
    /// `verify` does both.
    #[command(after_long_help = exits!(
        "   3  no store in the directory",
        "   4  wrong or missing key",
        "   5  the last round found something that is damaged; standard output names the places",
        "  10  written by a newer release",
        "  11  access is denied, or --strict refuses the key file";
        "Examples:",
        "  forgeone-db scrub",
        "  forgeone-db scrub --once --rate 50MB",
    ))]
    Scrub(ScrubArgs),
    /// Show what of the damage can be mended, and mend it with --yes
    ///
    /// Verifies the store, and prints what a repair would do: indexes, which follow from records
    /// that are there, are built anew. What it cannot mend is named. Without --yes nothing is
    /// changed, and the store is read beside a writer or without one.
    ///
    /// With --yes each damaged index is written anew beside the old one, read back, and put in its
    /// place in one step; records are never touched. A crash at any moment loses nothing: run it
    /// again. No other process may write meanwhile.
    ///
    /// While the engine's own pages are damaged in any database nothing is mended, with --yes either:
    /// a write may lose more, and `salvage` saves what is there. A store with nothing to mend is not
    /// opened for writing.
    #[command(after_long_help = write_exits!(;
"   8  conflict";
"5 is also for damage that is only shown, or that no repair mends.",
"\nExamples:",
"  forgeone-db repair",
"  forgeone-db repair --yes"))]
    Repair(RepairArgs),
    /// Save what is left of a damaged store into a new one
    ///
    /// Reads the store past whatever is damaged, without changing it, also one that does not open
    /// any more; only its keyring must open. Everything that is authentic goes into a new store in
    /// OUT, under the same key: events and logs with their ids and times, settings with their
    /// history, flags, metadata, the quota. Numbers stay up to the first record of a topic that is
    /// lost or was shredded, and move up behind it. Without `system` the ids of log entries change,
    /// and settings are lost.
    ///
    /// Prints what is lost and what moved, and writes it with the old and new numbers of what was
    /// saved to OUT.salvage.json, whose BLAKE3 hash the new store keeps in its metadata: under
    /// `salvage`, or `salvage.2` and so on where that name is taken.
    ///
    /// No other process may write to the damaged store meanwhile. OUT must lie outside of it, and
    /// becomes a store when everything is written. If it is interrupted, start it again: it begins
    /// anew.
    #[command(after_long_help = write_exits!(;
"   8  OUT or the file of the manifest is taken";
"5 is also for a salvage that is done, and could not save everything.",
"\nExamples:",
"  forgeone-db --dir broken salvage saved",
"  forgeone-db --dir broken --json salvage saved | jq '.topics[] | select(.lost != [])'"))]
    Salvage(SalvageArgs),
    /// Print sizes, counts and ratios, for each database and topic
    ///
    /// Works beside a writer. With --json: a line {"store": ...} and a line {"topic": ...} for each
    /// topic.
    #[command(after_long_help = open_exits!(;
"\nExamples:",
"  forgeone-db stats",
"  forgeone-db --json stats"))]
    Stats,
    /// Give the store's free space back to the disk
    ///
    /// Files grow as they are written to and keep the space that sealing and removing free in them,
    /// for what is written later. This seals what is not sealed yet and makes every file as small as
    /// it can be. No record changes, and a crash at any moment loses nothing.
    ///
    /// Works beside readers; no other process may write meanwhile. Readers of a database wait while
    /// it is compacted, which takes about as long as copying it. Prints what each database occupied
    /// before and after; with --json the whole report as one value.
    #[command(after_long_help = write_exits!(;
"   8  conflict";
"Examples:",
"  forgeone-db compact",
"  forgeone-db --wait 60 compact"))]
    Compact,
    /// Check the place of a store and what is around it, without changing a store
    ///
    /// For a store that is there, and before one is made: the file system and its free space;
    /// whether syncs, renames and locks work, tried on a temporary file in the directory or the
    /// nearest one above it that exists; permissions; what the system allows a process; memory and
    /// clock; the key file; whether the key opens the store, whether a process writes to it, whether
    /// it was closed cleanly, and its limit. Nobody is asked for a passphrase: without a key, what
    /// needs one is left out. A store that a crash left is not recovered.
    ///
    /// Prints a line for each check: ok, info, warn or FAIL, what was found, and behind a semicolon
    /// what to do. With --json: {"check", "status", "detail", "remedy"}, with ok, info, warn or fail
    /// as the status. A warning is a risk: the store works. It does not change the exit code, unless
    /// --strict is given.
    #[command(after_long_help = exits!(;
"1 is also for a check that failed, and with --strict for one that warned.",
"\nExamples:",
"  forgeone-db --dir /srv/events doctor                 (before init)",
"  forgeone-db --key-file ~/events.key --strict doctor || alert",
"  forgeone-db --json doctor | jq 'select(.status != \"ok\")'"))]
    Doctor,
    /// Show what the store may occupy, or change it
    ///
    /// Without N prints the limit, what the store occupies and what the disk can still give, beside
    /// a writer or without one. With N records a new limit, which holds from then on in place of
    /// that of init; no other process may write to the store meanwhile. A store that has reached its
    /// limit can be given a larger one.
    ///
    /// A limit below what is occupied removes nothing: until it is raised again, writes fail with 7,
    /// and reading goes on.
    #[command(after_long_help = write_exits!(;
"   8  conflict";
"Examples:",
"  forgeone-db quota",
"  forgeone-db quota 50",
"  forgeone-db quota 0         (no limit)"))]
    Quota(QuotaArgs),
    /// Print the manual page, or write the pages of all commands to a directory
    ///
    /// Without DIR prints the page of forgeone-db itself. With DIR writes one page a command,
    /// forgeone-db.1, forgeone-db-events-append.1 and so on, makes the directory if there is none,
    /// and prints the name of each file; with --json as {"file": ...}.
    ///
    /// Pages that this command wrote before are replaced. If another file has the name of a page,
    /// nothing is written.
    #[command(after_long_help = exits!(
"   7  the disk is full",
"   8  a file that is no page of forgeone-db has the name of one",
"  11  the system denies access";
"Examples:",
"  forgeone-db man | man -l -",
"  forgeone-db man ~/.local/share/man/man1"))]
    Man(ManArgs),
    /// Print the completions of a shell
    #[command(after_long_help = exits!(;
"\nExamples:",
"  forgeone-db completions bash > ~/.local/share/bash-completion/completions/forgeone-db",
"  forgeone-db completions zsh > ~/.zfunc/_forgeone-db",
"  forgeone-db completions fish > ~/.config/fish/completions/forgeone-db.fish"))]
    Completions {
        /// bash, elvish, fish, powershell or zsh
        shell: Shell,
    },
}
