//! Arguments of `topics`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsCommand {
    /// List the topics: events, first and last number, time of the newest, name
    #[command(after_long_help = open_exits!(;
"\nExamples:",
"  forgeone-db topics list",
"  forgeone-db --json topics list"))]
    List,
    /// Describe one topic
    #[command(after_long_help = open_exits!("      or no such topic";
"\nExample:",
"  forgeone-db topics describe orders.eu"))]
    Describe {
        /// The topic's name
        #[arg(value_name = "T")]
        topic: String,
    },
}
