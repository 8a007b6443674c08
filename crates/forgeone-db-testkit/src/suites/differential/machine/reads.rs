//! Reading back: by id, by number, by query, by replay.

use super::records::WORDS;
use super::{Machine, PATTERNS, Saved};
use crate::suites::differential::model::{Row, Topic, Topics, find};
use chrono::{DateTime, TimeDelta, Utc};
use forgeone_db::{
    Error, ErrorKind, EventPriority, EventQuery, LogQuery, QueryOrder, RedbManager, Result,
    Severity, StartFrom, TopicKind, TopicPattern,
};
use std::collections::BTreeMap;

/// An expression, and the same in plain code.
type Expression = (&'static str, fn(&[u8]) -> bool);

const EXPRESSIONS: [Expression; 4] = [
    ("time(out|r)", |line| has(line, b"timeout")),
    (r"took \d+ ms ", |line| has(line, b"took 17 ms ")),
    ("(?i)ALPHA|get", |line| has(line, b"alpha") || has(line, b"GET")),
    ("^beta", |line| line.starts_with(b"beta")),
];

fn has(line: &[u8], text: &[u8]) -> bool {
    text.is_empty() || line.windows(text.len()).any(|window| window == text)
}

/// A question to events or logs.
#[derive(Debug, Clone)]
struct Question {
    kind: TopicKind,
    pattern: &'static str,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    after: u64,
    level_min: u8,
    text: Option<&'static str>,
    expression: Option<Expression>,
    metadata: Option<(String, &'static str)>,
    order: QueryOrder,
    page: Option<u64>,
}

/// What a replay gives of one topic.
#[derive(Debug, PartialEq, Eq)]
enum Item {
    Row(Row),
    /// Up to this number all is gone.
    Gap(u64),
}

type Items = BTreeMap<String, Vec<Item>>;

impl Machine {
    pub(super) fn get_by_id(&mut self) -> Result<(), String> {
        let number = self.random.below(self.ids + 2);
        let (kind, id) = (self.kind(), Self::id_of(number));
        let topics = self.topics(kind);
        let all = topics.values().flat_map(Topic::live);
        let expected: Vec<Row> = all.filter(|row| row.id == Some(id)).map(Row::shown).collect();
        self.count(if expected.is_empty() { "ids not found" } else { "ids found" });
        let expected: Result<_, ErrorKind> = Ok(expected);
        self.bench.ask(&("id", kind, id), &expected, |store| {
            let found: Vec<Row> = if kind == TopicKind::Events {
                store.get_event(id).map_err(of_kind)?.into_iter().map(Row::from).collect()
            } else {
                store.get_log(id).map_err(of_kind)?.into_iter().map(Row::from).collect()
            };
            Ok(found)
        })
    }

    pub(super) fn get_by_number(&mut self) -> Result<(), String> {
        let kind = self.kind();
        let name = self.topic(kind);
        let last = self.topics(kind).get(name).map_or(0, Topic::last);
        let seq = self.random.below(last + 3);
        let row =
            self.topics(kind).get(name).and_then(|topic| topic.live().find(|row| row.seq == seq));
        let expected = row.map(Row::shown).ok_or(ErrorKind::NotFound);
        self.count(if expected.is_ok() { "numbers found" } else { "numbers not found" });
        self.bench.ask(&("number", kind, name, seq), &expected, |store| {
            if kind == TopicKind::Events {
                store.get_event_at(name, seq).map(Row::from).map_err(of_kind)
            } else {
                store.get_log_at(name, seq).map(Row::from).map_err(of_kind)
            }
        })
    }

    pub(super) fn list_topics(&mut self) -> Result<(), String> {
        self.count("topics listed");
        let kind = self.kind();
        let pattern = pattern(self.pick(&PATTERNS).unwrap_or(">"))?;
        let expected: Vec<(String, u64, u64, u64)> = self
            .topics(kind)
            .iter()
            .filter(|(name, _)| pattern.matches(name))
            .map(|(name, topic)| {
                (name.clone(), topic.floor + 1, topic.last(), topic.last() - topic.floor)
            })
            .collect();
        let expected: Result<_, ErrorKind> = Ok(expected);
        self.bench.ask(&("topics", kind, &pattern), &expected, |store| {
            let found = if kind == TopicKind::Events {
                store.topics(&pattern)
            } else {
                store.log_topics(&pattern)
            };
            let found = found.map_err(of_kind)?.into_iter();
            Ok(found.map(|info| (info.topic, info.first_seq, info.last_seq, info.count)).collect())
        })
    }

    fn question(&mut self) -> Question {
        let around = |machine: &mut Self| {
            let back = i64::try_from(machine.random.below(900)).unwrap_or(0);
            DateTime::from_timestamp(machine.clock - back, 0).unwrap_or_default()
        };
        let kind = self.kind();
        let is_log = kind == TopicKind::Logs;
        let levels = if is_log { 24 } else { 4 };
        let level_min = if self.one_in(3) { self.random.below(levels) } else { 0 };
        let key = format!("key{}", self.random.below(3));
        Question {
            kind,
            pattern: self.pick(&PATTERNS).unwrap_or(">"),
            from: self.one_in(2).then(|| around(self)),
            to: self.one_in(2).then(|| around(self)),
            after: if self.one_in(4) { self.random.below(100) } else { 0 },
            level_min: u8::try_from(level_min).unwrap_or(0) + u8::from(is_log),
            text: (is_log && self.one_in(3)).then(|| self.pick(&WORDS).unwrap_or_default()),
            expression: if is_log && self.one_in(3) { self.pick(&EXPRESSIONS) } else { None },
            metadata: (is_log && self.one_in(4))
                .then(|| (key, self.pick(&WORDS).unwrap_or_default())),
            order: if self.one_in(2) { QueryOrder::OldestFirst } else { QueryOrder::NewestFirst },
            page: self.one_in(2).then(|| 1 + self.random.below(40)),
        }
    }

    pub(super) fn query(&mut self) -> Result<(), String> {
        let question = self.question();
        self.count_shape(&question);
        let pattern = pattern(question.pattern)?;
        let mut expected = find(self.topics(question.kind), &pattern, |row| question.wants(row));
        if question.order == QueryOrder::NewestFirst {
            expected.reverse();
        }
        self.bench.ask(&question, &Ok(expected), |store| {
            question.answer(store).map_err(|error| format!("{error:?}"))
        })
    }

    fn count_shape(&mut self, question: &Question) {
        let is_log = question.kind == TopicKind::Logs;
        self.count(if is_log { "queries of logs" } else { "queries of events" });
        let parts = [
            (question.from.is_some() && question.to.is_none(), "queries from a time"),
            (question.from.is_none() && question.to.is_some(), "queries to a time"),
            (question.from.is_some() && question.to.is_some(), "queries between times"),
            (question.after > 0, "queries behind a number"),
            (question.level_min > u8::from(is_log), "queries by level"),
            (question.text.is_some(), "queries for a text"),
            (question.expression.is_some(), "queries for an expression"),
            (question.metadata.is_some(), "queries for metadata"),
            (question.order == QueryOrder::NewestFirst, "queries newest first"),
            (question.page.is_some(), "queries in pages"),
        ];
        parts.into_iter().filter(|(is, _)| *is).for_each(|(_, name)| self.count(name));
    }

    fn start(&mut self) -> (StartFrom, &'static str) {
        match self.random.below(5) {
            0 => (StartFrom::Oldest, "replays from the oldest"),
            1 => (StartFrom::Now, "replays from now"),
            2 => (StartFrom::After(self.random.below(150)), "replays behind a number"),
            3 => {
                let back = i64::try_from(self.random.below(900)).unwrap_or(0);
                let time = DateTime::from_timestamp(self.clock, 0).unwrap_or_default();
                (StartFrom::Time(time - TimeDelta::seconds(back)), "replays from a time")
            }
            _ => {
                let marker = format!("m{}", self.random.below(4));
                (StartFrom::Marker(marker), "replays from a marker")
            }
        }
    }

    /// Reads a part of a replay, keeps its token, and later goes on from there.
    pub(super) fn replay(&mut self) -> Result<(), String> {
        let kind = self.kind();
        let text = self.pick(&PATTERNS).unwrap_or(">");
        let (start, shape) = self.start();
        self.count(shape);
        let pattern = pattern(text)?;
        let positions = positions(self.topics(kind), &pattern, &start);
        let expected = positions.clone().map(|all| items(self.topics(kind), &pattern, &all));
        let what = ("replay", kind, text, &start);
        self.bench.ask(&what, &expected, |store| read(store, kind, &pattern, start.clone()))?;
        if let Ok(positions) = positions {
            let mut tokens = Vec::new();
            for subject in &self.bench.subjects {
                let token = token(&subject.store, kind, &pattern, start.clone());
                tokens.extend(token.map_err(|error| error.to_string())?);
            }
            self.saved.push(Saved { kind, pattern: text, tokens, positions });
        }
        if self.saved.len() > 20 {
            self.saved.remove(0);
        }
        Ok(())
    }

    /// Goes on behind a token that was given some time ago.
    pub(super) fn go_on(&mut self) -> Result<(), String> {
        if self.saved.is_empty() {
            return Ok(());
        }
        let index = usize::try_from(self.random.below(self.saved.len() as u64)).unwrap_or(0);
        let Saved { kind, pattern: text, tokens, positions } = self.saved.remove(index);
        self.count("replays behind a token");
        let pattern = pattern(text)?;
        let expected = items(self.topics(kind), &pattern, &positions);
        for (subject, token) in self.bench.subjects.iter().zip(tokens) {
            let found = read(&subject.store, kind, &pattern, StartFrom::Token(token));
            if found.as_ref() != Ok(&expected) {
                return Err(format!(
                    "{}: going on with {text} behind {positions:?}: {found:?}, expected {expected:?}",
                    subject.name
                ));
            }
        }
        Ok(())
    }
}

impl Question {
    fn wants(&self, row: &Row) -> bool {
        self.from.is_none_or(|from| row.time >= from)
            && self.to.is_none_or(|to| row.time < to)
            && row.seq > self.after
            && row.level >= self.level_min
            && self.text.is_none_or(|text| has(&row.bytes, text.as_bytes()))
            && self.expression.is_none_or(|(_, matches)| matches(&row.bytes))
            && self.metadata.as_ref().is_none_or(|(key, value)| {
                row.metadata.get(key).is_some_and(|found| found == value)
            })
    }

    /// All results, read in pages if the question says so, each from the cursor of the one before.
    fn answer(&self, store: &RedbManager) -> Result<Vec<Row>> {
        let mut rows: Vec<Row> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let before = rows.len();
            let next = if self.kind == TopicKind::Events {
                let mut results = store.query_events(self.events(cursor)?)?;
                for found in results.by_ref() {
                    rows.push(found?.into());
                }
                results.cursor()?
            } else {
                let mut results = store.query_logs(self.logs(cursor)?)?;
                for found in results.by_ref() {
                    rows.push(found?.into());
                }
                results.cursor()?
            };
            if self.page.is_none() || rows.len() == before {
                return Ok(rows);
            }
            cursor = next;
        }
    }

    fn events(&self, cursor: Option<String>) -> Result<EventQuery> {
        let mut query = EventQuery::new(TopicPattern::new(self.pattern)?)
            .after(self.after)
            .priority_min(EventPriority::from_level(self.level_min).unwrap_or_default())
            .order(self.order);
        query = self.from.into_iter().fold(query, EventQuery::from);
        query = self.to.into_iter().fold(query, EventQuery::to);
        query = self.page.into_iter().fold(query, EventQuery::limit);
        Ok(cursor.into_iter().fold(query, EventQuery::cursor))
    }

    fn logs(&self, cursor: Option<String>) -> Result<LogQuery> {
        let mut query = LogQuery::new(TopicPattern::new(self.pattern)?)
            .after(self.after)
            .severity_min(Severity::from_number(self.level_min).unwrap_or_default())
            .order(self.order);
        if let Some((expression, _)) = self.expression {
            query = query.regex(expression)?;
        }
        query = self.text.into_iter().fold(query, LogQuery::contains);
        let metadata = self.metadata.iter();
        query = metadata.fold(query, |query, (key, value)| query.metadata(key, *value));
        query = self.from.into_iter().fold(query, LogQuery::from);
        query = self.to.into_iter().fold(query, LogQuery::to);
        query = self.page.into_iter().fold(query, LogQuery::limit);
        Ok(cursor.into_iter().fold(query, LogQuery::cursor))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "an argument of map_err")]
fn of_kind(error: Error) -> ErrorKind {
    error.kind()
}

fn pattern(text: &str) -> Result<TopicPattern, String> {
    TopicPattern::new(text).map_err(|error| error.to_string())
}

/// The number behind which each topic that matches begins.
fn positions(
    topics: &Topics,
    pattern: &TopicPattern,
    start: &StartFrom,
) -> Result<BTreeMap<String, u64>, ErrorKind> {
    let mut positions = BTreeMap::new();
    let mut is_marked = false;
    for (name, topic) in topics.iter().filter(|(name, _)| pattern.matches(name)) {
        let position = match start {
            StartFrom::Oldest => topic.floor,
            StartFrom::After(seq) => topic.last().min(*seq),
            StartFrom::Now | StartFrom::Token(_) => topic.last(),
            StartFrom::Time(time) => {
                let before = topic.rows.iter().take_while(|row| row.time < *time).count() as u64;
                before.max(topic.floor)
            }
            StartFrom::Marker(marker) => {
                let marked = topic.live().filter(|row| row.marker.as_ref() == Some(marker)).last();
                is_marked |= marked.is_some();
                marked.map_or(topic.last(), |row| row.seq - 1)
            }
        };
        positions.insert(name.clone(), position);
    }
    let is_none = matches!(start, StartFrom::Marker(_)) && !is_marked;
    if is_none { Err(ErrorKind::NotFound) } else { Ok(positions) }
}

/// What comes behind these positions; topics that are new since come whole.
fn items(topics: &Topics, pattern: &TopicPattern, positions: &BTreeMap<String, u64>) -> Items {
    let mut items = Items::new();
    for (name, topic) in topics.iter().filter(|(name, _)| pattern.matches(name)) {
        let position = positions.get(name).copied().unwrap_or(0);
        let gap = (position < topic.floor).then_some(Item::Gap(topic.floor));
        let rows = topic.live().filter(|row| row.seq > position);
        let all: Vec<Item> =
            gap.into_iter().chain(rows.map(|row| Item::Row(row.shown()))).collect();
        if !all.is_empty() {
            items.insert(name.clone(), all);
        }
    }
    items
}

fn read(
    store: &RedbManager,
    kind: TopicKind,
    pattern: &TopicPattern,
    start: StartFrom,
) -> Result<Items, ErrorKind> {
    let mut items = Items::new();
    let mut add = |found: Result<Row>| {
        let (topic, item) = match found {
            Ok(row) => (row.topic.clone(), Item::Row(row)),
            Err(error) => {
                let to = error.get("to").and_then(|to| to.parse().ok());
                let (Some(topic), Some(to)) = (error.get("topic"), to) else {
                    return Err(error.kind());
                };
                (topic.to_owned(), Item::Gap(to))
            }
        };
        items.entry(topic).or_default().push(item);
        Ok(())
    };
    if kind == TopicKind::Events {
        let mut all = store.replay(pattern, start).map_err(of_kind)?;
        all.try_for_each(|found| add(found.map(Row::from)))?;
    } else {
        let mut all = store.replay_logs(pattern, start).map_err(of_kind)?;
        all.try_for_each(|found| add(found.map(Row::from)))?;
    }
    Ok(items)
}

fn token(
    store: &RedbManager,
    kind: TopicKind,
    pattern: &TopicPattern,
    start: StartFrom,
) -> Result<Option<String>> {
    if kind == TopicKind::Events {
        store.replay(pattern, start)?.token()
    } else {
        store.replay_logs(pattern, start)?.token()
    }
}
