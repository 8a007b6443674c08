//! `salvage` as somebody in trouble meets it: a loss that is not printed, a store that is not one yet,
//! or a hint that leads nowhere would cost what is left. Stores are damaged by taking files away, and
//! salvages are cut off by a limit on the size of files.

use crate::support::{Home, Run, records, run};
use std::fs;
use std::process::Command;

/// A store with events, log lines of both kinds, settings, and a quota.
fn filled() -> Home {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "jobs"], &records("r", 30)).ok();
    home.run(&["logs", "append", "--topic", "web"], "a line\nanother\n").ok();
    home.run(&["settings", "set", "color", "\"red\""], "").ok();
    home.run(&["metadata", "set", "salvage", "a ship off Texel"], "").ok();
    home.run(&["quota", "7"], "").ok();
    home
}

/// The binary with files of so many blocks of 512 bytes at most.
fn limited(home: &Home, blocks: u64, args: &[&str]) -> Run {
    let command = home.command(args);
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
    run(limited, b"")
}

#[test]
fn a_salvage_that_found_no_room_leaves_no_store_and_is_started_again() {
    let home = filled();
    let saved = home.path("saved");
    let saved = saved.to_str().unwrap();
    // Enough for the small files, and not for a database.
    let full = limited(&home, 16, &["salvage", saved]).code(7).says("unfinished");
    assert!(full.err.contains("start it again with the same OUT"), "{}", full.err);
    for command in [&["verify"][..], &["events", "query"], &["stats"]] {
        let args = [&["--dir", saved], command].concat();
        home.run(&args, "").code(3).says("a salvage into this directory");
    }
    home.run(&["--dir", saved, "init"], "").code(8).says("a salvage into this directory");
    home.run(&["salvage", saved], "").ok();
    home.run(&["--dir", saved, "verify", "--deep"], "").ok();
    home.run(&["salvage", saved], "").code(8).says("--manifest FILE");
    fs::remove_file(home.path("saved.salvage.json")).unwrap();
    let taken = home.run(&["salvage", saved], "").code(8).says("name a directory OUT");
    assert!(!taken.err.contains("--dir") && !taken.err.contains("--force"), "{}", taken.err);
    assert!(!home.path("saved.salvage.json").exists(), "no manifest without a salvage");
}

#[test]
fn a_salvage_beside_a_writer_finds_the_store_in_use() {
    let home = filled();
    let mut writer = home.start(&["--json", "events", "append", "--topic", "jobs"]);
    writer.write(&records("s", 1));
    writer.line();
    home.run(&["--wait", "0", "salvage", "saved"], "").code(6);
    assert!(!home.path("saved").exists());
    writer.finish().ok();
    home.run(&["--wait", "0", "salvage", "saved"], "").ok();
}

#[test]
fn what_is_lost_is_printed_and_a_loss_without_an_end_is_no_zero() {
    let home = filled();
    fs::remove_file(home.store().join("system.redb")).unwrap();
    let lost = home.run(&["salvage", "saved"], "").code(5);
    for line in ["lost state: all settings, flags and metadata\n", "lost ids: ", "lost quota: "] {
        assert!(lost.out.contains(line), "{line}: {}", lost.out);
    }
    let home = filled();
    for entry in fs::read_dir(home.store()).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("events_") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let lost = home.run(&["salvage", "saved"], "").code(5);
    assert!(lost.out.contains("lost events jobs seq=1..: "), "{}", lost.out);
    assert!(
        lost.out.contains("0 records are known to be lost, and 1 topic has lost more"),
        "{}",
        lost.out
    );
    for line in ["lost state", "lost ids", "lost quota"] {
        assert!(!lost.out.contains(line), "{line}: {}", lost.out);
    }
    let quota = home.run(&["--dir", "saved", "quota"], "").ok();
    assert!(quota.out.contains('7'), "{}", quota.out);
    let fact = home.run(&["--dir", "saved", "metadata", "get", "salvage"], "").ok();
    assert!(fact.out.contains("a ship off Texel"), "{}", fact.out);
    let fact = home.run(&["--dir", "saved", "metadata", "get", "salvage.2"], "").ok();
    assert!(fact.out.contains("manifest blake3"), "{}", fact.out);
}

#[test]
fn records_that_move_up_are_printed_on_a_sound_store_too() {
    let home = filled();
    home.run(&["topics", "shred", "--kind", "events", "jobs", "--yes"], "").ok();
    home.run(&["events", "append", "--topic", "jobs"], &records("n", 5)).ok();
    let moved = home.run(&["salvage", "saved"], "").ok();
    assert!(moved.out.contains("moved events jobs seq=31..35: now 1..5\n"), "{}", moved.out);
}

#[test]
fn the_manifest_lies_beside_the_new_store_and_never_in_a_store() {
    let home = filled();
    home.run(&["salvage", "saved/"], "").ok();
    assert!(home.path("saved.salvage.json").is_file());
    fs::create_dir(home.path("empty")).unwrap();
    home.run(&["salvage", "empty//"], "").ok();
    assert!(home.path("empty.salvage.json").is_file());
    let before = crate::support::contents(&home.store());
    home.run(&["salvage", "store/out"], "").code(2).says("directory");
    home.run(&["salvage", "store/events_shard_0.redb"], "").code(2).says("directory");
    home.run(&["salvage", "new", "--manifest", "store/m.json"], "").code(2).says("elsewhere");
    assert_eq!(crate::support::contents(&home.store()), before);
    home.run(&["salvage", ".."], "").code(2).says("--manifest FILE");
    fs::create_dir(home.path("folder")).unwrap();
    let folder = home.run(&["salvage", "new", "--manifest", "folder"], "").code(2);
    assert!(folder.err.contains("--manifest FILE") && !folder.err.contains("standard output"));
}
