//! A second thread that follows the store while the first one writes.

use super::fold::{Folds, Item};
use crate::exit::{Exit, Failure};
use forgeone_db::{RedbManager, StartFrom, StoredEvent, StoredLogEntry, TopicPattern};
use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::{Either, select};
use futures::stream::{self, StreamExt as _};
use std::sync::mpsc;
use std::time::Duration;

/// How long the follower may take after the last write before it counts as stuck.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the follower saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) folds: Folds,
    /// Whether every number was the next one of its topic.
    pub(super) in_order: bool,
}

/// A follower at work.
#[derive(Debug)]
pub(super) struct Follower {
    total: oneshot::Sender<u64>,
    seen: mpsc::Receiver<forgeone_db::Result<Seen>>,
}

impl Follower {
    /// Starts to follow all topics from the beginning.
    pub(super) fn start(manager: &RedbManager) -> Result<Self, Failure> {
        let (total, told) = oneshot::channel();
        let (report, seen) = mpsc::channel();
        let manager = manager.clone();
        let thread = std::thread::Builder::new().name("follow".to_owned()).spawn(move || {
            // Nobody waits for the report of a tour that has failed.
            drop(report.send(block_on(follow(&manager, told))));
        });
        thread.map_err(|error| Failure::io("no thread can be started", &error))?;
        Ok(Self { total, seen })
    }

    /// Waits until the follower has seen `total` records.
    pub(super) fn finish(self, total: u64) -> Result<Seen, Failure> {
        // A follower that has ended reports why.
        let _: Result<(), u64> = self.total.send(total);
        match self.seen.recv_timeout(PATIENCE) {
            Ok(seen) => Ok(seen?),
            Err(_) => Err(Failure::new(
                Exit::Corrupt,
                "the subscription did not deliver everything within a minute",
            )
            .hint("this is a defect: please report it")),
        }
    }
}

/// A record of either kind.
enum Record {
    Event(StoredEvent),
    Log(StoredLogEntry),
}

async fn follow(
    manager: &RedbManager,
    mut told: oneshot::Receiver<u64>,
) -> forgeone_db::Result<Seen> {
    let topics = TopicPattern::all();
    let events = manager.events().subscribe(&topics, StartFrom::Oldest).await?;
    let logs = manager.logs().subscribe(&topics, StartFrom::Oldest).await?;
    let mut records = stream::select(
        events.map(|event| event.map(Record::Event)),
        logs.map(|entry| entry.map(Record::Log)),
    );
    let mut seen = Seen { in_order: true, ..Seen::default() };
    let mut total = u64::MAX;
    while seen.folds.count < total {
        let record = if total == u64::MAX {
            match select(records.next(), &mut told).await {
                Either::Left((record, _)) => record,
                Either::Right((Ok(known), _)) => {
                    total = known;
                    continue;
                }
                Either::Right((Err(_), _)) => break,
            }
        } else {
            records.next().await
        };
        seen.in_order &= match record.transpose()? {
            None => break,
            Some(Record::Event(event)) => seen.folds.add(&Item::of_event(&event.event), event.seq),
            Some(Record::Log(entry)) => seen.folds.add(&Item::of_log(&entry.entry), entry.seq),
        };
    }
    Ok(seen)
}
