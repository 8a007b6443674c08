//! Arguments of `key`.

use clap::{Args, Subcommand};
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
    /// Replace the keys inside the store, or one key that opens it
    ///
    /// Without an option replaces the wrapping key and then the data keys; with --wrapping or --data
    /// only those. The keys that open the store stay as they are.
    ///
    /// --wrapping replaces the key under which the keys of topics are kept. It rewrites the keyring
    /// and a list of keys for each database, and no record: as fast for a large store as for a small
    /// one with as many topics.
    ///
    /// --data replaces the keys of all topics and of the system, and seals every record and index
    /// anew. It takes about as long as reading and writing the whole store, and room for 32 MiB of
    /// records and one database's indexes.
    ///
    /// --slot N replaces one key that opens the store, in one step: afterwards only the new one does.
    /// Without --new-key-file or --generate-key asks for a new passphrase twice.
    ///
    /// A change that was cut short is finished by the next command that writes and lives long enough;
    /// this command finishes it first, then does what was asked. --resume does the first alone. The
    /// store can be read meanwhile, and opens with the same keys.
    ///
    /// What this does not protect: who had a key and kept a copy of the store from before can read
    /// that copy for ever. Who had a key and kept an old keyring alone can read the store until
    /// wrapping key and data keys are both replaced: after a key was lost to somebody, replace or
    /// remove it, and then run `key rotate`. What was freed stays on the medium, sealed under the old
    /// keys, until it is overwritten.
    #[command(after_long_help = write_exits!("      or no such key";
"   8  the new key opens the store already, or the file to generate exists";
"\nExamples:",
"  forgeone-db key rotate",
"  forgeone-db key rotate --wrapping",
"  forgeone-db key rotate --slot 0 --generate-key ./new.key"))]
    Rotate(RotateArgs),
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub(crate) struct RotateArgs {
    /// Only the wrapping key
    #[arg(long, group = "what")]
    pub(crate) wrapping: bool,
    /// Only the data keys
    #[arg(long, group = "what")]
    pub(crate) data: bool,
    /// Only finish what was cut short
    #[arg(long, group = "what")]
    pub(crate) resume: bool,
    /// Replace the key with this number, as `key list` shows it
    #[arg(long, value_name = "N", group = "what")]
    pub(crate) slot: Option<u8>,
    /// Take the new key of the slot from this file
    #[arg(long, value_name = "FILE", requires = "slot", conflicts_with = "generate_key")]
    pub(crate) new_key_file: Option<PathBuf>,
    /// Make a random key for the slot in a new FILE (mode 0600)
    #[arg(long, value_name = "FILE", requires = "slot")]
    pub(crate) generate_key: Option<PathBuf>,
}
