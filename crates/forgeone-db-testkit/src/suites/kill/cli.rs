//! The command line under `kill -9`.
//!
//! A case is one store, and commands on it one after the other, most of them killed: whatever writes,
//! changes keys, mends or saves. What a command had printed as stored, or ended well with, holds; what
//! it had not is there whole or not at all; and the next command works (contract O1, D1, S1, S2, C1,
//! C3, K4).

use crate::campaign::Counts;
use crate::random::Random;
use forgeone_db::{Key, OpenMode, RedbManager, StartFrom, StoreOptions, TopicPattern, VerifyDepth};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Commands of one case.
const CYCLES: u32 = 25;
/// Records that one command is sent at most.
const RECORDS: u64 = 200_000;
/// How long a command may take that is not killed.
const PATIENCE: Duration = Duration::from_mins(2);
const TOPIC: &str = "t";

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Events,
    Logs,
    Wrapping,
    Data,
    Compact,
    Repair,
    Salvage,
    Import,
}

impl Action {
    const ALL: [Self; 8] = [
        Self::Events,
        Self::Logs,
        Self::Wrapping,
        Self::Data,
        Self::Compact,
        Self::Repair,
        Self::Salvage,
        Self::Import,
    ];

    /// As its kills and its good ends are counted.
    const fn names(self) -> [&'static str; 2] {
        match self {
            Self::Events => ["events append killed", "events append done"],
            Self::Logs => ["logs append killed", "logs append done"],
            Self::Wrapping => ["key rotate --wrapping killed", "key rotate --wrapping done"],
            Self::Data => ["key rotate --data killed", "key rotate --data done"],
            Self::Compact => ["compact killed", "compact done"],
            Self::Repair => ["repair killed", "repair done"],
            Self::Salvage => ["salvage killed", "salvage done"],
            Self::Import => ["import killed", "import done"],
        }
    }

    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Events => &["--json", "events", "append", "--text", "--topic", TOPIC],
            Self::Logs => &["--json", "logs", "append", "--topic", TOPIC],
            Self::Wrapping => &["key", "rotate", "--wrapping"],
            Self::Data => &["key", "rotate", "--data"],
            Self::Compact => &["compact"],
            Self::Repair => &["repair", "--yes"],
            Self::Salvage => &["salvage", "saved"],
            Self::Import => &["import", "export"],
        }
    }

    fn any(random: &mut Random) -> Self {
        match random.below(16) {
            0..=3 => Self::Events,
            4..=5 => Self::Logs,
            _ => random.of(&Self::ALL),
        }
    }

    /// How long it lives if it is to be killed.
    fn life(self, random: &mut Random) -> Duration {
        let end = if matches!(self, Self::Events | Self::Logs) { 250_000 } else { 120_000 };
        Duration::from_micros(500 + random.below(end))
    }
}

/// What a campaign must have counted.
pub(super) fn reaches() -> Vec<&'static str> {
    let killed = Action::ALL.iter().map(|action| action.names()[0]);
    killed.chain(["acked writes", "unacked found whole", "clean ends"]).collect()
}

/// # Errors
/// What was lost, changed, moved, or does not work any more.
pub(super) fn case(home: &Path, random: &mut Random) -> Result<Counts, String> {
    let mut case = Case { home: home.to_owned(), known: [0; 2], counts: Counts::new() };
    case.begin().map_err(|error| error.to_string())?;
    for cycle in 0..CYCLES {
        case.cycle(cycle, random).map_err(|what| format!("command {cycle}: {what}"))?;
    }
    case.look(VerifyDepth::Deep)?;
    Ok(case.counts)
}

struct Case {
    home: PathBuf,
    /// Records of events and of logs that are there.
    known: [u64; 2],
    counts: Counts,
}

/// How a command ended.
struct Ended {
    /// None if it was killed.
    status: Option<ExitStatus>,
    out: Vec<String>,
    errors: String,
}

impl Ended {
    /// # Errors
    /// It ended badly by itself.
    fn check(&self) -> Result<(), String> {
        match self.status {
            Some(status) if !status.success() => Err(format!("{status}: {}", self.errors)),
            _ if self.errors.contains("panicked at") => Err(self.errors.clone()),
            _ => Ok(()),
        }
    }
}

impl Case {
    fn count(&mut self, what: &'static str, count: u64) {
        *self.counts.entry(what).or_default() += count;
    }

    fn store(&self) -> PathBuf {
        self.home.join("store")
    }

    /// A key file, and a store.
    fn begin(&self) -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(0o600).open(self.home.join("key"))?;
        file.write_all(format!("forgeone-db key file v1 raw\n{}\n", "07".repeat(32)).as_bytes())?;
        let init = self.run("store", &["init", "--shards", "2"]);
        init.map_err(std::io::Error::other)
    }

    fn start(&self, store: &str, words: &[&str]) -> std::io::Result<Child> {
        let program = std::env::current_exe()?.with_file_name("forgeone-db");
        let mut command = Command::new(program);
        command.args(words).current_dir(&self.home).env_remove("FORGEONE_DB_KEY");
        command.env("FORGEONE_DB_DIR", self.home.join(store));
        command.env("FORGEONE_DB_KEY_FILE", self.home.join("key"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }

    /// A command that nobody kills, and that must succeed.
    fn run(&self, store: &str, words: &[&str]) -> Result<(), String> {
        let child = self.start(store, words).map_err(|error| format!("{words:?}: {error}"))?;
        let ended = end(child, PATIENCE).map_err(|error| error.to_string())?;
        match ended.status {
            None => Err(format!("{words:?} hung")),
            Some(_) => ended.check().map_err(|what| format!("{words:?}: {what}")),
        }
    }

    fn cycle(&mut self, cycle: u32, random: &mut Random) -> Result<(), String> {
        let action = Action::any(random);
        if action == Action::Import {
            self.run("copy", &["init", "--shards", "1"])?;
            self.run("store", &["export", "--force", "export"])?;
        }
        let is_killed = random.below(5) > 0;
        let life = if is_killed { action.life(random) } else { PATIENCE };
        let limit = if is_killed { RECORDS } else { 1 + random.below(2_000) };
        let subject = if action == Action::Import { "copy" } else { "store" };
        let mut child = self.start(subject, action.words()).map_err(|error| error.to_string())?;
        let sender = is_append(action).then(|| send(&mut child, cycle, limit)).transpose();
        let sender = sender.map_err(|error| error.to_string())?;
        let ended = end(child, life).map_err(|error| error.to_string())?;
        if let Some(sender) = sender {
            drop(sender.join());
        }
        ended.check().map_err(|what| format!("{action:?}: {what}"))?;
        if ended.status.is_none() && !is_killed {
            return Err(format!("{action:?} hung"));
        }
        let [killed, done] = action.names();
        if ended.status.is_none() {
            self.count("kills", 1);
            self.count(killed, 1);
        } else {
            self.count("clean ends", 1);
            self.count(done, 1);
        }
        self.settle((action, cycle), &ended, random)
    }

    /// Compares the store with what the command had said.
    fn settle(
        &mut self,
        (action, cycle): (Action, u32),
        ended: &Ended,
        random: &mut Random,
    ) -> Result<(), String> {
        let mode = if random.below(3) == 0 { OpenMode::Open } else { OpenMode::Read };
        let store = open(&self.store(), mode)?;
        let kind = usize::from(action == Action::Logs);
        let acked = acknowledged(ended)?;
        for (kind_found, before) in self.known.into_iter().enumerate() {
            let found = read(&store, kind_found, before, cycle)?;
            if found > 0 && !(is_append(action) && kind == kind_found) {
                return Err(format!("{action:?} has made {found} records"));
            }
            let acked = if kind == kind_found { acked.unwrap_or(before) } else { before };
            if before + found < acked {
                return Err(format!("LOST: {acked} were acknowledged, {} found", before + found));
            }
            self.count("acked writes", acked - before);
            self.count("unacked found whole", before + found - acked);
            if let Some(known) = self.known.get_mut(kind_found) {
                *known += found;
            }
        }
        if mode == OpenMode::Open {
            store.seal().map_err(|error| error.to_string())?;
        }
        store.close().map_err(|error| error.to_string())?;
        match action {
            Action::Salvage => self.settle_copy("saved", ended),
            Action::Import => self.settle_import(ended),
            _ if random.below(6) == 0 => self.look(VerifyDepth::Standard),
            _ => Ok(()),
        }
    }

    /// An import that was killed is taken up by the next one.
    fn settle_import(&mut self, ended: &Ended) -> Result<(), String> {
        if ended.status.is_none() {
            self.run("copy", &["import", "export"])?;
        }
        self.compare("copy")?;
        self.remove(&["copy", "export"]);
        Ok(())
    }

    /// A salvage has saved everything or left no store; then it is started again.
    fn settle_copy(&mut self, name: &str, ended: &Ended) -> Result<(), String> {
        if ended.status.is_none() {
            match open(&self.home.join(name), OpenMode::Read) {
                Ok(store) => store.close().map_err(|error| error.to_string())?,
                Err(_) => self.run("store", &["salvage", name])?,
            }
        }
        self.compare(name)?;
        self.remove(&["saved", "saved.salvage.json"]);
        Ok(())
    }

    /// Whether another store has as many records of each kind.
    fn compare(&self, name: &str) -> Result<(), String> {
        let store = open(&self.home.join(name), OpenMode::Read)?;
        let found = [0, 1].map(|kind| records(&store, kind, 0).map(|records| records.len() as u64));
        for (found, known) in found.into_iter().zip(self.known) {
            let found = found?;
            if found != known {
                return Err(format!("{name} has {found} records, and not {known}"));
            }
        }
        store.close().map_err(|error| error.to_string())
    }

    fn remove(&self, names: &[&str]) {
        for name in names {
            let path = self.home.join(name);
            // What was not made cannot be removed.
            drop(std::fs::remove_dir_all(&path));
            drop(std::fs::remove_file(&path));
        }
    }

    fn look(&mut self, depth: VerifyDepth) -> Result<(), String> {
        let store = open(&self.store(), OpenMode::Read)?;
        let report = store.verify(depth, |_| ()).map_err(|error| error.to_string())?;
        self.count("verified", 1);
        store.close().map_err(|error| error.to_string())?;
        if report.is_sound() { Ok(()) } else { Err(format!("verify: {:#?}", report.findings)) }
    }
}

const fn is_append(action: Action) -> bool {
    matches!(action, Action::Events | Action::Logs)
}

fn text(cycle: u32, number: u64) -> String {
    format!("{cycle} {number} {}", "x".repeat(usize::try_from(number % 200).unwrap_or(0)))
}

/// Sends records until there are enough, or nobody reads them any more.
fn send(child: &mut Child, cycle: u32, limit: u64) -> std::io::Result<JoinHandle<()>> {
    let input = child.stdin.take();
    thread::Builder::new().name("send".into()).spawn(move || {
        let Some(mut input) = input else { return };
        for number in 0..limit {
            if input.write_all(format!("{}\n", text(cycle, number)).as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// Listens until the command ends, or until it has lived so long and is killed.
fn end(mut child: Child, life: Duration) -> std::io::Result<Ended> {
    let (out, errors) = (child.stdout.take(), child.stderr.take());
    let out = thread::Builder::new().name("listen".into()).spawn(move || {
        let lines = out.into_iter().flat_map(|out| BufReader::new(out).lines());
        lines.map_while(Result::ok).collect::<Vec<_>>()
    })?;
    let errors = thread::Builder::new().name("errors".into()).spawn(move || {
        let mut bytes = Vec::new();
        errors.into_iter().for_each(|mut errors| drop(errors.read_to_end(&mut bytes)));
        String::from_utf8_lossy(&bytes).into_owned()
    })?;
    let until = now() + life;
    let mut status = child.try_wait()?;
    while status.is_none() && now() < until {
        thread::park_timeout(Duration::from_micros(300));
        status = child.try_wait()?;
    }
    if status.is_none() {
        child.kill()?;
        let last = child.wait()?;
        // It may have ended in the very last moment.
        status = last.code().is_some().then_some(last);
    }
    let (out, errors) = (out.join().unwrap_or_default(), errors.join().unwrap_or_default());
    Ok(Ended { status, out, errors })
}

/// The newest number that an append has acknowledged. Of a line that was torn nothing is believed.
fn acknowledged(ended: &Ended) -> Result<Option<u64>, String> {
    let mut newest = None;
    for line in ended.out.iter().filter(|line| line.starts_with('{') && line.ends_with('}')) {
        let value: serde_json::Value =
            serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?;
        newest = value.get("last_seq").and_then(serde_json::Value::as_u64).or(newest);
    }
    Ok(newest)
}

fn open(store: &Path, mode: OpenMode) -> Result<RedbManager, String> {
    let options = StoreOptions::new(store).key(Key::raw([7; 32])).mode(mode);
    RedbManager::open(options).map_err(|error| format!("the store does not open: {error:?}"))
}

/// Numbers and texts of events (0) or logs (1) behind a number.
fn records(store: &RedbManager, kind: usize, after: u64) -> Result<Vec<(u64, String)>, String> {
    let pattern = TopicPattern::exact(TOPIC).map_err(|error| error.to_string())?;
    let failed = |error: forgeone_db::Error| format!("reading behind {after}: {error}");
    let start = StartFrom::After(after);
    if kind == 0 {
        let found = store.replay(&pattern, start).map_err(failed)?;
        found.map(|one| one.map(|one| (one.seq, one.event.payload)).map_err(failed)).collect()
    } else {
        let found = store.replay_logs(&pattern, start).map_err(failed)?;
        found.map(|one| one.map(|one| (one.seq, one.entry.message)).map_err(failed)).collect()
    }
}

/// How many records there are behind a number: those of one command, from its first on.
fn read(store: &RedbManager, kind: usize, before: u64, cycle: u32) -> Result<u64, String> {
    let mut count = 0;
    for (seq, found) in records(store, kind, before)? {
        if seq != before + count + 1 || found != text(cycle, count) {
            return Err(format!("{seq} is {found:?}, behind {before} and {count} of {cycle}"));
        }
        count += 1;
    }
    Ok(count)
}

#[expect(clippy::disallowed_methods, reason = "how long a process may run is not simulated")]
fn now() -> Instant {
    Instant::now()
}
