//! Arguments of `settings`, `flags` and `metadata`.

use clap::{Args, Subcommand};
use forgeone_db::FlagVariant;

#[derive(Debug, Subcommand)]
pub(crate) enum SettingsCommand {
    /// Print the value of a setting, as JSON on one line
    ///
    /// With --json the whole setting: {"key", "value", "version", "updated_at"}.
    #[command(after_long_help = open_exits!("      or no such setting";
"\nExamples:",
"  forgeone-db settings get mail/retries",
"  forgeone-db --json settings get mail/retries | jq .version"))]
    Get {
        /// The setting's key, 1 to 255 bytes
        key: String,
    },
    /// Set a setting, durably, and print its new version
    ///
    /// A setting has one JSON value, of up to 1 MiB. Text is JSON in double quotes, so a shell wants
    /// both kinds: '"text"'. Versions of a setting are 1, 2, 3 ...; setting the present value again
    /// makes a version, too.
    ///
    /// A value of another JSON type than the present one is refused with 2, because it is a mistake
    /// more often than not, unless --retype is given.
    ///
    /// With --json: {"key", "version", "updated_at", "revision"}.
    #[command(after_long_help = write_exits!(;
"   8  --if-version is not the present version, which the message names";
"\nExamples:",
"  forgeone-db settings set mail/retries 3",
"  forgeone-db settings set mail/from '\"ops@example.org\"'",
"  forgeone-db settings set mail/retries 5 --if-version 1",
"  forgeone-db settings set mail/retries 3 --if-version 0       (only if there is none)",
"  forgeone-db settings set mail/rules - < rules.json"))]
    Set(SettingsSetArgs),
    /// List settings by key: when and as which version each was set, key, value
    ///
    /// With --json as `settings get`, one setting a line. For pages, give --limit, and the last key
    /// of a page as --after of the next.
    #[command(after_long_help = open_exits!(;
"\nExamples:",
"  forgeone-db settings list",
"  forgeone-db settings list mail/",
"  forgeone-db settings list mail/ --after mail/retries --limit 100"))]
    List(SettingsListArgs),
    /// Remove a setting, durably
    ///
    /// The removal takes a version; if the setting is set again, versions go on behind it.
    #[command(after_long_help = write_exits!("      or no such setting";
"   8  --if-version is not the present version, which the message names";
"\nExamples:",
"  forgeone-db settings rm mail/retries",
"  forgeone-db settings rm mail/retries --if-version 2"))]
    Rm {
        /// The setting's key
        key: String,
        /// Only if this is the present version
        #[arg(long, value_name = "V")]
        if_version: Option<u64>,
    },
    /// Print the versions of a setting, newest first
    ///
    /// Also of a setting that was removed; with --json the value of a removal is null, as is a
    /// value that is null. The newest 1,000 versions are kept.
    #[command(after_long_help = open_exits!("      or the key was never set";
"\nExample:",
"  forgeone-db settings history mail/retries"))]
    History {
        /// The setting's key
        key: String,
    },
    /// Print changes of settings as they are made, by any process
    ///
    /// Says on standard error from which revision on; --after that revision misses nothing, also
    /// in a later run. Prints and flushes each change when it is durable: revision, time, version,
    /// key, value. With --json one line for what was changed together: {"revision", "changes"}.
    /// Ends when it is interrupted, which is a success.
    #[command(after_long_help = open_exits!("      or changes as old as --after are no longer kept";
"\nExamples:",
"  forgeone-db settings watch",
"  forgeone-db settings watch mail/ --after 17",
"  forgeone-db --json settings watch flags/ | while read -r change; do reload; done"))]
    Watch {
        /// Only keys that start with this
        #[arg(default_value = "", hide_default_value = true)]
        prefix: String,
        /// Behind this revision, instead of from now on
        #[arg(long, value_name = "REVISION")]
        after: Option<u64>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SettingsSetArgs {
    /// The setting's key, 1 to 255 bytes
    pub(crate) key: String,
    /// The value; - reads it from standard input
    #[arg(value_name = "JSON", allow_negative_numbers = true)]
    pub(crate) value: String,
    /// Only if this is the present version; 0 means that there must be no such setting
    #[arg(long, value_name = "V")]
    pub(crate) if_version: Option<u64>,
    /// Let the value have another JSON type than the present one
    #[arg(long)]
    pub(crate) retype: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SettingsListArgs {
    /// Only keys that start with this
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
    /// Only keys behind this one, in byte order
    #[arg(long, value_name = "KEY")]
    pub(crate) after: Option<String>,
    /// No more than this many [default: no limit]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FlagsCommand {
    /// List the flags: when and as which version each was set, state, name, variants, description
    #[command(after_long_help = open_exits!(;
"\nExamples:",
"  forgeone-db flags list",
"  forgeone-db --json flags list"))]
    List,
    /// Turn a flag on for everybody; one that is not there is made
    ///
    /// Keeps variants and description.
    #[command(after_long_help = write_exits!(; "   8  conflict";
"\nExample:",
"  forgeone-db flags on new-search"))]
    On {
        /// The flag's name
        name: String,
    },
    /// Turn a flag off for everybody; one that is not there is made
    ///
    /// Keeps variants and description.
    #[command(after_long_help = write_exits!(; "   8  conflict";
"\nExample:",
"  forgeone-db flags off new-search"))]
    Off {
        /// The flag's name
        name: String,
    },
    /// Make a flag, or change what is given of it
    ///
    /// A new flag is off unless --percentage is given. What is not given stays as it is; --variant
    /// replaces all variants that there were.
    #[command(after_long_help = write_exits!(; "   8  conflict";
"\nExamples:",
"  forgeone-db flags set new-search --percentage 12.5 --description 'search by meaning'",
"  forgeone-db flags set button --percentage 100 --variant blue=3 --variant green=1"))]
    Set(FlagsSetArgs),
    /// Show one flag
    #[command(after_long_help = open_exits!("      or no such flag";
"\nExample:",
"  forgeone-db flags show new-search"))]
    Show {
        /// The flag's name
        name: String,
    },
    /// Print what a flag is for a key: on or off, the variant or -, and why
    ///
    /// The answer for a key is always the same as long as the flag is, and a higher percentage
    /// turns it on for more keys and off for none. Why: on, off (for everybody), included,
    /// excluded (by the percentage), unknown (no such flag), malformed (the setting is no flag).
    /// Ends with 0 also when it is off. With --json: {"on", "variant", "reason"}.
    #[command(after_long_help = open_exits!(;
"\nExamples:",
"  forgeone-db flags eval new-search --key customer-17",
"  forgeone-db flags eval new-search --key \"$USER\" | grep -q '^on ' && search-by-meaning"))]
    Eval {
        /// The flag's name
        name: String,
        /// For whom: mostly the id of a user, a machine or a request
        #[arg(long)]
        key: String,
    },
    /// Remove a flag, which is then off
    ///
    /// Its history stays: a flag is the setting flags/NAME, and `settings history flags/NAME`
    /// shows it.
    #[command(after_long_help = write_exits!("      or no such flag"; "   8  conflict";
"\nExample:",
"  forgeone-db flags rm new-search"))]
    Rm {
        /// The flag's name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct FlagsSetArgs {
    /// The flag's name
    pub(crate) name: String,
    /// On for this many of a hundred keys, 0 to 100
    #[arg(long, value_name = "P")]
    pub(crate) percentage: Option<f64>,
    /// A form of what the flag switches on, and its share among all weights
    #[arg(long = "variant", value_name = "NAME=WEIGHT", value_parser = parse_variant)]
    pub(crate) variants: Vec<FlagVariant>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

fn parse_variant(text: &str) -> Result<FlagVariant, String> {
    let parsed = text
        .rsplit_once('=')
        .and_then(|(name, weight)| Some((name, weight.parse::<u32>().ok()?)))
        .filter(|(name, _)| !name.is_empty());
    let (name, weight) =
        parsed.ok_or_else(|| "expected a name, =, and a whole number, as in blue=3".to_owned())?;
    Ok(FlagVariant { name: name.to_owned(), weight })
}

#[derive(Debug, Subcommand)]
pub(crate) enum MetadataCommand {
    /// Print a text about the store
    ///
    /// Control characters are escaped; with --json nothing is: {"name", "text", "updated_at"}.
    #[command(after_long_help = open_exits!("      or no text of this name";
"\nExample:",
"  forgeone-db metadata get owner"))]
    Get {
        /// Its name
        name: String,
    },
    /// Write down a text about the store, durably; the last one wins
    #[command(after_long_help = write_exits!(; "   8  conflict";
"\nExamples:",
"  forgeone-db metadata set owner 'team billing, phone 4711'",
"  forgeone-db metadata set runbook - < RUNBOOK.md"))]
    Set {
        /// Its name, 1 to 255 bytes
        name: String,
        /// Up to 64 KiB; - reads it from standard input, without a line feed at its end
        #[arg(allow_hyphen_values = true)]
        text: String,
    },
    /// List the texts by name: time, name, text
    #[command(after_long_help = open_exits!(;
"\nExample:",
"  forgeone-db metadata list"))]
    List {
        /// Only names that start with this
        #[arg(default_value = "", hide_default_value = true)]
        prefix: String,
    },
    /// Remove a text about the store, durably
    #[command(after_long_help = write_exits!("      or no text of this name"; "   8  conflict";
"\nExample:",
"  forgeone-db metadata rm owner"))]
    Rm {
        /// Its name
        name: String,
    },
}
