//! The thread that stores what is buffered.

use crate::buffer::Buffer;
use crate::limits::{PAUSE_MAX, PAUSE_MIN};
use crate::record::{Record, Topics};
use crate::stats::{DropReason, Dropped};
use forgeone_db::environment::mark_store_thread;
use forgeone_db::{Error, ErrorKind, LogManager, NewLogEntry, Outcome, Severity};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Moves records from the buffer into the store, one round after the other.
pub(crate) struct Writer {
    logs: LogManager,
    topics: Topics,
    buffer: Arc<Buffer>,
    /// The drops that a stored notice tells of.
    said: Dropped,
}

impl Writer {
    pub(crate) fn new(logs: LogManager, topics: Topics, buffer: Arc<Buffer>) -> Self {
        Self { logs, topics, buffer, said: Dropped::default() }
    }

    /// Ends when the buffer is closed and empty.
    pub(crate) fn run(mut self) {
        mark_store_thread();
        let _ending = EndOnDrop(Arc::clone(&self.buffer));
        while let Some(round) = self.buffer.next_round() {
            self.store(&round);
            self.buffer.finish_round(round.len());
        }
        self.store(&[]);
    }

    /// Stores a round topic by topic, for topics may lie in different shards, where no write can
    /// be atomic. A notice of what was dropped since the last one goes along.
    fn store(&mut self, round: &[Record]) {
        let mut by_topic: BTreeMap<String, Vec<&Record>> = BTreeMap::new();
        for record in round {
            by_topic.entry(self.topics.of(record.metadata.target())).or_default().push(record);
        }
        let dropped = self.buffer.drops();
        let mut notice = (dropped != self.said).then(|| self.notice(&dropped.since(&self.said)));
        if notice.is_some() {
            by_topic.entry(self.topics.base().to_owned()).or_default();
        }
        for (topic, records) in by_topic {
            let notice = if topic == self.topics.base() { notice.take() } else { None };
            let says = notice.is_some();
            match self.append(&topic, &records, notice.as_ref()) {
                None => {
                    self.buffer.stored(records.len());
                    if says {
                        self.said = dropped;
                    }
                }
                Some(reason) => self.buffer.dropped(reason, records.len()),
            }
        }
    }

    /// Appends, again and again while the store is only short of room or busy. Says why if what
    /// was to be stored is given up.
    fn append(
        &self,
        topic: &str,
        records: &[&Record],
        notice: Option<&NewLogEntry>,
    ) -> Option<DropReason> {
        let mut pause = PAUSE_MIN;
        loop {
            let entries = records.iter().map(|record| record.to_entry(topic));
            let entries = entries.chain(notice.cloned()).collect();
            let error = futures::executor::block_on(self.logs.append_batch(entries)).err()?;
            self.buffer.set_last_error(&error);
            if let Some(reason) = reason_to_give_up(&error) {
                return Some(reason);
            }
            if !self.buffer.pause(pause) {
                return Some(DropReason::Deadline);
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn notice(&self, dropped: &Dropped) -> NewLogEntry {
        let now = self.buffer.environment().now().in_calendar().to_datetime().unwrap_or_default();
        let text = dropped.to_string();
        let mut notice = NewLogEntry::new(self.topics.base(), now, Severity::Warn, text);
        let counts = dropped.occurred().map(|(reason, count)| {
            (format!("dropped.{}", reason.replace(' ', "_")), count.to_string())
        });
        notice.metadata = counts.collect();
        notice.metadata.insert("dropped".to_owned(), dropped.total().to_string());
        notice.metadata.insert("target".to_owned(), "forgeone_db_tracing".to_owned());
        notice.metadata.extend(self.buffer.last_error().map(|error| ("error".to_owned(), error)));
        notice
    }
}

/// Why a write that failed so is not tried again, if it is not.
///
/// One whose outcome is unknown might be stored twice: its entries carry no ids, which would cost
/// every record 16 bytes. A handle that is closed or poisoned stays so.
fn reason_to_give_up(error: &Error) -> Option<DropReason> {
    match error.kind() {
        _ if error.outcome() == Outcome::Unknown => Some(DropReason::Unknown),
        ErrorKind::Full | ErrorKind::Unavailable => None,
        ErrorKind::Closed(_) => Some(DropReason::StoreClosed),
        _ => Some(DropReason::Refused),
    }
}

/// Tells those who wait that the thread is gone, whichever way it went.
struct EndOnDrop(Arc<Buffer>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}
