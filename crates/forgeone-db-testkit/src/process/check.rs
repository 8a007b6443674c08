//! Compares a store with what is known from outside.

use super::oracle::{Fate, Oracle};
use super::plan::{Op, OpName, Plan, RecordName, TOPICS, is_shredded_at_times, name_in};
use forgeone_db::{
    ErrorKind, RedbManager, SettingVersion, SettingsUpdate, StartFrom, StoredEvent, StoredLogEntry,
    TopicInfo, TopicKind, TopicPattern, VerifyDepth, WatchFrom,
};
use serde_json::Value;

/// How much of a store is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What came since the last check.
    New,
    /// The same, and `verify`.
    Verified,
    /// Everything from the beginning, and `verify` at its deepest.
    All,
}

/// What was read of a topic: numbers and names, in order.
type Read = Vec<(u64, RecordName)>;

/// Compares a store that no worker has open.
///
/// # Errors
/// What is missing, changed, out of order, there twice, or there without having been sent.
pub(crate) fn check(oracle: &mut Oracle, store: &RedbManager, depth: Depth) -> Result<(), String> {
    for topic in 0..TOPICS.len() {
        read_topic(oracle, store, topic)?;
    }
    read_settings(oracle, store)?;
    read_facts(oracle, store)?;
    for op in std::mem::take(&mut oracle.fresh) {
        settle(oracle, op)?;
    }
    for (topic, seq, name) in std::mem::take(&mut oracle.seen) {
        let found = oracle.places.get(&name);
        if found != Some(&(topic, seq)) && !is_gone(oracle, topic, seq) {
            return Err(format!("a reader saw {name} as {topic}/{seq}; it is at {found:?}"));
        }
    }
    if depth == Depth::All {
        read_again(oracle, store)?;
    }
    let verify = match depth {
        Depth::New => return Ok(()),
        Depth::Verified => VerifyDepth::Standard,
        Depth::All => VerifyDepth::Deep,
    };
    let report = store.verify(verify, |_| ()).map_err(|error| format!("verify: {error}"))?;
    if report.is_sound() { Ok(()) } else { Err(format!("verify: {:#?}", report.findings)) }
}

fn is_gone(oracle: &Oracle, topic: usize, seq: u64) -> bool {
    oracle.topics.get(topic).is_some_and(|state| seq <= state.floor)
}

fn info(store: &RedbManager, topic: usize) -> Result<Option<TopicInfo>, String> {
    let Some((kind, name)) = TOPICS.get(topic) else { return Ok(None) };
    let pattern = TopicPattern::exact(*name).map_err(|error| error.to_string())?;
    let found = match kind {
        TopicKind::Events => store.topics(&pattern),
        TopicKind::Logs => store.log_topics(&pattern),
        _ => return Ok(None),
    };
    Ok(found.map_err(|error| format!("topics: {error}"))?.pop())
}

/// Reads what is new in a topic, and takes note of what is gone.
fn read_topic(oracle: &mut Oracle, store: &RedbManager, topic: usize) -> Result<(), String> {
    let before = oracle.topics.get(topic).copied().unwrap_or_default();
    let info = info(store, topic)?;
    let (first, last) = info.map_or((1, 0), |info| (info.first_seq, info.last_seq));
    let floor = first.saturating_sub(1);
    if floor < before.floor {
        return Err(format!("topic {topic}: {floor} records are gone, not {}", before.floor));
    }
    let open = oracle.shreds.iter().any(|(open, _)| *open == topic);
    if floor > before.floor && !open {
        return Err(format!("topic {topic}: records up to {floor} are gone, nobody shredded them"));
    }
    // A worker that opened the store since has ended what was begun.
    let opened = oracle.opened;
    oracle.shreds.retain(|(open, by)| *open != topic || by.cycle >= opened);
    let found = records(oracle, store, topic, before.read.max(floor))?;
    let mut read = before.read.max(floor);
    for (seq, name) in &found {
        if *seq != read + 1 {
            return Err(format!("topic {topic} has {seq} where {} belongs", read + 1));
        }
        read = *seq;
        let known = oracle.ops.get(&name.op);
        let Some(known) = known.filter(|known| known.fate != Fate::Rejected) else {
            return Err(format!("topic {topic}/{seq} is {name}: never sent, or refused"));
        };
        if known.fate == Fate::Absent {
            return Err(format!("topic {topic}/{seq} is {name}, which was not there before"));
        }
        if known.behind.get(topic).is_some_and(|behind| *seq <= *behind) {
            return Err(format!(
                "topic {topic}/{seq} is {name}, sent when {} was acknowledged",
                known.behind.get(topic).unwrap_or(&0)
            ));
        }
        if let Some(place) = oracle.places.insert(*name, (topic, *seq)) {
            return Err(format!("{name} is at {place:?} and at {topic}/{seq}"));
        }
    }
    if read != last.max(floor) {
        return Err(format!("topic {topic} ends with {read}, and is said to with {last}"));
    }
    if let Some(state) = oracle.topics.get_mut(topic) {
        (state.read, state.floor) = (read, floor);
    }
    Ok(())
}

/// Reads a topic behind a number; every record must be what its name says.
fn records(oracle: &Oracle, store: &RedbManager, topic: usize, after: u64) -> Result<Read, String> {
    let Some((kind, name)) = TOPICS.get(topic) else { return Ok(Vec::new()) };
    let pattern = TopicPattern::exact(*name).map_err(|error| error.to_string())?;
    let failed = |error: forgeone_db::Error| format!("reading {name} behind {after}: {error}");
    let start = StartFrom::After(after);
    if *kind == TopicKind::Events {
        let found = store.replay(&pattern, start).map_err(failed)?;
        found
            .map(|found| found.map_err(failed).and_then(|one| event(oracle, topic, &one)))
            .collect()
    } else {
        let found = store.replay_logs(&pattern, start).map_err(failed)?;
        found.map(|found| found.map_err(failed).and_then(|one| log(oracle, topic, &one))).collect()
    }
}

fn event(oracle: &Oracle, topic: usize, found: &StoredEvent) -> Result<(u64, RecordName), String> {
    let name = RecordName::of_id(found.event.id);
    part_of(oracle, topic, name)?;
    if found.event != oracle.plan.event(name, &found.event.topic) {
        return Err(format!("{name} at {topic}/{} is changed: {:?}", found.seq, found.event));
    }
    Ok((found.seq, name))
}

fn log(oracle: &Oracle, topic: usize, found: &StoredLogEntry) -> Result<(u64, RecordName), String> {
    let StoredLogEntry { entry, seq } = found;
    let changed = || format!("{topic}/{seq} is changed: {entry:?}");
    let name = name_in(entry.line()).ok_or_else(changed)?;
    let Op::Append { ids, .. } = part_of(oracle, topic, name)? else { return Err(changed()) };
    let wanted = oracle.plan.log(name, &entry.topic, ids);
    let same = wanted.line == entry.line()
        && wanted.timestamp == entry.timestamp
        && wanted.severity == entry.severity
        && wanted.line_end == entry.line_end
        && wanted.metadata == entry.metadata
        && wanted.id.is_none_or(|id| id == entry.id);
    entry.check().map_err(|error| error.to_string())?;
    if same { Ok((*seq, name)) } else { Err(changed()) }
}

/// The operation, if a record of this name belongs into this topic.
fn part_of(oracle: &Oracle, topic: usize, name: RecordName) -> Result<Op, String> {
    let op = oracle.plan.op(name.op);
    let Op::Append { topics, .. } = &op else { return Err(format!("{name} is no record")) };
    let part = usize::try_from(name.part).unwrap_or(usize::MAX);
    if topics.get(part) == Some(&topic) {
        Ok(op)
    } else {
        Err(format!("{name} does not belong into topic {topic}"))
    }
}

/// Says what became of an operation, from what was found of it.
fn settle(oracle: &mut Oracle, name: OpName) -> Result<(), String> {
    let Some(known) = oracle.ops.get(&name) else { return Ok(()) };
    let found = match oracle.plan.op(name) {
        Op::Append { topics, .. } => records_of(oracle, name, &topics)?,
        Op::Set { .. } | Op::Flag { .. } => oracle.settings.made.get(&name).cloned(),
        Op::Fact { name: fact } => {
            let present = oracle.settings.facts.get(&fact) == Some(&name);
            let overwritten = oracle.settings.facts.get(&fact).is_some_and(|later| *later > name);
            (present || overwritten && known.fate == Fate::Acked).then(Vec::new)
        }
        Op::Chore(_) => return Ok(()),
    };
    let numbers: Vec<u64> = known.answers.iter().map(|answer| answer.number).collect();
    let fate = match (known.fate, found) {
        (Fate::Acked, Some(found)) if found == numbers => Fate::Acked,
        (Fate::Acked, found) => {
            let gone = numbers.iter().zip(topics_of(oracle, name)).all(|(number, topic)| {
                is_shredded_at_times(topic) && is_gone(oracle, topic, *number)
            });
            if !gone || numbers.is_empty() {
                return Err(format!(
                    "LOST: {name} was acknowledged as {numbers:?}, and found as {found:?}"
                ));
            }
            Fate::Acked
        }
        (Fate::Unknown, Some(_)) => {
            oracle.unknown_present += 1;
            Fate::Present
        }
        (Fate::Unknown, None) => {
            oracle.unknown_absent += 1;
            Fate::Absent
        }
        (Fate::Rejected | Fate::Absent, Some(found)) => {
            return Err(format!("{name} was refused, and found as {found:?}"));
        }
        (fate, _) => fate,
    };
    if let Some(known) = oracle.ops.get_mut(&name) {
        known.fate = fate;
    }
    Ok(())
}

fn topics_of(oracle: &Oracle, name: OpName) -> Vec<usize> {
    match oracle.plan.op(name) {
        Op::Append { topics, .. } => topics,
        _ => Vec::new(),
    }
}

/// The numbers of all records of a call, in order; none if there is none.
fn records_of(oracle: &Oracle, op: OpName, topics: &[usize]) -> Result<Option<Vec<u64>>, String> {
    let places: Vec<(usize, u64)> = (0..)
        .zip(topics)
        .filter_map(|(part, _)| oracle.places.get(&RecordName { op, part }).copied())
        .collect();
    if places.is_empty() {
        return Ok(None);
    }
    // All or none, and in each topic one behind the other.
    let mut next = [None; TOPICS.len()];
    for (topic, seq) in &places {
        let expected = next.get_mut(*topic).ok_or("no such topic")?;
        if expected.is_some_and(|expected| expected != *seq) || places.len() != topics.len() {
            return Err(format!("{op} is there in part, or not in one piece: {places:?}"));
        }
        *expected = Some(seq + 1);
    }
    Ok(Some(places.into_iter().map(|(_, seq)| seq).collect()))
}

fn read_settings(oracle: &mut Oracle, store: &RedbManager) -> Result<(), String> {
    let failed = |error: forgeone_db::Error| format!("the watch: {error}");
    let start = WatchFrom::After(oracle.settings.revision);
    let mut watch = store.watch_settings("", start).map_err(failed)?;
    while let Some(update) = watch.try_next().map_err(failed)? {
        take_update(oracle, &update)?;
        oracle.settings.revision = update.revision;
    }
    for (key, (version, name)) in &oracle.settings.present {
        let found = store.get_setting(key).map_err(|error| format!("{key}: {error}"))?;
        let found = found.ok_or_else(|| format!("setting {key} is lost"))?;
        if found.version != *version || value_name(&found.value) != Some(*name) {
            return Err(format!("setting {key} is {found:?}, not {name} as version {version}"));
        }
    }
    Ok(())
}

/// The name in a setting's value, or in a flag's description.
fn value_name(value: &Value) -> Option<RecordName> {
    let text = value.as_str().or_else(|| value.get("description")?.as_str())?;
    name_in(text.as_bytes())
}

/// One update has the changes of one call, all of them, and each is the next version of its key.
fn take_update(oracle: &mut Oracle, update: &SettingsUpdate) -> Result<(), String> {
    let strange = |what: &str| format!("revision {}: {what}: {update:?}", update.revision);
    let value = |change: &SettingVersion| change.value.as_ref().and_then(value_name);
    let op = update.changes.first().and_then(value).ok_or_else(|| strange("no name"))?.op;
    let known = oracle.ops.get(&op).ok_or_else(|| strange("never sent"))?;
    if matches!(known.fate, Fate::Rejected | Fate::Absent) {
        return Err(strange("refused, or not there before"));
    }
    let wanted: Vec<(String, Value)> = match oracle.plan.op(op) {
        Op::Set { keys, .. } => {
            (0..).zip(keys).map(|(part, key)| (key, oracle.plan.value(op, part))).collect()
        }
        Op::Flag { name } => {
            let flag = serde_json::to_value(Plan::flag(op));
            vec![(format!("flags/{name}"), flag.map_err(|error| error.to_string())?)]
        }
        _ => return Err(strange("no change of settings")),
    };
    let found = update.changes.iter().map(|change| (change.key.clone(), change.value.clone()));
    if !found.eq(wanted.into_iter().map(|(key, value)| (key, Some(value)))) {
        return Err(strange("changed, or there in part"));
    }
    for (part, change) in (0..).zip(&update.changes) {
        let before = oracle.settings.present.get(&change.key).map_or(0, |(version, _)| *version);
        if change.version != before + 1 {
            return Err(strange("a version is left out or used twice"));
        }
        let present = (change.version, RecordName { op, part });
        oracle.settings.present.insert(change.key.clone(), present);
    }
    let made = update.changes.iter().map(|change| change.version).collect();
    if oracle.settings.made.insert(op, made).is_some() {
        return Err(strange("there twice"));
    }
    Ok(())
}

fn read_facts(oracle: &mut Oracle, store: &RedbManager) -> Result<(), String> {
    for fact in store.list_metadata("fact ") {
        let fact = fact.map_err(|error| format!("facts: {error}"))?;
        let name = name_in(fact.text.as_bytes()).ok_or("a fact without a name")?;
        let known = oracle.ops.get(&name.op).map(|known| known.fate);
        let is_known = known.is_some_and(|fate| !matches!(fate, Fate::Rejected | Fate::Absent));
        let newest = oracle.settings.facts.get(&fact.name);
        if !is_known
            || oracle.plan.fact(name.op) != fact.text
            || newest.is_some_and(|newest| *newest > name.op)
        {
            return Err(format!("{} is {name}, with {newest:?} acknowledged", fact.name));
        }
        oracle.settings.facts.insert(fact.name, name.op);
    }
    for (fact, op) in &oracle.settings.facts {
        let found = store.metadata(fact).map_err(|error| format!("{fact}: {error}"))?;
        if found.is_none() {
            return Err(format!("{fact} is lost; {op} was acknowledged"));
        }
    }
    Ok(())
}

/// Everything from the beginning: by number, and each hundredth by its id.
fn read_again(oracle: &Oracle, store: &RedbManager) -> Result<(), String> {
    let mut count = 0;
    for (topic, state) in oracle.topics.iter().enumerate() {
        for (seq, name) in records(oracle, store, topic, state.floor)? {
            count += 1;
            if oracle.places.get(&name) != Some(&(topic, seq)) {
                return Err(format!("{name} was elsewhere before, and is now at {topic}/{seq}"));
            }
            if count % 100 == 0 {
                by_id(store, (topic, seq), name)?;
            }
        }
    }
    let live = oracle.places.values().filter(|(topic, seq)| !is_gone(oracle, *topic, *seq));
    let live = live.count();
    if count == live { Ok(()) } else { Err(format!("{count} records where {live} belong")) }
}

fn by_id(store: &RedbManager, (topic, seq): (usize, u64), name: RecordName) -> Result<(), String> {
    let Some((TopicKind::Events, topic)) = TOPICS.get(topic) else { return Ok(()) };
    match store.get_event(name.id()) {
        Ok(found) if found.iter().any(|one| one.seq == seq && one.event.topic == *topic) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(format!("{name}: {error}")),
        other => Err(format!("{name} by its id: {other:?}")),
    }
}
