//! Following logs.

use super::convert::to_stored;
use super::manager::StoredLogEntry;
use crate::model::{StartFrom, TopicPattern};
use crate::stream::{AtTheEnd, Following, Streams, Tokens};
use forgeone_db_engine::Result;
use futures::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Log entries as they are stored, in the order of their numbers within each topic, without gap or
/// repeat. Entries of different topics come in the order of their commits as far as one page
/// reaches (1,024 entries or 1 MiB); no order across topics is promised.
///
/// Also a [`Stream`], which ends after the last entry of a replay, or after an error, but for two
/// kinds. Where entries are missing because they were shredded, the gap is told once, as `NotFound`
/// with `topic`, `from`, `to` and `reason`, and then comes what follows it. Damage is told once, too,
/// as `Corrupt`: asked again, the subscription tries the same place again and goes on behind it if
/// that is damaged still.
///
/// # Limits
/// Buffers one page. A slow reader slows nobody and loses nothing: what it has not read is read
/// from the store when it asks.
#[derive(Debug)]
pub struct LogSubscription(Following);

impl LogSubscription {
    pub(super) async fn start(
        streams: Arc<Streams>,
        tokens: Arc<Tokens>,
        topics: &TopicPattern,
        (start, at_the_end): (StartFrom, AtTheEnd),
    ) -> Result<Self> {
        Following::start(streams, tokens, topics, start, at_the_end).await.map(Self)
    }

    /// The next entry; waits for it. `None` only at the end of a replay, or after an error that
    /// is neither about a gap nor about damage.
    ///
    /// Cancellation: dropping the returned future loses no entry.
    ///
    /// # Errors
    /// `Corrupt`, naming topic and range; `Closed` when the store closes.
    pub async fn next(&mut self) -> Result<Option<StoredLogEntry>> {
        std::future::poll_fn(|context| self.poll_entry(context)).await.transpose()
    }

    /// What to start from to go on behind the last entry delivered: opaque text, valid for this
    /// store. `None` while a call to [`next`](Self::next) is unfinished, and after the end.
    ///
    /// # Errors
    /// `Unsupported` beyond the limit.
    ///
    /// # Limits
    /// Grows with the number of topics that match, by up to 14 bytes for each, to at most 1 MiB
    /// before it is written as text: well over 70,000 topics.
    pub fn token(&self) -> Result<Option<String>> {
        self.0.token()
    }

    fn poll_entry(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<StoredLogEntry>>> {
        let found = self.0.poll_found(context);
        let ids = &self.0.streams().shared().ids;
        found.map(|found| found.map(|found| found.and_then(|found| to_stored(found, ids))))
    }
}

impl Stream for LogSubscription {
    type Item = Result<StoredLogEntry>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_entry(context)
    }
}
