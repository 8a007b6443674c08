//! A case in processes: one that writes, and the oracle, on a file system of their own, or where none can
//! be mounted with a limit on the size of files.

use super::events::options;
use super::oracle::Oracle;
use super::rounds::{Rounds, Told};
use crate::campaign::Counts;
use clap::Args;
use forgeone_db::StoreOptions;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const PLACE: &str = "FORGEONE_DB_TESTKIT_PLACE";

/// What the oracle's process is started with.
#[derive(Debug, Args)]
pub(crate) struct OracleArguments {
    place: PathBuf,
    #[arg(long)]
    mib: u64,
    #[arg(long)]
    rounds: u64,
    #[arg(long)]
    seed: u64,
    /// Whether the place is a file system of that size; else files may not be larger
    #[arg(long)]
    mounted: bool,
}

/// What the writing process is started with.
#[derive(Debug, Args)]
pub(crate) struct WriterArguments {
    store: PathBuf,
    #[arg(long)]
    mib: u64,
    #[arg(long)]
    rounds: u64,
    #[arg(long)]
    seed: u64,
}

/// # Errors
/// What was wrong.
pub(super) fn case(mib: u64, rounds: u64, seed: u64) -> Result<Counts, String> {
    let place = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mount = format!("mount -t tmpfs -o size={mib}m none \"${PLACE}\"");
    let is_mounted = can_mount(&mount, place.path());
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = if is_mounted {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &format!("{mount} && exec \"$0\" \"$@\"")]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    command.env(PLACE, place.path()).arg("full-disk-oracle").arg(place.path());
    command.args(["--mib", &mib.to_string(), "--rounds", &rounds.to_string()]);
    command.args(["--seed", &seed.to_string()]);
    if is_mounted {
        command.arg("--mounted");
    }
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(text.trim_end().to_owned());
    }
    let told: BTreeMap<String, u64> =
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    let mut counts: Counts =
        KNOWN.iter().filter_map(|name| Some((*name, told.get(*name).copied()?))).collect();
    counts.extend(rounds_on(is_mounted, rounds));
    Ok(counts)
}

/// Where the rounds were: with a nought that says why, where none was on a disk that was really full.
pub(super) fn rounds_on(is_mounted: bool, rounds: u64) -> Counts {
    if is_mounted {
        return Counts::from([("rounds on a mounted disk", rounds)]);
    }
    Counts::from([
        ("rounds on a mounted disk (because mounting is refused here)", 0),
        ("rounds under a limit of files", rounds),
    ])
}

/// What the processes count.
const KNOWN: &[&str] = &[
    "rounds",
    "acknowledged",
    "unknown outcomes",
    "refused",
    "reserves made",
    "openings without a free byte",
    "shreddings without a free byte",
    "compactions without a free byte",
    "openings for which there was no room",
    "shreddings that needed a compaction",
    "steps for which there was no room",
    "checks",
];

/// Whether the system lets this process mount; told once if it does not.
fn can_mount(mount: &str, place: &Path) -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", mount]).env(PLACE, place);
        let can = command.output().is_ok_and(|output| output.status.success());
        if !can {
            println!("full-disk: no file system can be mounted here; files are limited instead");
        }
        can
    })
}

/// The oracle's process: starts the writing one, hears what it tells, and prints what was counted.
///
/// # Errors
/// What was wrong.
pub(crate) fn oracle(arguments: &OracleArguments) -> Result<(), String> {
    let counts = watch(arguments).inspect_err(|what| println!("{what}"))?;
    println!("{}", serde_json::to_string(&counts).map_err(|error| error.to_string())?);
    Ok(())
}

fn watch(arguments: &OracleArguments) -> Result<BTreeMap<String, u64>, String> {
    let failed = |error: io::Error| error.to_string();
    let store = arguments.place.join("store");
    let mut child = writer(arguments, &store)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the writing process has no pipes".to_owned());
    };
    let opened = options(StoreOptions::new(&store), arguments.mib);
    let mut oracle = Oracle::new(opened, arguments.seed);
    let mut counts = BTreeMap::new();
    let mut wrong = None;
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(failed)?;
        if let Ok(told) = serde_json::from_str::<Told>(&line) {
            if let Err(what) = hear(arguments, &mut oracle, told) {
                wrong = Some(what);
                break;
            }
            if is_awaited(told) {
                stdin.write_all(b"go\n").map_err(failed)?;
            }
        } else if let Ok(counted) = serde_json::from_str(&line) {
            counts = counted;
        } else {
            wrong.get_or_insert(line);
        }
    }
    // It ends by itself when nobody answers.
    drop(stdin);
    let status = child.wait().map_err(failed)?;
    if let Some(what) = wrong {
        return Err(what);
    }
    if !status.success() {
        return Err(format!("the writing process ended with {status}"));
    }
    oracle.check()?;
    counts.insert("checks".to_owned(), oracle.checks);
    Ok(counts)
}

fn writer(arguments: &OracleArguments, store: &Path) -> Command {
    let mut command = if arguments.mounted {
        Command::new("/proc/self/exe")
    } else {
        let blocks = arguments.mib << 11;
        let mut command = Command::new("sh");
        let script = format!("trap '' 25 && ulimit -S -f {blocks} && exec \"$0\" \"$@\"");
        command.args(["-c", &script]);
        command.arg(std::env::current_exe().unwrap_or_default());
        command
    };
    command.arg("full-disk-writer").arg(store);
    command.args(["--mib", &arguments.mib.to_string()]);
    command.args(["--rounds", &arguments.rounds.to_string()]);
    command.args(["--seed", &arguments.seed.to_string()]);
    command
}

/// Whether the writing process waits for an answer.
const fn is_awaited(told: Told) -> bool {
    matches!(told, Told::Full | Told::Relieve | Told::RoundEnded)
}

fn hear(arguments: &OracleArguments, oracle: &mut Oracle, told: Told) -> Result<(), String> {
    let junk = arguments.place.join("junk");
    oracle.note(told)?;
    match told {
        Told::Full => {
            oracle.check()?;
            if arguments.mounted {
                fill_to_the_last_byte(&junk).map_err(|error| error.to_string())?;
                oracle.check()?;
            }
            Ok(())
        }
        Told::Relieve if arguments.mounted => match fs::remove_file(&junk) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.to_string()),
            _ => Ok(()),
        },
        Told::RoundEnded => oracle.check(),
        _ => Ok(()),
    }
}

/// Takes all that is left of the disk.
fn fill_to_the_last_byte(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    for bytes in [64 << 10, 4096, 1] {
        while file.write_all(&vec![1; bytes]).is_ok() {}
    }
    Ok(())
}

/// The writing process.
///
/// # Errors
/// What was wrong.
pub(crate) fn write(arguments: &WriterArguments) -> Result<(), String> {
    let mut answers = io::stdin().lines();
    let mut tell = |told: Told| {
        let text = serde_json::to_string(&told).map_err(|error| error.to_string())?;
        // The oracle ends the case by listening no more.
        writeln!(io::stdout(), "{text}").map_err(|error| error.to_string())?;
        if is_awaited(told) && !matches!(answers.next(), Some(Ok(_))) {
            return Err("nobody listens any more".to_owned());
        }
        Ok(())
    };
    let opened = options(StoreOptions::new(&arguments.store), arguments.mib);
    let counts = Rounds::new(opened, arguments.seed, &mut tell).run(arguments.rounds);
    let last = match &counts {
        Ok(counts) => serde_json::to_string(counts).map_err(|error| error.to_string())?,
        Err(what) => what.clone(),
    };
    writeln!(io::stdout(), "{last}").map_err(|error| error.to_string())?;
    counts.map(drop)
}
