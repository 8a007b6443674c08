//! The shell of one page: a directory of its own, and what one command leaves for the next.

use crate::support::PATIENCE;
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use tempfile::TempDir;

/// Runs commands one after another. The working directory and exported variables stay from one to
/// the next, as in a terminal.
pub(super) struct Shell {
    state: TempDir,
    home: TempDir,
}

impl Shell {
    pub(super) fn new() -> Self {
        let shell = Self { state: TempDir::new().unwrap(), home: TempDir::new().unwrap() };
        fs::write(shell.state.path().join("env"), "").unwrap();
        fs::write(shell.state.path().join("cwd"), shell.home.path().to_str().unwrap()).unwrap();
        shell
    }

    /// The exit code, and what went to standard output and standard error, as it came. A command
    /// that does not end is killed, which is no exit code: -1.
    pub(super) fn run(&mut self, command: &str) -> (i32, String) {
        let binary = Path::new(env!("CARGO_BIN_EXE_forgeone-db")).parent().unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        // The state is saved by a trap, so that it is also there after `exit`. A file takes the
        // output: a program left behind in the background cannot keep it open.
        let script = format!(
            "exec >\"$GUIDE_STATE/out\" 2>&1\n. \"$GUIDE_STATE/env\"\ncd \"$(cat \
             \"$GUIDE_STATE/cwd\")\"\ntrap 'GUIDE_CODE=$?; export -p >\"$GUIDE_STATE/env\"; pwd \
             >\"$GUIDE_STATE/cwd\"; exit $GUIDE_CODE' EXIT\n{command}\n"
        );
        let child = Command::new("sh")
            .args(["-c", &script])
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home.path())
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("GUIDE_STATE", self.state.path())
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let status = wait(child);
        let output = fs::read(self.state.path().join("out")).unwrap();
        (status.code().unwrap_or(-1), String::from_utf8_lossy(&output).into_owned())
    }
}

/// Waits for a shell, or kills it with everything that it started.
fn wait(mut child: Child) -> ExitStatus {
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let (ended, end) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if end.recv_timeout(4 * PATIENCE).is_err() {
                kill_process_group(group, Signal::KILL).ok();
            }
        });
        let status = child.wait().unwrap();
        ended.send(()).ok();
        status
    })
}
