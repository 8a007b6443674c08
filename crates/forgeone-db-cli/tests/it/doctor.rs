//! A diagnosis that misses a danger, or that changes what it looks at, is worse than none. Provoked
//! with one trouble at a time: each must be named under its check, with its exit code, and not a
//! byte of the store may change.

use crate::support::{Home, PATIENCE, Run, contents, json, records, run, write_key};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

/// The finding of a check.
#[track_caller]
fn finding(run: &Run, check: &str) -> Value {
    let all = json(&run.out);
    let found = all.into_iter().find(|finding| finding["check"] == check);
    found.expect(check)
}

#[track_caller]
fn expect(run: &Run, check: &str, status: &str, says: &str) {
    let found = finding(run, check);
    assert_eq!(found["status"], status, "{found}");
    let text = format!("{} {}", found["detail"], found["remedy"]);
    assert!(text.contains(says), "expected {says:?} in: {text}");
    assert_eq!(found["remedy"].is_string(), ["warn", "fail"].contains(&status), "{found}");
}

fn doctor(home: &Home) -> Run {
    home.run(&["--json", "doctor"], "")
}

/// Two for each database, and a few more.
fn files_needed(home: &Home) -> usize {
    let stats = home.json(&["stats"]);
    2 * stats[0]["store"]["databases"].as_array().unwrap().len() + 32
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_place_without_a_store_is_checked_and_left_as_it_was() {
    let home = Home::empty();
    let run = home.run(&["--json", "--dir", "deep/er/store", "doctor"], "").ok();
    expect(&run, "store", "info", "init");
    expect(&run, "locks", "ok", "refused");
    expect(&run, "key_file", "ok", "alone");
    let checks: Vec<String> =
        json(&run.out).iter().map(|found| found["check"].as_str().unwrap().to_owned()).collect();
    for check in [
        "filesystem",
        "fsync",
        "permissions",
        "open_files",
        "file_size",
        "core_files",
        "space",
        "inodes",
        "clock",
        "memory",
    ] {
        assert!(checks.iter().any(|name| name == check), "{check} is not in {checks:?}");
    }
    let later = home.run(&["--json", "--key-file", "later", "doctor"], "").ok();
    expect(&later, "key_file", "info", "init --generate-key");
    assert_eq!(contents(&home.path("")).len(), 1);
    let text = home.run(&["doctor"], "").ok().out;
    assert!(
        text.lines().all(|line| line.starts_with("ok ")
            || line.starts_with("info ")
            || line.starts_with("warn ")),
        "{text}"
    );
}

#[test]
fn a_sound_store_passes_and_not_a_byte_of_it_changes() {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "t"], &records("r", 3)).ok();
    let before = contents(&home.store());
    let run = doctor(&home).ok();
    for check in ["store", "lock", "leftovers", "closed", "key", "open", "permissions"] {
        assert_eq!(finding(&run, check)["status"], "ok", "{check}");
    }
    expect(&run, "quota", "info", "no limit");
    // Of the databases some have no file yet, and count all the same.
    expect(&run, "open_files", "ok", &format!("{} needed", files_needed(&home)));
    let bare = crate::support::run(home.bare(&["--json", "--dir", "store", "doctor"]), b"").ok();
    expect(&bare, "key", "info", "name its key");
    assert_eq!(contents(&home.store()), before);
}

#[test]
fn a_store_that_a_crash_left_is_told_and_not_recovered() {
    let home = Home::new();
    let mut append = home.start(&["events", "append", "--topic", "t"]);
    append.write(&records("r", 3));
    append.line();
    let live = doctor(&home).ok();
    expect(&live, "lock", "info", &format!("process {} writes", append.child.id()));
    expect(&live, "closed", "info", "not checked");
    append.child.kill().unwrap();
    append.child.wait().unwrap();
    let before = contents(&home.store());
    let run = doctor(&home).ok();
    expect(&run, "closed", "warn", "recovers it");
    expect(&run, "key", "ok", "slot 0");
    home.run(&["--strict", "doctor"], "").code(1).says("warned");
    assert_eq!(contents(&home.store()), before);
    home.run(&["stats"], "").ok().says("recovered");
    expect(&doctor(&home).ok(), "closed", "ok", "no file");
}

#[test]
fn every_trouble_with_a_key_has_its_line() {
    let home = Home::new();
    chmod(&home.key(), 0o644);
    expect(&doctor(&home).ok(), "key_file", "warn", "chmod 600");
    home.run(&["--strict", "doctor"], "").code(1);
    fs::copy(home.key(), home.store().join("key")).unwrap();
    chmod(&home.store().join("key"), 0o600);
    let inside = home.run(&["--json", "--key-file", "store/key", "doctor"], "").ok();
    expect(&inside, "key_file", "warn", "inside the store");
    write_key(&home.path("wrong"), 9);
    let wrong = home.run(&["--json", "--key-file", "wrong", "doctor"], "").code(1);
    expect(&wrong, "key", "fail", "--key-file");
    let absent = home.run(&["--json", "--key-file", "absent", "doctor"], "").code(1);
    expect(&absent, "key_file", "fail", "cannot be read");
}

#[test]
fn every_trouble_with_a_store_has_its_line() {
    let home = Home::new();
    fs::write(home.store().join("keyring.0.new"), "half").unwrap();
    expect(&doctor(&home).ok(), "leftovers", "warn", "keyring.0.new");
    chmod(&home.store().join("lock"), 0o644);
    expect(&doctor(&home).ok(), "permissions", "warn", "chmod -R go=");
    chmod(&home.store(), 0o755);
    expect(&doctor(&home).ok(), "permissions", "warn", "chmod 700");
    fs::File::open(home.store().join("lock"))
        .unwrap()
        .set_modified(std::time::SystemTime::now() + Duration::from_hours(24))
        .unwrap();
    expect(&doctor(&home).ok(), "clock", "warn", "lock is of");
    fs::write(home.store().join("system.redb"), [7; 9000]).unwrap();
    expect(&doctor(&home).code(1), "open", "fail", "verify");
    for name in ["keyring.0", "keyring.1"] {
        fs::write(home.store().join(name), [7; 100]).unwrap();
    }
    expect(&doctor(&home).code(1), "store", "ok", "there is one");
    assert!(doctor(&home).out.contains("\"status\":\"fail\""));
    let lost = Home::new();
    for name in ["keyring.0", "keyring.1"] {
        fs::remove_file(lost.store().join(name)).unwrap();
    }
    let told = doctor(&lost).code(1);
    assert!(told.out.contains("both copies of the keyring are gone"), "{}", told.out);
    assert!(!told.out.contains("run forgeone-db init again"), "{}", told.out);
    for args in [&["verify"][..], &["stats"], &["repair"], &["salvage", "out"], &["key", "list"]] {
        lost.run(args, "").code(5).says("both copies of the keyring are gone").says("backup");
    }
    lost.run(&["init"], "").code(5).says("both copies of the keyring are gone");
    fs::create_dir(home.path("other")).unwrap();
    fs::write(home.path("other/letter"), "dear").unwrap();
    let foreign = home.run(&["--json", "--dir", "other", "doctor"], "").code(1);
    expect(&foreign, "store", "fail", "something else");
}

#[test]
fn a_reached_quota_fails() {
    let home = Home::new();
    let options = forgeone_db::StoreOptions::new(home.store()).key(forgeone_db::Key::raw([7; 32]));
    let manager = forgeone_db::RedbManager::open(options).unwrap();
    manager.set_max_size_bytes(1).unwrap();
    manager.close().unwrap();
    expect(&doctor(&home).code(1), "quota", "fail", "forgeone-db quota");
    home.run(&["quota", "1048576"], "").ok();
    expect(&doctor(&home).ok(), "quota", "warn", "full first");
}

#[test]
fn limits_that_would_end_a_writer_are_found_without_ending_the_doctor() {
    let home = Home::new();
    let limited = |limit: &str| {
        let binary = env!("CARGO_BIN_EXE_forgeone-db");
        let mut command = std::process::Command::new("sh");
        command.arg("-c").arg(format!("{limit}; exec {binary} --json doctor"));
        command.env("FORGEONE_DB_DIR", home.store()).env("FORGEONE_DB_KEY_FILE", home.key());
        run(command, b"")
    };
    let needed = format!("ulimit -n {}", files_needed(&home));
    expect(&limited("ulimit -n 30").code(1), "open_files", "fail", &needed);
    let small = limited("ulimit -f 100").code(1);
    expect(&small, "file_size", "fail", "ulimit -f unlimited");
    assert!(!small.out.contains("fsync"), "{}", small.out);
    expect(&limited("ulimit -f 1000000").ok(), "file_size", "warn", "at most");
    expect(&limited("ulimit -c 0").ok(), "core_files", "ok", "no core files");
}

#[test]
fn memory_that_poses_as_a_disk_is_warned_of() {
    let home = Home::empty();
    let tmpfs = rustix::fs::statfs("/dev/shm").is_ok_and(|found| found.f_type == 0x0102_1994);
    if !tmpfs {
        eprintln!("not run: /dev/shm is no tmpfs here");
        return;
    }
    let run = home.run(&["--json", "--dir", "/dev/shm/forgeone-db-none", "doctor"], "").ok();
    expect(&run, "filesystem", "warn", "lost when the machine stops");
}

#[test]
fn an_interrupted_doctor_leaves_nothing_behind() {
    let home = Home::empty();
    for wait in 0..16 {
        let mut running = home.start(&["doctor"]);
        std::thread::sleep(Duration::from_millis(wait * 2));
        running.signal(Signal::INT);
        let start = std::time::Instant::now();
        running.child.wait().unwrap();
        assert!(start.elapsed() < PATIENCE);
        assert_eq!(contents(&home.path("")).len(), 1, "after {wait}");
    }
}
