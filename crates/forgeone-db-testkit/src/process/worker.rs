//! The worker: opens a store, does what the plan says on several threads at once, and says so.

use super::plan::{CHORES, Chore, Ids, Op, OpName, Plan, RecordName, TOPICS, Terms};
use super::report::{Answer, Line};
use clap::Args;
use forgeone_db::{
    Error, ErrorKind, EventPosition, Key, LogPosition, NewSetting, OpenMode, Outcome, RedbManager,
    Result, SetOptions, SettingWrite, StartFrom, StoreOptions, TopicKind, TopicPattern,
};
use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// What a worker is started with.
#[derive(Debug, Args)]
pub(crate) struct WorkerArguments {
    /// The store's directory
    #[arg(long)]
    pub(super) store: PathBuf,
    /// Says what the operations are
    #[arg(long)]
    pub(super) seed: u64,
    /// The how manieth worker on this store
    #[arg(long)]
    pub(super) cycle: u32,
    /// Threads that write
    #[arg(long)]
    pub(super) threads: u32,
    /// Operations of each thread, after which the store is closed
    #[arg(long)]
    pub(super) operations: u32,
    /// Operations of an earlier worker to do again first
    #[arg(long, value_delimiter = ',')]
    pub(super) again: Vec<String>,
}

/// How the stores of these suites are opened: small shards and tails, so that all happens at once.
pub(crate) fn options(store: &Path) -> StoreOptions {
    // Readers recover what a kill left, and on a busy machine that takes them a while.
    let lock_wait = Duration::from_mins(1);
    let options = StoreOptions::new(store).lock_wait(lock_wait);
    options.key(Key::raw([7; 32])).shard_count(2).seal_at(96 << 10, 400)
}

/// Does the work of a worker process.
pub(crate) fn work(arguments: &WorkerArguments) -> ExitCode {
    let plan = Plan { seed: arguments.seed };
    let options = options(&arguments.store).mode(OpenMode::OpenOrCreate);
    let store = match RedbManager::open(options) {
        Ok(store) => store,
        Err(error) => {
            say(&Line::Failed(text(&error)));
            return ExitCode::FAILURE;
        }
    };
    say(&Line::Opened);
    let again: Vec<OpName> = arguments.again.iter().filter_map(|name| name.parse().ok()).collect();
    let left = AtomicU32::new(arguments.threads);
    thread::scope(|scope| {
        let (store, left, again) = (&store, &left, &again);
        for number in 0..arguments.threads {
            scope.spawn(move || {
                let mut thread = Thread { store, plan, versions: HashMap::new() };
                thread.run(arguments, number, again);
                left.fetch_sub(1, Ordering::AcqRel);
            });
        }
        let mut chores = Thread { store, plan, versions: HashMap::new() };
        scope.spawn(move || chores.do_chores(arguments, left));
        scope.spawn(move || follow(store, left));
    });
    say(&Line::Closing);
    let closed = store.close();
    say(&Line::Closed(closed.as_ref().map_or_else(text, |()| String::new())));
    if closed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn text(error: &Error) -> String {
    format!("{:?}: {error}", error.kind())
}

/// One write, so that a kill leaves the line whole or not at all.
fn say(line: &Line) {
    let line = format!("{line}\n");
    // Whoever listened is gone; there is nothing left to do.
    drop(std::io::stdout().lock().write_all(line.as_bytes()));
}

/// A reader beside the writers: what it got is durable, or it saw what a crash may undo.
fn follow(store: &RedbManager, left: &AtomicU32) {
    let end_of = |name: &str| {
        let found = store.topics(&TopicPattern::exact(name).ok()?).ok()?;
        found.first().map(|topic| topic.last_seq)
    };
    let mut read: Vec<u64> = TOPICS.iter().map(|(_, name)| end_of(name).unwrap_or(0)).collect();
    while left.load(Ordering::Acquire) > 0 {
        for ((topic, (kind, name)), read) in TOPICS.iter().enumerate().zip(&mut read) {
            let pattern = TopicPattern::exact(*name).ok().filter(|_| *kind == TopicKind::Events);
            let Some(pattern) = pattern else { continue };
            let Ok(found) = store.replay(&pattern, StartFrom::After(*read)) else { return };
            for found in found.filter_map(Result::ok) {
                *read = found.seq;
                say(&Line::Seen(topic, found.seq, RecordName::of_id(found.event.id)));
            }
        }
        thread::park_timeout(Duration::from_millis(2));
    }
}

struct Thread<'a> {
    store: &'a RedbManager,
    plan: Plan,
    /// The newest version of each setting that this thread knows of.
    versions: HashMap<String, u64>,
}

impl Thread<'_> {
    fn run(&mut self, arguments: &WorkerArguments, thread: u32, again: &[OpName]) {
        let own = again.iter().filter(|name| name.thread % arguments.threads.max(1) == thread);
        for name in own.copied().collect::<Vec<_>>() {
            self.perform(name);
        }
        for number in 0..arguments.operations {
            self.perform(OpName { cycle: arguments.cycle, thread, number });
        }
    }

    fn do_chores(&mut self, arguments: &WorkerArguments, left: &AtomicU32) {
        for number in 0..u32::MAX {
            let pause = 3 + u64::from(number * 37 % 60);
            thread::park_timeout(Duration::from_millis(pause));
            if left.load(Ordering::Acquire) == 0 {
                return;
            }
            self.perform(OpName { cycle: arguments.cycle, thread: CHORES, number });
        }
    }

    fn perform(&mut self, name: OpName) {
        say(&Line::Sent(name));
        let done = match self.plan.op(name) {
            Op::Append { topics, ids } => self.append(name, &topics, ids),
            Op::Set { keys, terms } => self.set(name, &keys, terms),
            Op::Flag { name: flag } => {
                self.store.set_flag(&flag, &Plan::flag(name)).map(|write| vec![answer(&write)])
            }
            Op::Fact { name: fact } => {
                self.store.set_metadata(&fact, &self.plan.fact(name)).map(|_| Vec::new())
            }
            Op::Chore(chore) => self.chore(chore),
        };
        say(&match done {
            Ok(answers) => Line::Acked(name, answers),
            Err(error) if error.outcome() == Outcome::Unknown => Line::Unknown(name, text(&error)),
            Err(error) => Line::Rejected(name, text(&error)),
        });
    }

    fn append(&self, op: OpName, topics: &[usize], ids: Ids) -> Result<Vec<Answer>> {
        let named = (0..).zip(topics).filter_map(|(part, topic)| {
            TOPICS.get(*topic).map(|topic| (RecordName { op, part }, topic))
        });
        if named.clone().all(|(_, (kind, _))| *kind == TopicKind::Events) {
            let events: Vec<_> =
                named.map(|(name, (_, topic))| self.plan.event(name, topic)).collect();
            let positions = match events.as_slice() {
                [event] => vec![self.store.store_event(event)?],
                events => self.store.store_events(events)?,
            };
            let place = |EventPosition { seq, duplicate }| Answer { number: seq, duplicate };
            Ok(positions.into_iter().map(place).collect())
        } else {
            let entries = named.map(|(name, (_, topic))| self.plan.log(name, topic, ids)).collect();
            let positions = self.store.store_logs(entries)?;
            let place = |LogPosition { seq, duplicate, .. }| Answer { number: seq, duplicate };
            Ok(positions.into_iter().map(place).collect())
        }
    }

    fn set(&mut self, op: OpName, keys: &[String], terms: Terms) -> Result<Vec<Answer>> {
        let settings: Vec<NewSetting> = (0..)
            .zip(keys)
            .map(|(part, key)| {
                let known = self.versions.get(key).copied().unwrap_or(0);
                let if_version = (terms == Terms::Compare).then_some(known);
                NewSetting {
                    key: key.clone(),
                    value: self.plan.value(op, part),
                    options: SetOptions { if_version, retype: false },
                }
            })
            .collect();
        match self.store.set_settings(&settings) {
            Ok(writes) => {
                let versions = writes.iter().map(|write| write.version);
                self.versions.extend(keys.iter().cloned().zip(versions));
                Ok(writes.iter().map(answer).collect())
            }
            Err(error) => {
                if error.kind() == ErrorKind::Conflict {
                    self.learn(keys);
                }
                Err(error)
            }
        }
    }

    fn learn(&mut self, keys: &[String]) {
        for key in keys {
            if let Ok(Some(setting)) = self.store.get_setting(key) {
                self.versions.insert(key.clone(), setting.version);
            }
        }
    }

    fn chore(&self, chore: Chore) -> Result<Vec<Answer>> {
        match chore {
            Chore::Seal => self.store.seal()?,
            Chore::Compact => drop(self.store.compact(|_| ())?),
            Chore::Rotate(what) => self.store.rotate_keys(what, |_| ())?,
            Chore::Shred(topic) => {
                let Some((kind, topic)) = TOPICS.get(topic) else { return Ok(Vec::new()) };
                let gone = self.store.shred_topic(*kind, topic)?;
                return Ok(vec![Answer { number: gone.last_seq, duplicate: false }]);
            }
        }
        Ok(Vec::new())
    }
}

fn answer(write: &SettingWrite) -> Answer {
    Answer { number: write.version, duplicate: false }
}
