//! A key that others can read protects nothing, and a key file without a store confuses whoever
//! finds it. Provoked with key files of every mode and kind, and with commands that fail after they
//! made one.

use crate::support::{Home, run, write_key};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_file_that_others_can_read_is_warned_of_and_refused_when_strict() {
    let home = Home::new();
    for mode in [0o644, 0o640, 0o604, 0o660] {
        chmod(&home.key(), mode);
        let warned = home.run(&["stats"], "").ok();
        let lines: Vec<&str> = warned.err.lines().filter(|line| line.contains("warning")).collect();
        assert_eq!(lines.len(), 1, "{}", warned.err);
        assert!(lines[0].contains(&format!("mode {mode:o}")) && lines[0].contains("chmod 600 "));
        home.run(&["--strict", "stats"], "").code(11).says("chmod 600");
        home.run(&["key", "add", "--strict", "--generate-key", "x"], "").code(11);
        assert!(!home.path("x").exists());
    }
    chmod(&home.key(), 0o400);
    assert!(!home.run(&["--strict", "stats"], "").ok().err.contains("warning"));
}

#[test]
fn a_key_file_of_another_user_is_warned_of() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: only root can give a file away");
        return;
    }
    let home = Home::new();
    std::os::unix::fs::chown(home.key(), Some(12_345), None).unwrap();
    home.run(&["stats"], "").ok().says("belongs to another user (id 12345)");
    home.run(&["--strict", "stats"], "").code(11).says("chown");
}

#[test]
fn a_key_comes_through_a_pipe_but_not_from_a_directory_or_a_device() {
    let home = Home::new();
    let secret = fs::read(home.key()).unwrap();
    let piped = run(home.command(&["--strict", "--key-file", "/dev/stdin", "stats"]), &secret).ok();
    assert!(!piped.err.contains("warning"), "{}", piped.err);
    let mut shell = std::process::Command::new("sh");
    let made = shell.arg("-c").arg("mkfifo -m 600 fifo").current_dir(home.path("")).status();
    assert!(made.unwrap().success());
    let fifo = home.path("fifo");
    let writer = std::thread::spawn(move || {
        fs::OpenOptions::new().write(true).open(fifo).unwrap().write_all(&secret).unwrap();
    });
    home.run(&["--strict", "--key-file", "fifo", "stats"], "").ok();
    writer.join().unwrap();
    home.run(&["--key-file", ".", "stats"], "").code(4).says("is a directory");
    home.run(&["--key-file", "/dev/zero", "stats"], "").code(4).says("neither a file nor a pipe");
}

#[test]
fn an_empty_and_a_huge_key_file_are_told_apart() {
    let home = Home::new();
    for (content, why) in [("", "is empty"), (&*"x".repeat(100_000), "longer than 4,096 bytes")] {
        fs::write(home.path("odd"), content).unwrap();
        chmod(&home.path("odd"), 0o600);
        home.run(&["--key-file", "odd", "stats"], "").code(4).says(why);
    }
}

#[test]
fn a_key_that_could_not_be_added_leaves_no_file() {
    let home = Home::new();
    let long = "x".repeat(65);
    home.run(&["key", "add", "--generate-key", "new", "--label", &long], "").code(2);
    assert!(!home.path("new").exists());
    for number in 0..7 {
        home.run(&["key", "add", "--generate-key", &format!("key{number}")], "").ok();
    }
    home.run(&["key", "add", "--generate-key", "new"], "").code(8);
    assert!(!home.path("new").exists());
    // What was there before is not taken for what was made in vain.
    write_key(&home.path("mine"), 9);
    home.run(&["key", "add", "--generate-key", "mine"], "").code(8);
    home.run(&["key", "add", "--new-key-file", "mine"], "").code(8);
    assert!(home.path("mine").exists());
}

#[test]
fn a_store_that_could_not_be_made_leaves_no_key_file() {
    let home = Home::empty();
    fs::create_dir(home.store()).unwrap();
    fs::write(home.store().join("letter"), "dear").unwrap();
    run(home.bare(&["--dir", "store", "init", "--generate-key", "new"]), b"").code(8);
    assert!(!home.path("new").exists());
    run(home.bare(&["--dir", "key/store", "init", "--generate-key", "new"]), b"");
    assert!(!home.path("new").exists());
}

#[test]
fn a_path_cannot_write_to_the_terminal() {
    let home = Home::new();
    let evil = "\u{1b}[2J\u{7}\nerror: none";
    fs::write(home.path(evil), "").unwrap();
    for args in [
        &["--key-file", evil, "stats"][..],
        &["--dir", evil, "stats"],
        &["--dir", evil, "init"],
        &["--dir", evil, "verify"],
        &["events", "append", "--topic", "t", &format!("{evil}x")],
        &["tour", &format!("{evil}x")],
        &["init", "--generate-key", evil],
        &[evil],
        &["stats", evil],
        &["events", "get", evil],
        &["events", "query", "--from", evil],
        &["key", "add", "--generate-key", evil],
    ] {
        let run = home.run(args, "");
        assert_ne!(run.code, 0, "{args:?}");
        let shown = run.out + &run.err;
        assert!(!shown.contains(['\u{1b}', '\u{7}']), "{args:?}: {shown:?}");
        assert!(!shown.contains("\nerror: none"), "{args:?}: {shown:?}");
    }
    let made = run(home.bare(&["--dir", "\u{1b}[1m", "init", "--generate-key", "\u{1b}[2m"]), b"");
    let made = made.ok();
    let stats = ["--dir", "\u{1b}[1m", "--key-file", "\u{1b}[2m", "stats"];
    let shown = made.out + &made.err + &run(home.bare(&stats), b"").ok().out;
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn a_store_under_a_name_that_is_no_text_is_told_in_json() {
    use std::os::unix::ffi::OsStrExt as _;
    let home = Home::empty();
    let mut init = home.bare(&["--json", "init", "--generate-key", "new", "--dir"]);
    init.arg(std::ffi::OsStr::from_bytes(b"st\xffre"));
    let made = crate::support::json(&run(init, b"").ok().out);
    assert_eq!(made[0]["directory"], "st\u{fffd}re");
    assert_eq!(made[0]["key_file"], "new");
}
