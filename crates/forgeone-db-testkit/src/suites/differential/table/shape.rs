//! The table of shapes: every way to ask, by number.

use super::answer::Line;
use super::states::Rows;
use chrono::{DateTime, Utc};
use forgeone_db::{
    EventPriority, EventQuery, LogQuery, QueryOrder, RedbManager, Result, Severity, StartFrom,
    TopicPattern,
};

/// A pattern, and the topics that it means, written out.
const PATTERNS: [(&str, &[&str]); 8] = [
    (">", &["shop.eu.paid", "shop.eu", "shop.us.paid", "till", "web", "web.front.a"]),
    ("*", &["till", "web"]),
    ("shop.eu", &["shop.eu"]),
    ("shop.*", &["shop.eu"]),
    ("shop.>", &["shop.eu.paid", "shop.eu", "shop.us.paid"]),
    ("*.*.paid", &["shop.eu.paid", "shop.us.paid"]),
    ("web.*.a", &["web.front.a"]),
    ("nothing", &[]),
];
/// From and to, in seconds.
const WINDOWS: [(Option<i64>, Option<i64>); 9] = [
    (None, None),
    (Some(10_300), None),
    (None, Some(10_300)),
    (Some(10_150), Some(10_450)),
    (Some(10_500), Some(10_501)),
    (Some(10_450), Some(10_150)),
    (Some(0), Some(20_000)),
    (Some(20_000), None),
    (None, Some(0)),
];
const AFTER: [u64; 4] = [0, 1, 9, 1_000];
const LIMITS: [Option<u64>; 4] = [None, Some(0), Some(1), Some(7)];
const ORDERS: [QueryOrder; 2] = [QueryOrder::OldestFirst, QueryOrder::NewestFirst];
const TEXTS: [Option<&str>; 4] = [None, Some("error"), Some(""), Some("caf\u{e9}")];
const EXPRESSIONS: [Option<&str>; 3] = [None, Some("^error"), Some("[0-9]+ ms")];
const HOSTS: [Option<&str>; 3] = [None, Some("north"), Some("nowhere")];

/// Shapes of events, then those of logs.
const EVENT_SHAPES: u64 = 8 * 9 * 4 * 4 * 3 * 2 * 2;
pub(super) const SHAPES: u64 = EVENT_SHAPES * 2 * 4 * 3 * 3;

/// One way to ask.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) is_log: bool,
    pattern: (&'static str, &'static [&'static str]),
    window: (Option<i64>, Option<i64>),
    after: u64,
    limit: Option<u64>,
    level_min: u8,
    order: QueryOrder,
    /// Whether to go on, behind the limit, from the cursor.
    in_pages: bool,
    text: Option<&'static str>,
    expression: Option<&'static str>,
    host: Option<&'static str>,
}

/// Takes a number apart, digit by digit, each of its own base.
struct Digits(u64);

impl Digits {
    fn next<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let base = of.len() as u64;
        let digit = usize::try_from(self.0.checked_rem(base)?).ok()?;
        self.0 /= base;
        of.get(digit).copied()
    }
}

impl Shape {
    pub(super) fn of(number: u64) -> Self {
        let mut digits = Digits(number);
        let is_log = digits.next(&[false, true]).unwrap_or(false);
        let levels: [u8; 3] = if is_log { [1, 12, 24] } else { [0, 1, 3] };
        Self {
            is_log,
            pattern: digits.next(&PATTERNS).unwrap_or_default(),
            window: digits.next(&WINDOWS).unwrap_or_default(),
            after: digits.next(&AFTER).unwrap_or_default(),
            limit: digits.next(&LIMITS).unwrap_or_default(),
            level_min: digits.next(&levels).unwrap_or_default(),
            order: digits.next(&ORDERS).unwrap_or_default(),
            in_pages: digits.next(&[false, true]).unwrap_or_default(),
            text: digits.next(&TEXTS).flatten().filter(|_| is_log),
            expression: digits.next(&EXPRESSIONS).flatten().filter(|_| is_log),
            host: digits.next(&HOSTS).flatten().filter(|_| is_log),
        }
    }

    fn wants(&self, line: &Line) -> bool {
        let expression = match self.expression {
            None => true,
            Some("^error") => line.text.starts_with("error"),
            // A number before the unit: of the texts, one has it.
            Some(_) => line.text.contains("30 ms"),
        };
        let (from, to) = self.window;
        !line.gone
            && line.is_log == self.is_log
            && self.pattern.1.contains(&line.topic.as_str())
            && from.is_none_or(|from| from <= line.at)
            && to.is_none_or(|to| line.at < to)
            && line.seq > self.after
            && line.level >= self.level_min
            && self.text.is_none_or(|text| line.text.contains(text))
            && expression
            && (self.host.is_none() || self.host == line.host.as_deref())
    }

    pub(super) fn expected(&self, rows: &Rows) -> Result<Vec<Line>, String> {
        let mut lines: Vec<Line> =
            rows.lines.iter().filter(|line| self.wants(line)).cloned().collect();
        lines.sort_by_key(|line| (line.at, line.topic.clone(), line.seq));
        if self.order == QueryOrder::NewestFirst {
            lines.reverse();
        }
        let all = self.in_pages && self.limit != Some(0);
        if let Some(limit) = self.limit.filter(|_| !all) {
            lines.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        Ok(lines)
    }

    pub(super) fn ask(&self, store: &RedbManager) -> Result<Vec<Line>, String> {
        self.try_ask(store).map_err(|error| format!("{error:?}"))
    }

    fn try_ask(&self, store: &RedbManager) -> Result<Vec<Line>> {
        let (mut lines, mut cursor) = (Vec::new(), None);
        loop {
            let (page, next) = self.page(store, cursor)?;
            let is_end = page.is_empty() || !self.in_pages || self.limit.is_none();
            lines.extend(page);
            if is_end {
                return Ok(lines);
            }
            cursor = next;
        }
    }

    fn page(
        &self,
        store: &RedbManager,
        cursor: Option<String>,
    ) -> Result<(Vec<Line>, Option<String>)> {
        let topics = TopicPattern::new(self.pattern.0)?;
        if !self.is_log {
            let mut query = EventQuery::new(topics).order(self.order);
            if let Some(from) = self.window.0 {
                query = query.from(time(from));
            }
            if let Some(to) = self.window.1 {
                query = query.to(time(to));
            }
            if self.after > 0 {
                query = query.after(self.after);
            }
            if let Some(priority) = EventPriority::from_level(self.level_min) {
                query = query.priority_min(priority);
            }
            if let Some(limit) = self.limit {
                query = query.limit(limit);
            }
            if let Some(cursor) = cursor {
                query = query.cursor(cursor);
            }
            let mut results = store.query_events(query)?;
            let lines = results.by_ref().map(|found| found.map(Line::of_event));
            let lines = lines.collect::<Result<Vec<_>>>()?;
            return Ok((lines, results.cursor()?));
        }
        let mut query = LogQuery::new(topics).order(self.order).after(self.after);
        if let Some(from) = self.window.0 {
            query = query.from(time(from));
        }
        if let Some(to) = self.window.1 {
            query = query.to(time(to));
        }
        if let Some(severity) = Severity::from_number(self.level_min) {
            query = query.severity_min(severity);
        }
        if let Some(limit) = self.limit {
            query = query.limit(limit);
        }
        if let Some(text) = self.text {
            query = query.contains(text);
        }
        if let Some(expression) = self.expression {
            query = query.regex(expression)?;
        }
        if let Some(host) = self.host {
            query = query.metadata("host", host);
        }
        if let Some(cursor) = cursor {
            query = query.cursor(cursor);
        }
        let mut results = store.query_logs(query)?;
        let lines = results.by_ref().map(|found| found.map(Line::of_log));
        let lines = lines.collect::<Result<Vec<_>>>()?;
        Ok((lines, results.cursor()?))
    }
}

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

/// Where a replay starts.
#[derive(Debug, Clone, Copy)]
enum Start {
    Oldest,
    Now,
    After(u64),
    Time(i64),
    Marker(&'static str),
}

const STARTS: [Start; 11] = [
    Start::Oldest,
    Start::Now,
    Start::After(0),
    Start::After(5),
    Start::After(1_000),
    Start::Time(0),
    Start::Time(10_300),
    Start::Time(20_000),
    Start::Marker("noon"),
    Start::Marker("night"),
    Start::Marker("never"),
];
pub(super) const REPLAYS: u64 = 2 * 8 * 11;

/// One way to replay.
#[derive(Debug)]
pub(super) struct Replay {
    is_log: bool,
    pattern: (&'static str, &'static [&'static str]),
    start: Start,
}

impl Replay {
    pub(super) fn of(number: u64) -> Self {
        let mut digits = Digits(number);
        Self {
            is_log: digits.next(&[false, true]).unwrap_or(false),
            pattern: digits.next(&PATTERNS).unwrap_or_default(),
            start: digits.next(&STARTS).unwrap_or(Start::Oldest),
        }
    }

    /// By topic, then number; what is gone is not there. No record is a marker's: `NotFound`.
    pub(super) fn expected(&self, rows: &Rows) -> Result<Vec<Line>, String> {
        let mut topics: Vec<&str> = self.pattern.1.to_vec();
        topics.sort_unstable();
        let (mut found, mut is_marked) = (Vec::new(), false);
        for topic in topics {
            let of_topic: Vec<&Line> = rows
                .lines
                .iter()
                .filter(|line| line.is_log == self.is_log && line.topic == topic)
                .collect();
            let first = match self.start {
                Start::Oldest => 1,
                Start::Now => u64::MAX,
                Start::After(seq) => seq + 1,
                Start::Time(at) => {
                    let reached = of_topic.iter().find(|line| line.at >= at);
                    reached.map_or(u64::MAX, |line| line.seq)
                }
                Start::Marker(marker) => {
                    let marked = of_topic
                        .iter()
                        .rev()
                        .find(|line| !line.gone && line.marker.as_deref() == Some(marker));
                    is_marked |= marked.is_some();
                    marked.map_or(u64::MAX, |line| line.seq)
                }
            };
            let live = of_topic.into_iter().filter(|line| line.seq >= first && !line.gone);
            found.extend(live.cloned());
        }
        if matches!(self.start, Start::Marker(_)) && !is_marked {
            return Err("NotFound".into());
        }
        Ok(found)
    }

    pub(super) fn ask(&self, store: &RedbManager) -> Result<Vec<Line>, String> {
        self.try_ask(store).map_err(|error| format!("{:?}", error.kind()))
    }

    fn try_ask(&self, store: &RedbManager) -> Result<Vec<Line>> {
        let topics = TopicPattern::new(self.pattern.0)?;
        let start = match self.start {
            Start::Oldest => StartFrom::Oldest,
            Start::Now => StartFrom::Now,
            Start::After(seq) => StartFrom::After(seq),
            Start::Time(at) => StartFrom::Time(time(at)),
            Start::Marker(marker) => StartFrom::Marker(marker.to_owned()),
        };
        let found: Vec<Result<Line>> = if self.is_log {
            store.replay_logs(&topics, start)?.map(|found| found.map(Line::of_log)).collect()
        } else {
            store.replay(&topics, start)?.map(|found| found.map(Line::of_event)).collect()
        };
        // A gap is told as an error, and then comes what follows it.
        let is_gap = |found: &Result<Line>| {
            found.as_ref().is_err_and(|error| error.get("reason") == Some("shredded"))
        };
        let mut lines =
            found.into_iter().filter(|found| !is_gap(found)).collect::<Result<Vec<_>>>()?;
        lines.sort_by_key(|line| line.topic.clone());
        Ok(lines)
    }
}
