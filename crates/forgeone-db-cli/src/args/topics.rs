//! Arguments of `topics`.

use crate::commands::TopicKind;
use clap::Subcommand;

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
}
