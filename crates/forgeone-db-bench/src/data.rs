//! Events from a seed, and sums that tell whether they came back.

use crate::Result;
use chrono::{DateTime, TimeDelta, Utc};
use forgeone_db::{EventMessage, EventPriority};
use std::collections::HashMap;
use uuid::Uuid;

/// Topics that events are spread over.
pub(crate) const TOPICS: usize = 16;
/// Bytes of a payload.
pub(crate) const PAYLOAD_BYTES: usize = 250;
/// Events of a batch.
pub(crate) const BATCH: usize = 1000;
/// Payloads must not compress further than this with zstd-1, all payloads of a batch together.
const RATIO_MAX: f64 = 2.0;
/// Random characters of a payload, six bits each.
const RANDOM_CHARS: usize = 172;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// `SplitMix64`: small, fast, and the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which REQUIRES: not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or(0)
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        let bytes = (u128::from(self.next()) << 64) | u128::from(self.next());
        uuid::Builder::from_random_bytes(bytes.to_be_bytes()).into_uuid()
    }
}

/// The name of topic `index`.
pub(crate) fn topic(index: usize) -> String {
    format!("bench.topic-{:02}", index % TOPICS)
}

/// The time of the first event.
pub(crate) fn start() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
        .checked_add_signed(TimeDelta::days(20_500))
        .expect("the day is in the calendar")
}

/// Makes events one after another, a millisecond apart.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    random: Random,
    made: u64,
}

impl Events {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), made: 0 }
    }

    /// The next event, in topic number `topic_index`.
    pub(crate) fn next(&mut self, topic_index: usize) -> EventMessage {
        let random = &mut self.random;
        let since = TimeDelta::milliseconds(i64::try_from(self.made).unwrap_or(0));
        self.made += 1;
        let priority =
            if random.below(50) == 0 { EventPriority::High } else { EventPriority::Normal };
        EventMessage {
            id: random.uuid(),
            topic: topic(topic_index),
            timestamp: start() + since,
            priority,
            payload: payload(random),
            metadata: HashMap::new(),
            checkpoint_marker: None,
        }
    }

    /// The next 1,000 events, all in topic number `topic_index`.
    pub(crate) fn batch(&mut self, topic_index: usize) -> Vec<EventMessage> {
        (0..BATCH).map(|_| self.next(topic_index)).collect()
    }
}

/// A JSON object of [`PAYLOAD_BYTES`], most of it random.
fn payload(random: &mut Random) -> String {
    let mut text = String::with_capacity(PAYLOAD_BYTES);
    text.push_str(r#"{"account":"acct-0042","action":"transfer","state":"ok","token":""#);
    let mut bits = 0;
    for index in 0..RANDOM_CHARS {
        if index % 10 == 0 {
            bits = random.next();
        }
        let place = usize::try_from(bits & 63).unwrap_or(0);
        text.push(ALPHABET.get(place).copied().map_or('A', char::from));
        bits >>= 6;
    }
    text.push('"');
    while text.len() + 1 < PAYLOAD_BYTES {
        text.push(' ');
    }
    text.push('}');
    text
}

/// How far zstd-1 compresses the payloads of a batch together.
///
/// # Errors
/// When it is further than the workloads allow.
pub(crate) fn payload_ratio(seed: u64) -> Result<f64> {
    let text: String = Events::new(seed).batch(0).into_iter().map(|event| event.payload).collect();
    let packed = zstd::bulk::compress(text.as_bytes(), 1)?;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let ratio = text.len() as f64 / packed.len() as f64;
    if ratio > RATIO_MAX {
        return Err(format!("payloads compress {ratio:.2} times, which is too much").into());
    }
    Ok(ratio)
}

/// How many events, and a sum over all their fields in which order does not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) count: u64,
    sum: u128,
}

impl Sum {
    pub(crate) fn add(&mut self, event: &EventMessage) {
        let mut hash = blake3::Hasher::new();
        hash.update(event.id.as_bytes());
        hash.update(&event.timestamp.timestamp_micros().to_be_bytes());
        hash.update(&[event.priority.level()]);
        hash.update(event.topic.as_bytes());
        hash.update(event.payload.as_bytes());
        let hash = hash.finalize();
        let half = hash.as_bytes().first_chunk().map_or(0, |half| u128::from_be_bytes(*half));
        self.sum = self.sum.wrapping_add(half);
        self.count += 1;
    }

    pub(crate) const fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// # Errors
    /// When `found` is not this.
    pub(crate) fn expect(&self, found: Self, of: &str) -> Result<()> {
        if *self == found {
            return Ok(());
        }
        Err(format!(
            "{of}: {} events were written, and {} others came back",
            self.count, found.count
        )
        .into())
    }
}
