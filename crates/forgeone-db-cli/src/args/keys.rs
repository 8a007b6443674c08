//! Arguments of `key`.

use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// List the keys that open the store; their secrets are not known to it
    #[command(after_long_help = open_exits!(;
"\nExample:",
"  forgeone-db key list"))]
    List,
    /// Add a key, beside those that open the store already
    ///
    /// A store has up to 8. Without --new-key-file or --generate-key, asks for a new passphrase
    /// twice.
    #[command(after_long_help = write_exits!(;
"   8  all 8 keys are in use, or the file to generate exists";
"\nExamples:",
"  forgeone-db key add --label laptop",
"  forgeone-db key add --generate-key ./backup.key --label backup"))]
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
    #[command(after_long_help = write_exits!("      or no such key";
"   8  it is the last key";
"\nExample:",
"  forgeone-db key remove 1"))]
    Remove {
        /// The number that `key list` shows
        slot: u8,
    },
}
