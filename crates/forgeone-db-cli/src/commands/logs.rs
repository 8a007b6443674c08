//! `logs get` and `logs query`: finding log entries.

use super::missing::Missing;
use crate::args::LogsQueryArgs;
use crate::exit::{Exit, Failure};
use crate::output::{LogShape, Output, Reader, quoted, say};
use crate::store::Place;
use forgeone_db::{LogQuery, QueryOrder, StartFrom, StoredLogEntry, TopicPattern};
use uuid::Uuid;

pub(super) fn get(place: &Place, id: Uuid) -> Result<(), Failure> {
    let manager = place.read()?;
    let found = manager.get_log(id)?;
    if found.is_empty() {
        let message = format!("there is no log entry with the id {id}");
        return Err(
            Failure::new(Exit::NotFound, message).hint("`forgeone-db --json logs query` shows ids")
        );
    }
    let mut output = place.output();
    for entry in &found {
        output.log(entry, LogShape::Text)?;
    }
    output.flush()?;
    Ok(())
}

/// The order of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// That of timestamps, which a file need not keep.
    Time,
    /// That of numbers in one topic, in which a file comes back as it was.
    Sequence,
}

impl Order {
    fn of(args: &LogsQueryArgs, shape: LogShape) -> Self {
        let one_topic = args.topic.as_ref().is_some_and(|topic| topic.exact_topic().is_some());
        let timed = args.from.is_some() || args.to.is_some();
        if shape == LogShape::Raw && one_topic && !timed && !args.reverse && args.cursor.is_none() {
            Self::Sequence
        } else {
            Self::Time
        }
    }
}

pub(super) fn query(place: &Place, args: LogsQueryArgs) -> Result<(), Failure> {
    let shape = place.log_shape(args.format)?;
    let order = Order::of(&args, shape);
    let limit = args.limit;
    let start = args.after.map_or(StartFrom::Oldest, StartFrom::After);
    let topics = args.topic.clone().unwrap_or_else(TopicPattern::all);
    let query = build(args)?;
    let manager = place.read()?;
    let mut printer = Printer {
        output: place.output(),
        shape,
        left: limit,
        last_seq: 0,
        missing: Missing::default(),
    };
    let next = match order {
        Order::Time => {
            let query = limit.map_or_else(|| query.clone(), |limit| query.clone().limit(limit));
            let mut entries = manager.query_logs(query)?;
            printer.all(&mut entries)?;
            entries.cursor()?.map(|cursor| format!("--cursor {}", quoted(&cursor)))
        }
        Order::Sequence => {
            // What is stored meanwhile is not waited for.
            let last = manager.log_topics(&topics)?.first().map_or(0, |topic| topic.last_seq);
            let entries = manager.replay_logs(&topics, start)?.filter_map(|entry| match entry {
                Ok(entry) => match query.matches(&entry) {
                    Ok(wanted) => wanted.then_some(Ok(entry)),
                    Err(error) => Some(Err(error)),
                },
                Err(error) => Some(Err(error)),
            });
            let entries = entries.take_while(|entry| !matches!(entry, Ok(e) if e.seq > last));
            printer.all(entries)?;
            Some(format!("--after {}", printer.last_seq))
        }
    };
    if printer.left == Some(0)
        && let Some(next) = next
    {
        say(format_args!("for what comes behind the limit: {next}"));
    }
    printer.missing.end()
}

/// Prints entries until there are no more, or nobody reads them.
struct Printer {
    output: Output,
    shape: LogShape,
    /// How many more are wanted.
    left: Option<u64>,
    last_seq: u64,
    missing: Missing,
}

impl Printer {
    fn all(
        &mut self,
        entries: impl Iterator<Item = forgeone_db::Result<StoredLogEntry>>,
    ) -> Result<(), Failure> {
        if self.left == Some(0) {
            return Ok(());
        }
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    // What was found before is worth having, and comes before what is said of the rest.
                    self.output.flush()?;
                    self.missing.tell(error)?;
                    continue;
                }
            };
            if self.output.log(&entry, self.shape)? == Reader::Gone {
                self.left = None;
                return Ok(());
            }
            self.last_seq = entry.seq;
            self.left = self.left.map(|left| left - 1);
            if self.left == Some(0) {
                break;
            }
        }
        self.output.flush().map(drop)
    }
}

fn build(args: LogsQueryArgs) -> Result<LogQuery, Failure> {
    let mut query = LogQuery::new(args.topic.unwrap_or_else(TopicPattern::all));
    if let Some(from) = args.from {
        query = query.from(from);
    }
    if let Some(to) = args.to {
        query = query.to(to);
    }
    if let Some(after) = args.after {
        query = query.after(after);
    }
    if let Some(severity) = args.severity {
        query = query.severity_min(severity);
    }
    for text in &args.contains {
        query = query.contains(text);
    }
    for pattern in &args.regex {
        query = query.regex(pattern)?;
    }
    for (key, value) in args.metadata {
        query = query.metadata(key, value);
    }
    if let Some(cursor) = args.cursor {
        query = query.cursor(cursor);
    }
    if args.reverse {
        query = query.order(QueryOrder::NewestFirst);
    }
    Ok(query)
}
