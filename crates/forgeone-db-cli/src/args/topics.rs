//! Arguments of `topics`.

use crate::commands::TopicKind;
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsCommand {
    /// List the topics: records, kind, first and last number, time of the newest, name
    ///
    /// Topics of events and those of logs are apart: one name may be used by both, and is then
    /// listed twice. With --json, "kind" tells which it is.
    #[command(after_long_help = open_exits!(;
"\nExamples:",
"  forgeone-db topics list",
"  forgeone-db --json topics list --kind logs"))]
    List {
        /// Only topics of this kind [default: both]
        #[arg(long, value_enum)]
        kind: Option<TopicKind>,
    },
    /// Describe one topic
    ///
    /// If events and logs both have a topic of this name, describes both, unless --kind chooses.
    #[command(after_long_help = open_exits!("      or no such topic";
"\nExamples:",
"  forgeone-db topics describe orders.eu",
"  forgeone-db topics describe host.syslog --kind logs"))]
    Describe {
        /// The topic's name
        #[arg(value_name = "T")]
        topic: String,
        /// Only the topic of this kind [default: both]
        #[arg(long, value_enum)]
        kind: Option<TopicKind>,
    },
    /// Destroy all records that a topic has now, by destroying their keys
    ///
    /// Without --yes shows what would be destroyed; on a terminal asks for the topic's name, else
    /// ends with 2. The topic stays and goes on with the next number. Nothing brings the records back.
    ///
    /// Covered: payloads and metadata of all records up to now, in this store and in every copy or
    /// backup made of it from then on.
    ///
    /// Not covered: the topic's name; ids, times and counts where they are or were seen elsewhere;
    /// earlier copies and backups; what the medium keeps of overwritten keyring files (flash memory,
    /// file systems that copy on write, snapshots), for whoever has a key of then and a leftover of
    /// the topic's wrapped key; ids, times of late records and texts of checkpoint markers in freed
    /// pages of indexes, until `key rotate --data`; and the memory of processes that read the topic.
    ///
    /// A store without encryption cannot do this: what it removed would stay readable on the medium.
    #[command(after_long_help = write_exits!("      or no such topic";
"   8  conflict";
"Examples:",
"  forgeone-db topics shred customer.4711",
"  forgeone-db topics shred customer.4711 --kind events --yes"))]
    Shred(ShredArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShredArgs {
    /// The topic's name
    #[arg(value_name = "T")]
    pub(crate) topic: String,
    /// Of which kind the topic is; needed if events and logs both have one of this name
    #[arg(long, value_enum)]
    pub(crate) kind: Option<TopicKind>,
    /// Destroy without asking
    #[arg(long)]
    pub(crate) yes: bool,
}
