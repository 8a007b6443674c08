//! The child process of the crash and sharing cases: this test binary, run again for one test.

use super::{database, put, reader, table, writer};
use crate::redb::{RedbEngine, RedbOptions, StoreDirectory};
use forgeone_db_engine::{Batch, Durability, Engine as _};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

const ROLE: &str = "FORGEONE_DB_TEST_ROLE";
const PLACE: &str = "FORGEONE_DB_TEST_PLACE";

/// A child that has said how it went, and waits to be killed or released.
pub(super) struct Helper {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Helper {
    pub(super) fn start(role: &str, place: &Path) -> Self {
        Self::spawn(Command::new(std::env::current_exe().unwrap()), role, place)
    }

    /// As `start`, in a shell that runs `script` first. `None`, with a printed reason, where the
    /// shell cannot.
    pub(super) fn start_after(script: &str, role: &str, place: &Path) -> Option<Self> {
        let (shell, flags) = if script.starts_with("mount") {
            ("unshare", vec!["--mount", "sh", "-c"])
        } else {
            ("sh", vec!["-c"])
        };
        let probe = Command::new(shell).args(&flags).arg(script).env(PLACE, place).output();
        if !probe.is_ok_and(|output| output.status.success()) {
            println!("skipped: this system does not let a test run {script:?}");
            return None;
        }
        let mut command = Command::new(shell);
        command.args(&flags).arg(format!("{script} && exec \"$0\" \"$@\""));
        command.arg(std::env::current_exe().unwrap());
        Some(Self::spawn(command, role, place))
    }

    fn spawn(mut command: Command, role: &str, place: &Path) -> Self {
        let mut child = command
            .args(["redb::tests::child::child_process", "--exact", "--nocapture"])
            .env(ROLE, role)
            .env(PLACE, place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The next line that the child says to its parent.
    pub(super) fn says(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the child died early");
            if let Some((_, said)) = line.trim_end().split_once("SAYS ") {
                return said.to_owned();
            }
        }
    }

    /// Kills the child as `kill -9` does.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets the child go on to its end.
    pub(super) fn release(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

pub(super) fn say(what: &str) {
    println!("\nSAYS {what}");
}

pub(super) fn wait_for_release() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Does nothing in an ordinary run; in a child it plays the role that the parent asks for.
#[test]
fn child_process() {
    let Some(role) = std::env::var_os(ROLE) else { return };
    let place = PathBuf::from(std::env::var_os(PLACE).unwrap());
    match role.to_str().unwrap() {
        "writer" => {
            let engine = writer(&place);
            for number in 0..50_u8 {
                put(&engine, "events_shard_0", &[number], &[number; 1000]).unwrap();
            }
            put(&engine, "system", b"k", b"v").unwrap();
            say("written");
            wait_for_release();
        }
        "endless" => {
            let engine = writer(&place);
            for number in 0..u64::MAX {
                put(&engine, "system", b"last", &number.to_be_bytes()).unwrap();
                say(&number.to_string());
            }
        }
        "large" => {
            let engine = writer(&place);
            for number in 0..256_u32 {
                let mut batch = Batch::new(database("system"));
                batch.put(&table("t"), number.to_be_bytes().to_vec(), vec![7; 1_048_000]);
                super::now(engine.commit(batch, Durability::Sync)).unwrap();
            }
            say("written");
            wait_for_release();
        }
        "second" => {
            let directory = StoreDirectory::open(&place).unwrap();
            match RedbEngine::open_writer(directory, super::impatient()) {
                Ok(_) => say("opened"),
                Err(error) => say(&format!("{:?}", error.kind())),
            }
        }
        "reader" => {
            let engine = reader(&place);
            say(&format!("{:?}", super::get(&engine, "system", b"k").unwrap()));
            wait_for_release();
            say("done");
        }
        "compact" => super::compact::compact_endlessly(&place),
        "restless" => super::compact::read_restlessly(&place),
        "full" => super::full::fill(&place),
        "recoverer" => {
            let directory = StoreDirectory::open(&place).unwrap();
            let engine = RedbEngine::open_reader(directory, RedbOptions::default()).unwrap();
            say(&format!("{:?}", super::get(&engine, "system", b"k").unwrap()));
        }
        other => panic!("unknown role {other}"),
    }
}
