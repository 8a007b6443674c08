//! What a store is asked, what it must answer, and how an answer is judged: right, or an error that
//! covers what is missing. Anything else is wrong.

use super::{EVENT_TOPICS, LOG_TOPICS};
use forgeone_db::{
    Error, ErrorKind, EventMessage, EventQuery, LogEntry, LogQuery, MetadataEntry, QueryOrder,
    RedbManager, Result, Setting, SettingVersion, StartFrom, StoredFlag, TopicInfo, TopicPattern,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use uuid::Uuid;

/// More results than a specimen has records: a stream of errors without an end is one, too.
const RESULTS_MAX: usize = 5000;
/// Word in the lines of a tenth of the logs.
const NEEDLE: &str = "needle3";

/// What a store says when it is sound.
#[derive(Debug)]
pub(crate) struct Answers {
    events: BTreeMap<&'static str, Numbered<EventMessage>>,
    logs: BTreeMap<&'static str, Numbered<LogEntry>>,
    topics: Vec<TopicInfo>,
    settings: Vec<Setting>,
    history: Vec<SettingVersion>,
    flags: Vec<StoredFlag>,
    metadata: Vec<MetadataEntry>,
}

type Numbered<T> = BTreeMap<u64, T>;

/// How a store has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Verdict {
    /// Answers that were right as a whole.
    pub(crate) right: u64,
    /// Answers that were, or had in them, an error.
    pub(crate) errors: u64,
}

impl Answers {
    /// Asks a sound store.
    pub(crate) fn of(store: &RedbManager) -> Result<Self, String> {
        let failed = |error: Error| error.to_string();
        let mut events = BTreeMap::new();
        for topic in EVENT_TOPICS {
            events.insert(topic, replay(store, topic).map_err(failed)?);
        }
        let mut logs = BTreeMap::new();
        for topic in LOG_TOPICS {
            logs.insert(topic, replay_logs(store, topic).map_err(failed)?);
        }
        let (metadata, flags) = (store.list_metadata(""), store.list_flags());
        Ok(Self {
            events,
            logs,
            topics: store.topics(&TopicPattern::all()).map(known).map_err(failed)?,
            settings: store.list_settings("").collect::<Result<_>>().map_err(failed)?,
            history: history(store).map_err(failed)?,
            flags: flags.collect::<Result<_>>().map_err(failed)?,
            metadata: metadata.collect::<Result<_>>().map_err(failed)?,
        })
    }

    /// How many records there are.
    pub(crate) fn records(&self) -> usize {
        let events: usize = self.events.values().map(BTreeMap::len).sum();
        events + self.logs.values().map(BTreeMap::len).sum::<usize>()
    }

    /// Asks a store that may be damaged.
    ///
    /// # Errors
    /// The answer that was wrong.
    pub(crate) fn compare(&self, store: &RedbManager) -> Result<Verdict, String> {
        let mut verdict = Verdict::default();
        for (topic, truth) in &self.events {
            compare_events(store, topic, truth, &mut verdict)
                .map_err(|wrong| format!("events {topic}: {wrong}"))?;
        }
        for (topic, truth) in &self.logs {
            compare_logs(store, topic, truth, &mut verdict)
                .map_err(|wrong| format!("logs {topic}: {wrong}"))?;
        }
        let all = TopicPattern::all();
        let topics = store.topics(&all).map(known).map(|topics| self.with_unknown_times(topics));
        verdict.one("topics", &self.topics, topics)?;
        verdict.one("settings", &self.settings, store.list_settings("").collect())?;
        verdict.one("history", &self.history, history(store))?;
        verdict.one("flags", &self.flags, store.list_flags().collect())?;
        verdict.one("metadata", &self.metadata, store.list_metadata("").collect())?;
        for setting in &self.settings {
            verdict.one("a setting", &Some(setting.clone()), store.get_setting(&setting.key))?;
        }
        verdict.one("an absent setting", &None, store.get_setting("absent"))?;
        Ok(verdict)
    }
}

impl Answers {
    /// Of a topic that has lost records nobody knows the greatest time: it may say so.
    fn with_unknown_times(&self, mut topics: Vec<TopicInfo>) -> Vec<TopicInfo> {
        for topic in topics.iter_mut().filter(|topic| topic.last_timestamp.is_none()) {
            let truth = self.topics.iter().find(|truth| truth.topic == topic.topic);
            topic.last_timestamp = truth.and_then(|truth| truth.last_timestamp);
        }
        topics
    }
}

fn compare_events(
    store: &RedbManager,
    topic: &str,
    truth: &Numbered<EventMessage>,
    verdict: &mut Verdict,
) -> Result<(), String> {
    let exact = || TopicPattern::exact(topic).map_err(|error| error.to_string());
    let pair = |found: forgeone_db::StoredEvent| (found.seq, found.event);
    verdict.many("replay", truth, store.replay(&exact()?, StartFrom::Oldest), pair)?;
    let newest = EventQuery::new(exact()?).order(QueryOrder::NewestFirst);
    verdict.many("newest first", truth, store.query_events(newest), pair)?;
    let late = |event: &EventMessage| event.timestamp.timestamp() < 1_600_000_000;
    let some: Numbered<_> =
        truth.iter().filter(|(_, event)| late(event)).map(|(n, e)| (*n, e.clone())).collect();
    let to = chrono::DateTime::from_timestamp(1_600_000_000, 0).unwrap_or_default();
    verdict.many("late", &some, store.query_events(EventQuery::new(exact()?).to(to)), pair)?;
    for (seq, event) in truth.iter().step_by(7) {
        let found = store.get_event(event.id);
        let found = found.map(|found| found.into_iter().map(pair).collect::<Vec<_>>());
        verdict.one("by id", &vec![(*seq, event.clone())], found)?;
        verdict.one("by number", event, store.get_event_at(topic, *seq).map(|one| one.event))?;
    }
    verdict.one("an unknown id", &0, store.get_event(Uuid::from_u128(9)).map(|all| all.len()))
}

fn compare_logs(
    store: &RedbManager,
    topic: &str,
    truth: &Numbered<LogEntry>,
    verdict: &mut Verdict,
) -> Result<(), String> {
    let exact = || TopicPattern::exact(topic).map_err(|error| error.to_string());
    let pair = |found: forgeone_db::StoredLogEntry| (found.seq, found.entry);
    verdict.many("replay", truth, store.replay_logs(&exact()?, StartFrom::Oldest), pair)?;
    let some: Numbered<_> = truth
        .iter()
        .filter(|(_, entry)| entry.message.contains(NEEDLE))
        .map(|(number, entry)| (*number, entry.clone()))
        .collect();
    let search = LogQuery::new(exact()?).contains(NEEDLE);
    verdict.many("search", &some, store.query_logs(search), pair)?;
    if let Some((_, entry)) = truth.last_key_value() {
        let found = store.get_log(entry.id);
        let found = found.map(|all| all.into_iter().map(|one| one.entry).collect::<Vec<_>>());
        verdict.one("by id", &vec![entry.clone()], found)?;
    }
    Ok(())
}

impl Verdict {
    /// One answer: the truth or an error.
    fn one<T: PartialEq + Debug>(
        &mut self,
        what: &str,
        truth: &T,
        found: Result<T>,
    ) -> Result<(), String> {
        match found {
            Ok(found) if found == *truth => self.right += 1,
            Ok(found) => return Err(format!("{what}: {found:?} instead of {truth:?}")),
            Err(error) => self.error(what, &error)?,
        }
        Ok(())
    }

    /// A stream of records, each of which is right and comes once; whatever does not come is
    /// covered by an error.
    fn many<T: PartialEq + Debug, F>(
        &mut self,
        what: &str,
        truth: &Numbered<T>,
        results: Result<impl Iterator<Item = Result<F>>>,
        pair: fn(F) -> (u64, T),
    ) -> Result<(), String> {
        let results = match results {
            Ok(results) => results,
            Err(error) => return self.error(what, &error),
        };
        let mut missing: BTreeSet<u64> = truth.keys().copied().collect();
        let mut seen = BTreeSet::new();
        let (mut count, mut told) = (0, Vec::new());
        for result in results {
            count += 1;
            if count > RESULTS_MAX {
                return Err(format!("{what}: no end, {:?}", told.last()));
            }
            match result.map(pair) {
                Ok((seq, found)) => {
                    if truth.get(&seq) != Some(&found) {
                        return Err(format!("{what}: number {seq} is {found:?}"));
                    }
                    if !seen.insert(seq) {
                        return Err(format!("{what}: number {seq} came twice"));
                    }
                    missing.remove(&seq);
                }
                Err(error) => {
                    self.error(what, &error)?;
                    told.push(error.to_string());
                    let bound = |name| error.get(name).and_then(|text| text.parse::<u64>().ok());
                    match (bound("from"), bound("to")) {
                        (Some(from), Some(to)) => {
                            missing.retain(|seq| !(from..=to).contains(seq));
                        }
                        _ => missing.clear(),
                    }
                }
            }
        }
        if let Some(seq) = missing.first() {
            return Err(format!("{what}: number {seq} is missing, and told was only {told:?}"));
        }
        self.right += u64::from(told.is_empty());
        Ok(())
    }

    fn error(&mut self, what: &str, error: &Error) -> Result<(), String> {
        self.errors += 1;
        check_kind(error).map_err(|wrong| format!("{what}: {wrong}"))
    }
}

/// Damage is damage: an error that blames the caller, or says that there is nothing, is wrong.
pub(crate) fn check_kind(error: &Error) -> Result<(), String> {
    match error.kind() {
        ErrorKind::Corrupt
        | ErrorKind::UpgradeRequired
        | ErrorKind::Unavailable
        | ErrorKind::WrongKey
        | ErrorKind::Closed(_) => Ok(()),
        kind => Err(format!("an error of kind {kind:?}: {error}")),
    }
}

/// The specimen's own topics, but for how they are stored: a writer seals what it finds damaged.
fn known(mut topics: Vec<TopicInfo>) -> Vec<TopicInfo> {
    topics.retain(|topic| EVENT_TOPICS.contains(&&*topic.topic));
    for topic in &mut topics {
        (topic.segments, topic.sealed_raw_bytes, topic.sealed_bytes) = (0, 0, 0);
    }
    topics
}

fn replay(store: &RedbManager, topic: &str) -> Result<Numbered<EventMessage>> {
    let events = store.replay(&TopicPattern::exact(topic)?, StartFrom::Oldest)?;
    events.map(|event| event.map(|event| (event.seq, event.event))).collect()
}

fn replay_logs(store: &RedbManager, topic: &str) -> Result<Numbered<LogEntry>> {
    let entries = store.replay_logs(&TopicPattern::exact(topic)?, StartFrom::Oldest)?;
    entries.map(|entry| entry.map(|entry| (entry.seq, entry.entry))).collect()
}

fn history(store: &RedbManager) -> Result<Vec<SettingVersion>> {
    store.setting_history("setting.1")?.collect()
}
