//! Following events.

use super::convert::to_stored;
use super::manager::StoredEvent;
use crate::model::{StartFrom, TopicPattern};
use crate::stream::{AtTheEnd, Following, Streams, Tokens};
use forgeone_db_engine::Result;
use futures::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Events as they are stored, in the order of their numbers within each topic, without gap or
/// repeat. Events of different topics come in the order of their commits as far as one page
/// reaches (1,024 events or 1 MiB); no order across topics is promised.
///
/// Also a [`Stream`], which ends after the last event of a replay, or after an error, but for two
/// kinds. Where events are missing because they were shredded, the gap is told once, as `NotFound`
/// with `topic`, `from`, `to` and `reason`, and then comes what follows it. Damage is told once, too,
/// as `Corrupt`: asked again, the subscription tries the same place again and goes on behind it if
/// that is damaged still.
///
/// # Limits
/// Buffers one page. A slow reader slows nobody and loses nothing: what it has not read is read
/// from the store when it asks.
#[derive(Debug)]
pub struct EventSubscription(Following);

impl EventSubscription {
    pub(super) async fn start(
        streams: Arc<Streams>,
        tokens: Arc<Tokens>,
        topics: &TopicPattern,
        (start, at_the_end): (StartFrom, AtTheEnd),
    ) -> Result<Self> {
        Following::start(streams, tokens, topics, start, at_the_end).await.map(Self)
    }

    /// The next event; waits for it. `None` only at the end of a replay, or after an error that
    /// is neither about a gap nor about damage.
    ///
    /// Cancellation: dropping the returned future loses no event.
    ///
    /// # Errors
    /// `Corrupt`, naming topic and range; `Closed` when the store closes; `NotFound` for a gap.
    pub async fn next(&mut self) -> Result<Option<StoredEvent>> {
        std::future::poll_fn(|context| self.poll_event(context)).await.transpose()
    }

    /// What to start from to go on behind the last event delivered: opaque text, valid for this
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

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<StoredEvent>>> {
        self.0.poll_found(context).map(|found| found.map(|found| found.and_then(to_stored)))
    }
}

impl Stream for EventSubscription {
    type Item = Result<StoredEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(context)
    }
}
