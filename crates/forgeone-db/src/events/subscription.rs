//! Following events.

use super::convert::to_stored;
use super::manager::StoredEvent;
use super::token::{TokenKind, Tokens};
use crate::model::TopicPattern;
use crate::stream::{Found, Start, Streams, Subscription, decode_positions, encode_positions};
use chrono::{DateTime, Utc};
use forgeone_db_engine::{Error, ErrorKind, Result};
use futures::Stream;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Where a subscription or replay starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartFrom {
    /// With the oldest retained event.
    Oldest,
    /// With the first event stored after the subscription began.
    Now,
    /// Behind this number, in every topic. A number beyond the newest means behind the newest.
    After(u64),
    /// With the first event whose topic has reached this timestamp.
    Time(DateTime<Utc>),
    /// With the newest event that carries this marker. Topics without one start behind their
    /// newest event.
    Marker(String),
    /// Behind what a subscription had delivered when it gave this token.
    Token(String),
}

/// Events as they are stored, in the order of their numbers within each topic, without gap or
/// repeat. Events of different topics come in the order of their commits as far as one page
/// reaches (1,024 events or 1 MiB); no order across topics is promised.
///
/// Also a [`Stream`], which ends after the first error, or after the last event of a replay. One
/// error ends nothing: where events are missing because they were shredded, the gap is told once, as
/// `NotFound` with `topic`, `from`, `to` and `reason`, and then comes what follows it.
///
/// # Limits
/// Buffers one page. A slow reader slows nobody and loses nothing: what it has not read is read
/// from the store when it asks.
pub struct EventSubscription {
    state: State,
    tokens: Arc<Tokens>,
    ends: bool,
}

type Pending = Pin<Box<dyn Future<Output = (Subscription, Result<Option<Found>>)> + Send>>;

enum State {
    Idle(Box<Subscription>),
    Pending(Pending),
    Ended,
}

impl EventSubscription {
    pub(super) async fn start(
        streams: Arc<Streams>,
        tokens: Arc<Tokens>,
        topics: &TopicPattern,
        start: StartFrom,
    ) -> Result<Self> {
        let start = match start {
            StartFrom::Oldest => Start::Oldest,
            StartFrom::Now => Start::Now,
            StartFrom::After(seq) => Start::After(seq),
            StartFrom::Time(time) => Start::Time(time.into()),
            StartFrom::Marker(marker) => Start::Marker(marker),
            StartFrom::Token(token) => Start::Positions(open_token(&tokens, &token)?),
        };
        let subscription = streams.subscribe(topics.clone(), start).await?;
        Ok(Self { state: State::Idle(Box::new(subscription)), tokens, ends: false })
    }

    pub(super) fn ending(mut self) -> Self {
        self.ends = true;
        self
    }

    /// The next event; waits for it. `None` only at the end of a replay, or after an error that was
    /// not about a gap.
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
        let State::Idle(subscription) = &self.state else { return Ok(None) };
        let positions = encode_positions(&subscription.positions());
        self.tokens.seal(TokenKind::Subscription, &positions).map(Some)
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<StoredEvent>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Idle(subscription) => {
                    self.state = State::Pending(advance(*subscription, self.ends));
                }
                State::Pending(mut pending) => match pending.as_mut().poll(context) {
                    Poll::Pending => {
                        self.state = State::Pending(pending);
                        return Poll::Pending;
                    }
                    Poll::Ready((subscription, Ok(Some(found)))) => {
                        self.state = State::Idle(Box::new(subscription));
                        return Poll::Ready(Some(to_stored(found)));
                    }
                    Poll::Ready((_, Ok(None))) => return Poll::Ready(None),
                    Poll::Ready((subscription, Err(error))) => {
                        if is_gap(&error) {
                            self.state = State::Idle(Box::new(subscription));
                        }
                        return Poll::Ready(Some(Err(error)));
                    }
                },
            }
        }
    }
}

fn advance(mut subscription: Subscription, ends: bool) -> Pending {
    Box::pin(async move {
        let result =
            if ends { subscription.try_next().await } else { subscription.next().await.map(Some) };
        (subscription, result)
    })
}

impl Stream for EventSubscription {
    type Item = Result<StoredEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(context)
    }
}

impl fmt::Debug for EventSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSubscription").field("ends", &self.ends).finish_non_exhaustive()
    }
}

/// Whether an error tells of records that are missing on purpose.
fn is_gap(error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound && error.get("reason").is_some()
}

fn open_token(tokens: &Tokens, token: &str) -> Result<BTreeMap<u64, u64>> {
    let positions = tokens.open(TokenKind::Subscription, token)?;
    decode_positions(&positions).map_err(|error| {
        Error::new(ErrorKind::Invalid, "this is no token of a subscription").with_source(error)
    })
}
