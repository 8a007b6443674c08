//! An event as it waits in the buffer, and the log entry that becomes of it.

use crate::fields::Fields;
use crate::limits::{FACT_BYTES_MAX, FIELD_BYTES, RECORD_BYTES};
use forgeone_db::environment::Timestamp;
use forgeone_db::model::{METADATA_BYTES_MAX, TOPIC_BYTES_MAX};
use forgeone_db::{NewLogEntry, Severity};
use std::collections::HashMap;
use std::sync::Arc;
use std::thread::Thread;
use tracing_core::{Level, Metadata};

/// Names of the facts that the layer adds. A field of an event with such a name gets a prefix.
const TARGET: &str = "target";
const FILE: &str = "file";
const THREAD: &str = "thread";
const SPAN: &str = "span";
const TRUNCATED: &str = "truncated";
const PANICKED: &str = "panicked";
const OWN_NAMES: [&str; 6] = [TARGET, FILE, THREAD, SPAN, TRUNCATED, PANICKED];
const OWN_NAME_PREFIX: &str = "field.";
/// Kept free for [`TRUNCATED`] and [`PANICKED`], which are known last.
const LAST_FACTS_BYTES: usize = 64;

/// One span that an event lies in.
#[derive(Debug, Clone)]
pub(crate) struct SpanPart {
    pub(crate) name: &'static str,
    /// Shared with the span and the other events in it, but counted for each of them.
    pub(crate) fields: Option<Arc<Fields>>,
}

/// One event. Making the entry out of it is left to the thread that stores it.
#[derive(Debug)]
pub(crate) struct Record {
    /// Set by the buffer, so that within it times go back only when the clock does.
    pub(crate) time: Timestamp,
    pub(crate) metadata: &'static Metadata<'static>,
    pub(crate) fields: Fields,
    /// The innermost first.
    pub(crate) spans: Vec<SpanPart>,
    /// Whether there were more spans.
    pub(crate) spans_cut: bool,
    pub(crate) thread: Thread,
}

impl Record {
    /// The memory that it holds, rounded up.
    pub(crate) fn bytes(&self) -> usize {
        let spans = self.spans.iter().filter_map(|span| span.fields.as_deref());
        std::iter::once(&self.fields)
            .chain(spans)
            .map(|fields| fields.bytes() + FIELD_BYTES * fields.pairs.len())
            .sum::<usize>()
            + FIELD_BYTES * self.spans.len()
            + RECORD_BYTES
    }

    /// The entry to store under `topic`.
    pub(crate) fn to_entry(&self, topic: &str) -> NewLogEntry {
        let severity = severity(*self.metadata.level());
        let message = self.fields.message.text.as_str();
        let timestamp = self.time.to_datetime().unwrap_or_default();
        let mut entry = NewLogEntry::new(topic, timestamp, severity, message);
        entry.metadata = self.facts();
        entry
    }

    /// Own facts first, then the event's fields, then those of spans from the inside out: where
    /// there is no room for all, and where names are the same, the earlier one is kept.
    fn facts(&self) -> HashMap<String, String> {
        let mut facts = Facts::new();
        facts.add_own(TARGET, self.metadata.target());
        if let Some(file) = self.metadata.file() {
            let line = self.metadata.line().map_or(String::new(), |line| format!(":{line}"));
            facts.add_own(FILE, &format!("{file}{line}"));
        }
        if let Some(thread) = self.thread.name() {
            facts.add_own(THREAD, thread);
        }
        if !self.spans.is_empty() {
            let path: Vec<&str> = self.spans.iter().rev().map(|span| span.name).collect();
            facts.add_own(SPAN, &path.join(":"));
        }
        for (name, value) in &self.fields.pairs {
            if OWN_NAMES.contains(name) {
                facts.add(format!("{OWN_NAME_PREFIX}{name}"), value, "fields");
            } else {
                facts.add((*name).to_owned(), value, "fields");
            }
        }
        let spans = self.spans.iter().filter_map(|span| Some((span.name, span.fields.as_deref()?)));
        for (span, fields) in spans.clone() {
            for (name, value) in &fields.pairs {
                facts.add(format!("{span}.{name}"), value, "spans");
            }
            // A span's `message` is a field like any other.
            if !fields.message.text.is_empty() {
                facts.add(format!("{span}.message"), &fields.message.text, "spans");
            }
        }
        let all = || std::iter::once(&self.fields).chain(spans.clone().map(|(_, fields)| fields));
        facts.note("message", self.fields.message.cut);
        facts.note("fields", self.fields.pairs_cut);
        let cut_in_span = |fields: &Fields| fields.message.cut || fields.pairs_cut;
        facts.note("spans", self.spans_cut || spans.clone().any(|(_, fields)| cut_in_span(fields)));
        facts.finish(all().any(|fields| fields.panicked))
    }
}

/// Metadata within the store's limit.
struct Facts {
    map: HashMap<String, String>,
    room: usize,
    /// What was cut or left out.
    cut: Vec<&'static str>,
}

impl Facts {
    fn new() -> Self {
        Self { map: HashMap::new(), room: METADATA_BYTES_MAX - LAST_FACTS_BYTES, cut: Vec::new() }
    }

    fn add_own(&mut self, name: &str, value: &str) {
        let short = floor(value, FACT_BYTES_MAX);
        self.note("facts", short.len() < value.len());
        self.add(name.to_owned(), short, "facts");
    }

    fn add(&mut self, name: String, value: &str, part: &'static str) {
        if self.map.contains_key(&name) {
            return;
        }
        let Some(room) = self.room.checked_sub(name.len()) else {
            self.note(part, true);
            return;
        };
        let short = floor(value, room);
        self.note(part, short.len() < value.len());
        self.room = room - short.len();
        self.map.insert(name, short.to_owned());
    }

    fn note(&mut self, part: &'static str, cut: bool) {
        if cut && !self.cut.contains(&part) {
            self.cut.push(part);
        }
    }

    fn finish(mut self, panicked: bool) -> HashMap<String, String> {
        if !self.cut.is_empty() {
            self.map.insert(TRUNCATED.to_owned(), self.cut.join(","));
        }
        if panicked {
            self.map.insert(PANICKED.to_owned(), "true".to_owned());
        }
        self.map
    }
}

/// The first bytes of `text`, at most `bytes_max`, in whole characters.
fn floor(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default()
}

fn severity(level: Level) -> Severity {
    match level {
        Level::TRACE => Severity::Trace,
        Level::DEBUG => Severity::Debug,
        Level::INFO => Severity::Info,
        Level::WARN => Severity::Warn,
        Level::ERROR => Severity::Error,
    }
}

/// Which topic an event goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Topics {
    /// Always this one.
    One(String),
    /// This one, a dot, and the event's target with dots between its parts.
    ByTarget(String),
}

impl Topics {
    /// The topic of the layer's own notices, and what others start with.
    pub(crate) fn base(&self) -> &str {
        match self {
            Self::One(topic) | Self::ByTarget(topic) => topic,
        }
    }

    /// A name that the store accepts, given that [`base`](Self::base) is one.
    pub(crate) fn of(&self, target: &str) -> String {
        match self {
            Self::One(topic) => topic.clone(),
            Self::ByTarget(prefix) => {
                let name = format!("{prefix}.{}", target.replace("::", "."));
                floor(&name, TOPIC_BYTES_MAX).replace(char::is_control, "_")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Topics;
    use forgeone_db::model::check_topic;

    #[test]
    fn targets_become_topics_that_the_store_accepts() {
        let topics = Topics::ByTarget("app".to_owned());
        assert_eq!(topics.of("shop::orders"), "app.shop.orders");
        for target in ["", "a\u{85}b\n", "\u{e9}".repeat(300).as_str(), "::"] {
            check_topic(&topics.of(target)).unwrap();
        }
    }
}
