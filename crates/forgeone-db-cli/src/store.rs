//! Which store a command means, and the key that opens it.

use crate::args::{Global, size};
use crate::exit::{Exit, Failure};
use crate::key_file::{Care, read_key_file};
use crate::output::{Format, LogShape, Output, say};
use forgeone_db::{
    Error, ErrorKind, Key, OpenMode, PendingKeyChange, Recovered, RedbManager, StoreKeys,
    StoreOptions,
};
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

const DIRECTORY: &str = "./data/redb";
const DIRECTORY_VARIABLE: &str = "FORGEONE_DB_DIR";
const KEY_FILE_VARIABLE: &str = "FORGEONE_DB_KEY_FILE";
const KEY_VARIABLE: &str = "FORGEONE_DB_KEY";
const MEMORY_VARIABLE: &str = "FORGEONE_DB_MEMORY_MAX";

/// How a command waits for another writer unless `--wait` says otherwise.
pub(crate) const WAIT_SHORT: Duration = Duration::from_secs(10);

/// The store that the arguments and the environment name.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    key_file: Option<PathBuf>,
    format: Format,
    wait: Option<Duration>,
    strict: bool,
    memory_max: Option<u64>,
}

impl Place {
    pub(crate) fn new(global: Global) -> Self {
        let directory = global
            .dir
            .or_else(|| variable(DIRECTORY_VARIABLE).map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from(DIRECTORY));
        Self {
            directory,
            key_file: global.key_file,
            format: if global.json { Format::Json } else { Format::Text },
            wait: global.wait.map(Duration::from_secs),
            strict: global.strict,
            memory_max: global.memory_max,
        }
    }

    /// The key file that the arguments name.
    pub(crate) fn key_file(&self) -> Option<&Path> {
        self.key_file.as_deref()
    }

    /// The key file that arguments or environment name.
    pub(crate) fn named_key_file(&self) -> Option<PathBuf> {
        self.key_file.clone().or_else(|| variable(KEY_FILE_VARIABLE).map(PathBuf::from))
    }

    /// Whether what is risky is to be refused.
    pub(crate) const fn is_strict(&self) -> bool {
        self.strict
    }

    /// What to do about a key file that others can read.
    pub(crate) const fn care(&self) -> Care {
        if self.strict { Care::Refuse } else { Care::Warn }
    }

    pub(crate) fn output(&self) -> Output {
        Output::new(self.format)
    }

    /// How to print log entries, if it is not as JSON.
    pub(crate) fn log_shape(&self, asked: Option<LogShape>) -> Result<LogShape, Failure> {
        if asked.is_some() && self.format == Format::Json {
            return Err(Failure::usage("--json and --format exclude each other"));
        }
        Ok(asked.unwrap_or_default())
    }

    /// How long to wait for another writer.
    pub(crate) fn wait(&self, default: Duration) -> Duration {
        self.wait.unwrap_or(default)
    }

    /// The key that arguments or environment name, if they name one.
    pub(crate) fn named_key(&self) -> Result<Option<Key>, Failure> {
        if let Some(path) = self.named_key_file() {
            return read_key_file(&path, self.care()).map(Some);
        }
        match variable(KEY_VARIABLE) {
            None => Ok(None),
            Some(passphrase) => passphrase
                .into_string()
                .map(|passphrase| Some(Key::passphrase(passphrase)))
                .map_err(|_| Failure::usage(format!("{KEY_VARIABLE} is not UTF-8"))),
        }
    }

    /// The key of the store that is there: as named, or asked for on a terminal, or none where none
    /// is needed.
    pub(crate) fn key(&self) -> Result<Option<Key>, Failure> {
        if let Some(key) = self.named_key()? {
            return Ok(Some(key));
        }
        match StoreKeys::read(&self.directory, None) {
            Err(error) if error.kind() == ErrorKind::WrongKey => {}
            // What else is wrong is said by the opening, which knows what it is for.
            _ => return Ok(None),
        }
        if !can_ask() {
            return Err(Failure::new(Exit::Key, "the store is encrypted and no key was given")
                .hint(format!(
                    "give a key file with --key-file or {KEY_FILE_VARIABLE}, or a passphrase in \
                     {KEY_VARIABLE}"
                )));
        }
        ask("Passphrase: ").map(Some)
    }

    /// Opens the store for reading, beside a writer or without one.
    pub(crate) fn read(&self) -> Result<RedbManager, Failure> {
        self.open(self.read_options()?)
    }

    /// What opening the store for reading takes.
    pub(crate) fn read_options(&self) -> Result<StoreOptions, Failure> {
        Ok(self.options()?.mode(OpenMode::Read))
    }

    /// The change of keys that a store says is under way or unfinished. What cannot be read says
    /// nothing: it is for others to tell what is wrong with it.
    pub(crate) fn key_change(options: StoreOptions) -> Option<PendingKeyChange> {
        let manager = RedbManager::open(options.mode(OpenMode::Read)).ok()?;
        manager.database().found_key_change().cloned()
    }

    /// Opens the store for writing.
    pub(crate) fn write(&self, wait: Duration) -> Result<RedbManager, Failure> {
        self.open(self.options()?.mode(OpenMode::Open).lock_wait(self.wait(wait)))
    }

    fn options(&self) -> Result<StoreOptions, Failure> {
        self.bounded(StoreOptions::new(&self.directory).key(self.key()?))
    }

    /// The options, with the memory that arguments or environment allow.
    pub(crate) fn bounded(&self, options: StoreOptions) -> Result<StoreOptions, Failure> {
        let memory_max = match (self.memory_max, variable(MEMORY_VARIABLE)) {
            (Some(bytes), _) => Some(bytes),
            (None, None) => None,
            (None, Some(text)) => Some(
                size(&text.to_string_lossy())
                    .map_err(|what| Failure::usage(format!("{MEMORY_VARIABLE}: {what}")))?,
            ),
        };
        Ok(match memory_max {
            Some(bytes) => options.memory_max(bytes),
            None => options,
        })
    }

    fn open(&self, options: StoreOptions) -> Result<RedbManager, Failure> {
        let manager = RedbManager::open(options).map_err(|error| self.explain(error))?;
        for recovery in manager.database().recoveries() {
            say(Told(&recovery));
        }
        Ok(manager)
    }

    /// An error of opening, with the hints that only this place can give.
    pub(crate) fn explain(&self, error: Error) -> Failure {
        if error.kind() == ErrorKind::Invalid
            && (self.named_key_file().is_some() || variable(KEY_VARIABLE).is_some())
            && StoreKeys::read(&self.directory, None).is_ok_and(|keys| keys.list().is_empty())
        {
            return Failure::from(error).hint(format!(
                "the store is not encrypted: leave out --key-file, and unset {KEY_FILE_VARIABLE} \
                 and {KEY_VARIABLE}"
            ));
        }
        error.into()
    }
}

/// A recovery, as a line.
struct Told<'a>(&'a Recovered);

impl Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recovered { database, ms, rolled_back_txns, last_commit, closed_commit, in_memory } =
            self.0;
        write!(f, "recovered {database} after a crash in {ms} ms")?;
        if let Some(last) = last_commit {
            write!(f, ": it has commits up to {last}")?;
        }
        if let Some(closed) = closed_commit {
            write!(f, ", the last clean close was at {closed}")?;
        }
        match rolled_back_txns {
            0 => f.write_str("; no unfinished commit was found"),
            count => write!(f, "; {count} unfinished commit was rolled back"),
        }?;
        if *in_memory {
            f.write_str("; in memory alone, because its file may not be written to")?;
        }
        Ok(())
    }
}

/// An environment variable that is set to something.
fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether there is somebody to ask for a passphrase.
pub(crate) fn can_ask() -> bool {
    io::stderr().is_terminal() && File::open("/dev/tty").is_ok()
}

/// Asks for a line of text, which may be seen.
pub(crate) fn ask_line(prompt: impl Display) -> Result<String, Failure> {
    say(prompt);
    let failed = |error| Failure::io("no answer could be read", &error);
    let mut line = String::new();
    let terminal = File::open("/dev/tty").map_err(failed)?;
    BufReader::new(terminal).read_line(&mut line).map_err(failed)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks for a passphrase.
pub(crate) fn ask(prompt: &str) -> Result<Key, Failure> {
    let passphrase = rpassword::prompt_password(prompt)
        .map_err(|error| Failure::io("no passphrase could be read", &error))?;
    Ok(Key::passphrase(passphrase))
}

/// Asks twice for a new passphrase.
pub(crate) fn ask_new() -> Result<Key, Failure> {
    let read = |prompt| {
        rpassword::prompt_password(prompt)
            .map(Zeroizing::new)
            .map_err(|error| Failure::io("no passphrase could be read", &error))
    };
    let mut first = read("New passphrase: ")?;
    if first.is_empty() {
        return Err(Failure::usage("the passphrase is empty"));
    }
    if *first != *read("Again: ")? {
        return Err(Failure::usage("the two passphrases differ").hint("start again"));
    }
    Ok(Key::passphrase(std::mem::take(&mut *first)))
}
