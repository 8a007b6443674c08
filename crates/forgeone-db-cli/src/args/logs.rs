//! Arguments of `logs`.

use crate::output::LogShape;
use crate::time::parse_time;
use chrono::{DateTime, FixedOffset, Offset as _, Utc};
use clap::{Args, Subcommand, ValueEnum};
use forgeone_db::{Severity, TopicPattern};
use std::path::PathBuf;
use uuid::Uuid;

#[derive(Debug, Subcommand)]
pub(crate) enum LogsCommand {
    /// Store log lines from a file or from standard input
    ///
    /// Every line is kept byte for byte with its end: empty ones, other encodings than UTF-8, NUL
    /// bytes, line feeds with and without a carriage return, and a last line without an end. With
    /// --format auto, times and severities are found in the formats of many programs (syslog,
    /// journal export, ISO 8601, web servers, JSON, logfmt and more), line by line, so a file may
    /// mix them. A line that tells no time gets that of its arrival, one that tells no severity that
    /// of --severity. At the end, what was found is told on standard error.
    ///
    /// Input is read as it comes, so a pipe can stay open for days: what has arrived is committed
    /// within 50 ms or 8,000 lines, and each commit is acknowledged on standard output once it is
    /// durable. With --json: {"topic", "first_seq", "last_seq", "count"}, and "duplicates" where
    /// records were there before. Half a line waits for its rest, and is stored as it is when the
    /// input ends. A file that grows is read to the end that is found; one that is cut meanwhile is
    /// an error, 1, once what was read of it is stored.
    ///
    /// With --format json, every line is a record as `logs query --json` prints it: {"message":
    /// "..."} and, if wanted, "id", "topic", "timestamp", "severity", "metadata" (strings by name),
    /// "checkpoint_marker", "raw" (the bytes in hexadecimal where they are not UTF-8) and "line_end"
    /// (lf, crlf or none). Records with an id that are there already, the same, are counted as
    /// duplicates and not stored again. Empty lines are skipped, unknown fields ignored. JSON that a
    /// program logs in a form of its own is for --format auto, which keeps it as it is.
    ///
    /// A line of more than 16 MiB, or one that is no record where records are wanted, ends the
    /// command with 1 and is named; all lines before it are stored. Interrupted (Ctrl-C, or a
    /// termination signal), stores what has arrived and ends: with 0 when it read standard input,
    /// with 1 before the end of a FILE. If nobody reads the acknowledgements any more, goes on
    /// without them.
    #[command(after_long_help = write_exits!(;
"   8  an id is taken by other content; that commit is not stored";
"\nExamples:",
"  forgeone-db logs append --topic host.syslog /var/log/syslog",
"  journalctl -f -o export | forgeone-db logs append --topic host.journal",
"  my-service 2>&1 | forgeone-db logs append --topic my-service --severity warn",
"  forgeone-db logs append --topic old --zone +02:00 --year 2019 messages.log",
"  forgeone-db --json logs query | forgeone-db --dir other logs append --format json"))]
    Append(LogsAppendArgs),
    /// Print the log entries with an id
    ///
    /// Every entry has an id, its own or one that the store derives from its place; --json shows it.
    /// Only ids that were given can occur in several topics; then entries are ordered by topic.
    #[command(after_long_help = open_exits!("      or no log entry with this id";
"\nExample:",
"  forgeone-db --json logs get 67e55044-10b1-826f-9247-bb680e5fe0c8"))]
    Get {
        /// The id, a UUID
        id: Uuid,
    },
    /// Search by topic, time, severity and what lines say
    ///
    /// Prints everything that meets all conditions, ordered by time, topic and number: time,
    /// severity, topic, number, message, with control characters escaped. With --json all fields, as
    /// `logs append --format json` reads them, and "seq". No match is no error. If --limit ends the
    /// search, standard error names the --cursor with which the same search goes on.
    ///
    /// With --format raw prints the bytes of each line with its end, and nothing else. A file that
    /// was stored in a topic of its own comes back byte for byte: for one exact --topic, without
    /// --from, --to, --reverse and --cursor, raw lines come in the order they were stored, not in
    /// that of time.
    #[command(after_long_help = open_exits!(;
"\nPATTERN: dots divide a topic's name; * is one part, > one or more at the end.",
"TIME: 2026-03-01T12:00:00Z, 2026-03-01 (its midnight, UTC), or back from now: 15m, 1h30m, 2d.",
"S: trace, debug, info, warn, error, fatal, with 2, 3 or 4 behind it if wanted, or 1 to 24.",
"RE: as in the Rust crate regex; (?i) in front ignores case. Matching takes linear time.",
"\nExamples:",
"  forgeone-db logs query --from 1h --severity warn",
"  forgeone-db logs query --topic 'host.>' --contains sshd --regex 'port \\d+' --reverse --limit 20",
"  forgeone-db --json logs query --where unit=nginx | jq -r .message",
"  forgeone-db logs query --topic host.syslog --format raw | cmp - /var/log/syslog"))]
    Query(LogsQueryArgs),
    /// Print log entries in the order they were stored, and follow what comes
    ///
    /// Starts with the oldest entry, or behind --after, or with the newest one that carries
    /// --marker. Works beside a writer. With --follow waits for more until it is interrupted, which
    /// is a success.
    #[command(after_long_help = open_exits!("      or no log entry with this marker";
"\nExamples:",
"  forgeone-db logs tail --topic 'host.>' --follow",
"  forgeone-db --json logs tail --topic host.syslog --after 1200",
"  forgeone-db logs tail --topic my-service --marker release-42 --format raw"))]
    Tail(LogsTailArgs),
}

/// What the lines of the input are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AppendFormat {
    /// Lines, in which times and severities are looked for
    #[default]
    Auto,
    /// Lines, in which nothing is looked for
    Text,
    /// Records, as logs query --json prints them
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct LogsAppendArgs {
    /// The topic of every line; records may name theirs themselves
    #[arg(long, value_name = "T", required_if_eq_any([("format", "auto"), ("format", "text")]))]
    pub(crate) topic: Option<String>,
    /// The severity of lines that tell none: trace, debug, info, warn, error or fatal [default: info]
    #[arg(long, value_name = "S")]
    pub(crate) severity: Option<Severity>,
    /// What the lines are
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: AppendFormat,
    /// The zone of times that name none, such as +02:00 [default: UTC]
    #[arg(long, value_name = "+HH:MM", allow_hyphen_values = true, value_parser = parse_zone)]
    pub(crate) zone: Option<FixedOffset>,
    /// The year of times that name none [default: the one that brings them closest to now]
    #[arg(long, value_name = "Y", value_parser = clap::value_parser!(i32).range(1..=9999))]
    pub(crate) year: Option<i32>,
    /// A name for the first line of this input, for `logs tail --marker`
    #[arg(long, value_name = "M")]
    pub(crate) marker: Option<String>,
    /// The input; - or nothing for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct LogsQueryArgs {
    /// The topics [default: all]
    #[arg(long, value_name = "PATTERN")]
    pub(crate) topic: Option<TopicPattern>,
    /// Only entries at this time or later
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) from: Option<DateTime<Utc>>,
    /// Only entries before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) to: Option<DateTime<Utc>>,
    /// Only this severity and higher
    #[arg(long, value_name = "S")]
    pub(crate) severity: Option<Severity>,
    /// Only lines that contain this text, as it is written; may be repeated
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) contains: Vec<String>,
    /// Only lines in which this regular expression matches; may be repeated
    #[arg(long, value_name = "RE", allow_hyphen_values = true)]
    pub(crate) regex: Vec<String>,
    /// Only entries whose metadata has this value under this key; may be repeated
    #[arg(long = "where", value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub(crate) metadata: Vec<(String, String)>,
    /// Only entries with a number above this in their topic
    #[arg(long, value_name = "SEQ")]
    pub(crate) after: Option<u64>,
    /// No more than this many [default: no limit]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Newest first
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Go on behind the place that an earlier search with the same conditions named
    #[arg(long, value_name = "C")]
    pub(crate) cursor: Option<String>,
    /// How to print entries [default: text]
    #[arg(long, value_enum)]
    pub(crate) format: Option<LogShape>,
}

#[derive(Debug, Args)]
pub(crate) struct LogsTailArgs {
    /// The topics
    #[arg(long, value_name = "PATTERN")]
    pub(crate) topic: TopicPattern,
    /// Start behind this number, in every topic
    #[arg(long, value_name = "SEQ", conflicts_with = "marker")]
    pub(crate) after: Option<u64>,
    /// Start with the newest entry that carries this marker
    #[arg(long, value_name = "M")]
    pub(crate) marker: Option<String>,
    /// Wait for more
    #[arg(long)]
    pub(crate) follow: bool,
    /// How to print entries [default: text]
    #[arg(long, value_enum)]
    pub(crate) format: Option<LogShape>,
}

fn parse_zone(text: &str) -> Result<FixedOffset, String> {
    if matches!(text, "Z" | "UTC") {
        return Ok(Utc.fix());
    }
    text.parse().map_err(|_| "expected an offset from UTC such as +02:00, or Z".to_owned())
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
