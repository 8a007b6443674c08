//! A subscription or replay that can be polled.

use super::query::Found;
use super::streams::Streams;
use super::subscription::{Start, Subscription, decode_positions, encode_positions};
use super::token::{Purpose, Tokens};
use crate::model::{StartFrom, TopicPattern};
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Whether a subscription waits for what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtTheEnd {
    Wait,
    Stop,
}

/// Records of the topics that match, in the order of their numbers within each topic.
pub(crate) struct Following {
    state: State,
    streams: Arc<Streams>,
    tokens: Arc<Tokens>,
    at_the_end: AtTheEnd,
}

type Pending = Pin<Box<dyn Future<Output = (Subscription, Result<Option<Found>>)> + Send>>;

enum State {
    Idle(Box<Subscription>),
    Pending(Pending),
    Ended,
}

impl Following {
    pub(crate) async fn start(
        streams: Arc<Streams>,
        tokens: Arc<Tokens>,
        topics: &TopicPattern,
        start: StartFrom,
        at_the_end: AtTheEnd,
    ) -> Result<Self> {
        let start = match start {
            StartFrom::Oldest => Start::Oldest,
            StartFrom::Now => Start::Now,
            StartFrom::After(seq) => Start::After(seq),
            StartFrom::Time(time) => Start::Time(time.into()),
            StartFrom::Marker(marker) => Start::Marker(marker),
            StartFrom::Token(token) => Start::Positions(open_token(&streams, &tokens, &token)?),
        };
        let subscription = streams.subscribe(topics.clone(), start).await?;
        Ok(Self { state: State::Idle(Box::new(subscription)), streams, tokens, at_the_end })
    }

    pub(crate) const fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    /// What to start from to go on behind the last record delivered. `None` while a poll is
    /// pending, and after the end.
    ///
    /// # Errors
    /// `Unsupported` for a token that would be too long.
    pub(crate) fn token(&self) -> Result<Option<String>> {
        let State::Idle(subscription) = &self.state else { return Ok(None) };
        let positions = encode_positions(&subscription.positions());
        self.tokens.seal((self.streams.kind, Purpose::Subscription), &positions).map(Some)
    }

    /// The next record; ends where a replay ends, and after an error that says nothing of records:
    /// behind a gap and behind damage it goes on.
    pub(crate) fn poll_found(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Found>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Idle(subscription) => {
                    self.state = State::Pending(advance(*subscription, self.at_the_end));
                }
                State::Pending(mut pending) => match pending.as_mut().poll(context) {
                    Poll::Pending => {
                        self.state = State::Pending(pending);
                        return Poll::Pending;
                    }
                    Poll::Ready((subscription, Ok(Some(found)))) => {
                        self.state = State::Idle(Box::new(subscription));
                        return Poll::Ready(Some(Ok(found)));
                    }
                    Poll::Ready((_, Ok(None))) => return Poll::Ready(None),
                    Poll::Ready((subscription, Err(error))) => {
                        if error.kind() == ErrorKind::Corrupt || is_gap(&error) {
                            self.state = State::Idle(Box::new(subscription));
                        }
                        return Poll::Ready(Some(Err(error)));
                    }
                },
            }
        }
    }
}

fn advance(mut subscription: Subscription, at_the_end: AtTheEnd) -> Pending {
    Box::pin(async move {
        let result = match at_the_end {
            AtTheEnd::Stop => subscription.try_next().await,
            AtTheEnd::Wait => subscription.next().await.map(Some),
        };
        (subscription, result)
    })
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following").field("at_the_end", &self.at_the_end).finish_non_exhaustive()
    }
}

/// Whether an error tells of records that are missing on purpose.
fn is_gap(error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound && error.get("reason").is_some()
}

fn open_token(streams: &Streams, tokens: &Tokens, token: &str) -> Result<BTreeMap<u64, u64>> {
    let positions = tokens.open((streams.kind, Purpose::Subscription), token)?;
    decode_positions(&positions).map_err(|error| {
        Error::new(ErrorKind::Invalid, "this is no token of a subscription").with_source(error)
    })
}
