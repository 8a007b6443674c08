//! The command line as it is typed, and its help.

#![expect(clippy::doc_markdown, reason = "these doc comments are the help texts that people read")]

use crate::time::parse_time;
use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use forgeone_db::{EventPriority, TopicPattern};
use std::path::PathBuf;
use uuid::Uuid;

/// Exit codes shared by all commands that open a store, in the form `--help` shows.
macro_rules! exits {
    ($($line:literal),* $(,)?) => {
        concat!("Exit codes:\n   0  done\n   1  failure, told on standard error\n   2  wrong usage\n", $($line, "\n"),*)
    };
}

macro_rules! open_exits {
    ($($line:literal),* $(,)?) => {
        exits!(
            "   3  no store in the directory",
            $($line,)*
            "   4  wrong or missing key",
            "   5  the store is damaged",
            "  10  written by a newer release",
            "  11  the system denies access",
        )
    };
}

macro_rules! write_exits {
    ($($line:literal),* $(,)?) => {
        open_exits!(
            $($line,)*
            "   6  another process writes to the store",
            "   7  the disk or the store's limit is full",
            "   9  the outcome is unknown: do it again with the same ids",
        )
    };
}

/// An encrypted, verifiable store for events, in one directory.
///
/// The directory is --dir, else the variable `FORGEONE_DB_DIR`, else ./data/redb. The key comes from
/// --key-file, else from the file that `FORGEONE_DB_KEY_FILE` names, else it is the passphrase in
/// `FORGEONE_DB_KEY`, else it is asked for on a terminal. It is never an argument.
///
/// Data goes to standard output, everything else to standard error.
#[derive(Debug, Parser)]
#[command(
    name = "forgeone-db",
    version,
    max_term_width = 100,
    after_long_help = exits!(
        "   3  not found",
        "   4  wrong or missing key",
        "   5  the store is damaged",
        "   6  another process writes to the store",
        "   7  the disk or the store's limit is full",
        "   8  conflict",
        "   9  the outcome is unknown: do it again with the same ids",
        "  10  written by a newer release",
        "  11  the system denies access",
        "\nStart with:",
        "  forgeone-db tour                try everything on the files or the git history at hand",
        "  forgeone-db init --generate-key ./store.key",
    )
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
    /// How long to wait for another writer [default: 0 for append, else 10]
    #[arg(long, global = true, value_name = "SECONDS")]
    pub(crate) wait: Option<u64>,
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
    #[command(after_long_help = exits!(
        "   4  the key file is none, or the store half made here has another key",
        "   6  another process holds the directory",
        "   7  the disk is full",
        "   8  there is a store already, or something else lies in the way",
        "   9  the outcome is unknown: do it again",
        "  11  the system denies access",
        "\nExamples:",
        "  forgeone-db init --generate-key ~/events.key",
        "  forgeone-db --dir /srv/events init --shards 8 --max-size-gb 50",
    ))]
    Init(InitArgs),
    /// Try the whole store on real input, with a report
    ///
    /// Makes a new encrypted store in a directory of its own, ./forgeone-db-tour-DATE, or in --dir,
    /// with a key file beside it; stores every line of the files named as an event, one topic a
    /// file; finds events by id, topic and time; follows the store from a second thread while it is
    /// written to; opens it again and checks that everything is there, unchanged.
    ///
    /// For a directory, takes the regular files in it. Without a PATH, takes the git history of the
    /// current directory, one event a commit; where there is none, the files under the current
    /// directory, hidden ones and build results left out, up to 256 MiB.
    #[command(after_long_help = exits!(
        "   3  a PATH is not there",
        "   4  the key file given is none",
        "   5  what was read back is not what was stored",
        "   7  the disk is full",
        "   8  the directory is taken",
        "  11  the system denies access",
        "\nExamples:",
        "  forgeone-db tour /var/log",
        "  forgeone-db tour            (in a git repository)",
    ))]
    Tour(TourArgs),
    /// Store events and find them again
    #[command(subcommand, after_long_help = EXITS_GROUP)]
    Events(EventsCommand),
    /// List topics and describe one
    #[command(subcommand, after_long_help = EXITS_GROUP)]
    Topics(TopicsCommand),
    /// List, add and remove the keys that open the store
    #[command(subcommand, after_long_help = EXITS_GROUP)]
    Key(KeyCommand),
    /// Print sizes, counts and ratios, for each database and topic
    ///
    /// Works beside a writer. With --json: a line {"store": ...} and a line {"topic": ...} for each
    /// topic.
    #[command(after_long_help = open_exits!(
        "\nExamples:",
        "  forgeone-db stats",
        "  forgeone-db --json stats\n",
    ))]
    Stats,
    /// Print the completions of a shell
    #[command(after_long_help = exits!(
        "\nExamples:",
        "  forgeone-db completions bash > ~/.local/share/bash-completion/completions/forgeone-db",
        "  forgeone-db completions zsh > ~/.zfunc/_forgeone-db",
        "  forgeone-db completions fish > ~/.config/fish/completions/forgeone-db.fish",
    ))]
    Completions {
        /// bash, elvish, fish, powershell or zsh
        shell: Shell,
    },
}

const EXITS_GROUP: &str =
    exits!("  more are told by the --help of each command, for example 3 for what is not there");

#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// Files that share the events, 1 to 1024; more of them take more writers at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) shards: u32,
    /// Bytes the store may occupy, in units of 2^30 [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub(crate) max_size_gb: Option<u64>,
    /// Do not encrypt; every piece still carries a checksum that is verified on read
    #[arg(long, conflicts_with = "generate_key")]
    pub(crate) no_encryption: bool,
    /// Make a random key in a new FILE (mode 0600) and use it
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    pub(crate) generate_key: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TourArgs {
    /// Files, or directories whose regular files are taken
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// Store events from a file or from standard input
    ///
    /// Input is NDJSON, one record a line: {"payload": "..."} and, if wanted, "id", "topic",
    /// "timestamp", "priority" (low, normal, high, critical), "metadata" (strings by name) and
    /// "checkpoint_marker". A record without an id gets a new one, one without a timestamp the time
    /// of its arrival. --topic is the topic of every record: a record that names one itself must
    /// name the same. Without --topic every record names its own. Empty lines are skipped, unknown
    /// fields ignored, so that what `events query --json` printed can be stored elsewhere.
    ///
    /// With --text every line is the payload of an event, as it is without its line feed; a
    /// carriage return before that stays.
    ///
    /// Input is read as it comes, so a pipe can stay open for days: what has arrived is committed
    /// within 50 ms or 8,000 records, and each commit is acknowledged on standard output once it is
    /// durable. With --json: {"topic", "first_seq", "last_seq", "count"}, and "duplicates" where
    /// records were there before, with the same id and content; count does not include those.
    ///
    /// A line that is no record ends the command: the commit it would have been part of is not
    /// stored, earlier ones are, and which line they reach is told. Interrupted (Ctrl-C, or a
    /// termination signal), stores what has arrived and ends: with 0 when it read standard input,
    /// with 1 before the end of a FILE. If nobody reads the acknowledgements any more, goes on
    /// without them.
    #[command(after_long_help = write_exits!(
        "   8  an id is taken by other content; that commit is not stored",
        "\nExamples:",
        "  echo '{\"payload\": \"hello\", \"priority\": \"high\"}' | forgeone-db events append --topic demo",
        "  journalctl -f | forgeone-db events append --topic host.journal --text",
        "  forgeone-db events append --topic orders.eu orders.ndjson\n",
    ))]
    Append(AppendArgs),
    /// Print the events with an id
    ///
    /// An id is unique within its topic, so there can be several; they are ordered by topic.
    #[command(after_long_help = open_exits!(
        "      or no event with this id",
        "\nExample:",
        "  forgeone-db events get 67e55044-10b1-426f-9247-bb680e5fe0c8\n",
    ))]
    Get {
        /// The id, a UUID
        id: Uuid,
    },
    /// Search by topic and time
    ///
    /// Prints everything that matches, ordered by time, topic and number: time, number, topic,
    /// priority, id, payload, with control characters escaped. With --json all fields, as
    /// `events append` reads them, and "seq". No match is no error.
    #[command(after_long_help = open_exits!(
        "\nPATTERN: dots divide a topic's name; * is one part, > one or more at the end.",
        "TIME: 2026-03-01T12:00:00Z, 2026-03-01 (its midnight, UTC), or back from now: 15m, 1h30m, 2d.",
        "\nExamples:",
        "  forgeone-db events query --topic 'orders.>' --from 2d --priority high",
        "  forgeone-db events query --topic orders.eu --reverse --limit 20",
        "  forgeone-db --json events query --from 2026-03-01 --to 2026-03-02 | jq .payload\n",
    ))]
    Query(QueryArgs),
    /// Print events in the order they were stored, and follow what comes
    ///
    /// Starts with the oldest event, or behind --after, or with the newest one that carries
    /// --marker. Works beside a writer. With --follow waits for more until it is interrupted, which
    /// is a success.
    #[command(after_long_help = open_exits!(
        "      or no event with this marker",
        "\nExamples:",
        "  forgeone-db events tail --topic 'orders.>' --follow",
        "  forgeone-db --json events tail --topic orders.eu --after 1200",
        "  forgeone-db events tail --topic deploys --marker release-42\n",
    ))]
    Tail(TailArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AppendArgs {
    /// The topic of every record
    #[arg(long, value_name = "T", required_if_eq("text", "true"))]
    pub(crate) topic: Option<String>,
    /// Take every line as the payload of an event
    #[arg(long)]
    pub(crate) text: bool,
    /// The input; - or nothing for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct QueryArgs {
    /// The topics [default: all]
    #[arg(long, value_name = "PATTERN")]
    pub(crate) topic: Option<TopicPattern>,
    /// Only events at this time or later
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) from: Option<DateTime<Utc>>,
    /// Only events before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) to: Option<DateTime<Utc>>,
    /// Only events with a number above this in their topic
    #[arg(long, value_name = "SEQ")]
    pub(crate) after: Option<u64>,
    /// Only this priority and higher: low, normal, high or critical
    #[arg(long, value_name = "P")]
    pub(crate) priority: Option<EventPriority>,
    /// No more than this many [default: no limit]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Newest first
    #[arg(long)]
    pub(crate) reverse: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TailArgs {
    /// The topics
    #[arg(long, value_name = "PATTERN")]
    pub(crate) topic: TopicPattern,
    /// Start behind this number, in every topic
    #[arg(long, value_name = "SEQ", conflicts_with = "marker")]
    pub(crate) after: Option<u64>,
    /// Start with the newest event that carries this marker
    #[arg(long, value_name = "M")]
    pub(crate) marker: Option<String>,
    /// Wait for more
    #[arg(long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsCommand {
    /// List the topics: events, first and last number, time of the newest, name
    #[command(after_long_help = open_exits!(
        "\nExamples:",
        "  forgeone-db topics list",
        "  forgeone-db --json topics list\n",
    ))]
    List,
    /// Describe one topic
    #[command(after_long_help = open_exits!(
        "      or no such topic",
        "\nExample:",
        "  forgeone-db topics describe orders.eu\n",
    ))]
    Describe {
        /// The topic's name
        #[arg(value_name = "T")]
        topic: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// List the keys that open the store; their secrets are not known to it
    #[command(after_long_help = open_exits!(
        "\nExample:",
        "  forgeone-db key list\n",
    ))]
    List,
    /// Add a key, beside those that open the store already
    ///
    /// A store has up to 8. Without --new-key-file or --generate-key, asks for a new passphrase
    /// twice.
    #[command(after_long_help = write_exits!(
        "   8  all 8 keys are in use, or the file to generate exists",
        "\nExamples:",
        "  forgeone-db key add --label laptop",
        "  forgeone-db key add --generate-key ./backup.key --label backup\n",
    ))]
    Add {
        /// Take the new key from this file
        #[arg(long, value_name = "FILE", conflicts_with = "generate_key")]
        new_key_file: Option<PathBuf>,
        /// Make a random key in a new FILE (mode 0600)
        #[arg(long, value_name = "FILE")]
        generate_key: Option<PathBuf>,
        /// What to call it, up to 64 bytes
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
    },
    /// Remove a key: it opens the store no longer
    ///
    /// Whoever has that key and an older copy of the store can still read the copy.
    #[command(after_long_help = write_exits!(
        "      or no such key",
        "   8  it is the last key",
        "\nExample:",
        "  forgeone-db key remove 1\n",
    ))]
    Remove {
        /// The number that `key list` shows
        slot: u8,
    },
}
