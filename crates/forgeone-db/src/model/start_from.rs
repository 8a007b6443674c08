//! Where reading starts, and in which order.

use chrono::{DateTime, Utc};

/// Where a subscription or replay starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartFrom {
    /// With the oldest retained record.
    Oldest,
    /// With the first record stored after the subscription began.
    Now,
    /// Behind this number, in every topic. A number beyond the newest means behind the newest.
    After(u64),
    /// With the first record whose topic has reached this timestamp.
    Time(DateTime<Utc>),
    /// With the newest record that carries this marker. Topics without one start behind their
    /// newest record.
    Marker(String),
    /// Behind what a subscription had delivered when it gave this token.
    Token(String),
}

/// The order of a query's results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueryOrder {
    /// Oldest first: by timestamp, then topic, then seq.
    #[default]
    OldestFirst,
    /// The reverse.
    NewestFirst,
}
