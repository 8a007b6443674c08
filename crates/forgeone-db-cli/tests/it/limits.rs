//! What a process may take: a limit that ends it in the middle of a write, or one that is not heeded,
//! would cost what it had promised. Provoked by limits on memory and on the size of files.

use crate::support::{Home, Run, records, run};
use std::process::Command;

#[test]
fn memory_is_limited_by_argument_or_environment_and_too_little_is_refused() {
    let home = Home::new();
    let append = ["events", "append", "--text", "--topic", "t"];
    let with = |size: &str| -> Run {
        let mut args = vec!["--memory-max", size];
        args.extend(append);
        home.run(&args, "one\n")
    };
    with("48MiB").ok();
    with("1g").ok();
    let refused = with("47MiB");
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(!refused.err.contains("not encrypted"), "{}", refused.err);
    for wrong in ["64 bananas", "", "-1", "18446744073709551615k"] {
        with(wrong).code(2);
    }
    let mut command = home.command(&["events", "query"]);
    command.env("FORGEONE_DB_MEMORY_MAX", "12");
    assert_eq!(run(command, b"").code, 2);
    let mut command = home.command(&["--memory-max", "64MiB", "events", "query"]);
    command.env("FORGEONE_DB_MEMORY_MAX", "12");
    let found: Run = run(command, b"");
    assert_eq!(found.ok().out.lines().count(), 2, "the argument comes first");
}

/// contract F2, EFBIG: the signal would kill; as an error it is told, and nothing acknowledged is lost.
#[test]
fn a_limit_on_the_size_of_files_is_told_and_loses_nothing() {
    let home = Home::new();
    let mut noise = 1_u64;
    let mut lines = String::new();
    for _ in 0..4_000 {
        for _ in 0..60 {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            lines += &format!("{noise:016x}");
        }
        lines.push('\n');
    }
    let append = ["--json", "events", "append", "--text", "--topic", "t"];
    home.run(&append, "acknowledged\n").ok();
    // Blocks of 512 bytes: 1 MiB.
    let limited = limited(&home.command(&append), 2048);
    let full = run(limited, lines.as_bytes());
    // Met inside a commit, so the outcome of that one is unknown; before one, it would be 7.
    assert!([7, 9].contains(&full.code), "{}: {}", full.code, full.err);
    let told = crate::support::json(&full.out);
    let acknowledged = told.iter().filter_map(|commit| commit["last_seq"].as_u64()).max();
    let found = home.run(&["--json", "events", "query", "--topic", "t"], "").ok();
    let stored: Vec<&str> = found.out.lines().collect();
    assert!(stored.len() as u64 >= acknowledged.unwrap_or(1), "{}: {}", stored.len(), full.out);
    let lines = format!("acknowledged\n{lines}");
    for (line, stored) in lines.lines().zip(&stored) {
        assert!(stored.contains(line), "in order and unchanged");
    }
    home.run(&["verify"], "").ok();
    home.run(&["events", "append", "--text", "--topic", "t"], "again\n").ok();
}

/// contract O1: an opening that finds no room has stored nothing of the caller's, so there is nothing to
/// send again; and a limit on files is a full disk for what is exported, too.
#[test]
fn a_limit_below_the_files_is_full_and_nothing_is_of_unknown_outcome() {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "t"], &records("r", 500)).ok();
    for args in [
        &["events", "append", "--text", "--topic", "t"][..],
        &["settings", "set", "k", "1"],
        &["compact"],
        &["key", "rotate"],
        &["quota", "3"],
    ] {
        let full = run(limited(&home.command(args), 8), b"hi\n").code(7);
        assert!(!full.err.contains("same ids"), "{args:?}: {}", full.err);
        assert!(full.err.contains("no room"), "{args:?}: {}", full.err);
    }
    let found = home.run(&["--json", "events", "query", "--topic", "t"], "").ok();
    assert_eq!(found.out.lines().count(), 500);
    home.run(&["verify"], "").ok();
    // That was the opening of a store which the limit had left to be recovered; now it is closed well.
    run(limited(&home.command(&["export", "out"]), 8), b"").code(7).says("ulimit -f");
}

/// The command under a limit of so many blocks of 512 bytes for each file.
fn limited(command: &Command, blocks: u32) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -f {blocks} && exec \"$0\" \"$@\"")]);
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited.current_dir(command.get_current_dir().unwrap());
    limited
}
