//! Arguments of `events`.

use crate::time::parse_time;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use forgeone_db::{EventPriority, TopicPattern};
use std::path::PathBuf;
use uuid::Uuid;

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
    /// A line that is no record ends the command with 1, because 2 is for what is wrong about the
    /// command line: the commit it would have been part of is not
    /// stored, earlier ones are, and which line they reach is told. Interrupted (Ctrl-C, or a
    /// termination signal), stores what has arrived and ends: with 0 when it read standard input,
    /// with 1 before the end of a FILE. If nobody reads the acknowledgements any more, goes on
    /// without them.
    #[command(after_long_help = write_exits!(;
"   8  an id is taken by other content; that commit is not stored";
"\nExamples:",
"  echo '{\"payload\": \"hello\", \"priority\": \"high\"}' | forgeone-db events append --topic demo",
"  journalctl -f | forgeone-db events append --topic host.journal --text",
"  forgeone-db events append --topic orders.eu orders.ndjson"))]
    Append(AppendArgs),
    /// Print the events with an id
    ///
    /// An id is unique within its topic, so there can be several; they are ordered by topic.
    #[command(after_long_help = open_exits!("      or no event with this id";
"\nExample:",
"  forgeone-db events get 67e55044-10b1-426f-9247-bb680e5fe0c8"))]
    Get {
        /// The id, a UUID
        id: Uuid,
    },
    /// Search by topic and time
    ///
    /// Prints everything that matches, ordered by time, topic and number: time, number, topic,
    /// priority, id, payload, with control characters escaped. With --json all fields, as
    /// `events append` reads them, and "seq". No match is no error.
    #[command(after_long_help = open_exits!(;
"\nPATTERN: dots divide a topic's name; * is one part, > one or more at the end.",
"TIME: 2026-03-01T12:00:00Z, 2026-03-01 (its midnight, UTC), or back from now: 15m, 1h30m, 2d.",
"\nExamples:",
"  forgeone-db events query --topic 'orders.>' --from 2d --priority high",
"  forgeone-db events query --topic orders.eu --reverse --limit 20",
"  forgeone-db --json events query --from 2026-03-01 --to 2026-03-02 | jq .payload"))]
    Query(QueryArgs),
    /// Print events in the order they were stored, and follow what comes
    ///
    /// Starts with the oldest event, or behind --after, or with the newest one that carries
    /// --marker. Works beside a writer. With --follow waits for more until it is interrupted, which
    /// is a success.
    #[command(after_long_help = open_exits!("      or no event with this marker";
"\nExamples:",
"  forgeone-db events tail --topic 'orders.>' --follow",
"  forgeone-db --json events tail --topic orders.eu --after 1200",
"  forgeone-db events tail --topic deploys --marker release-42"))]
    Tail(TailArgs),
}

#[derive(Debug, Args)]
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

#[derive(Debug, Args)]
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

#[derive(Debug, Args)]
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
