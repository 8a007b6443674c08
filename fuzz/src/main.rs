//! The fuzzer: one program for all targets, of which the environment variable
//! `FORGEONE_FUZZ_TARGET` chooses one. Started by `cargo xtask fuzz`.
//!
//! With `FORGEONE_FUZZ_SEEDS` set to a folder, it writes the inputs to start from there instead,
//! taken from real stores, and ends.
#![no_main]

mod operations;
mod stores;

use libfuzzer_sys::fuzz_target;
use std::fs;
use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;

type Target = fn(&[u8]) -> bool;

/// What is made of many decoders, besides those of the library.
const WHOLE: &[(&str, Target)] = &[
    ("open_store", stores::open_store),
    ("redb_file", stores::redb_file),
    ("db_ops", operations::db_ops),
];

static CHOSEN: OnceLock<Target> = OnceLock::new();

fuzz_target!(
    init: begin(),
    |data: &[u8]| {
        if let Some(target) = CHOSEN.get() {
            target(data);
        }
    }
);

fn begin() {
    if let Some(folder) = std::env::var_os("FORGEONE_FUZZ_SEEDS") {
        write_seeds(Path::new(&folder));
        exit(0);
    }
    let name = std::env::var("FORGEONE_FUZZ_TARGET").unwrap_or_default();
    let mut targets = forgeone_db::fuzz::TARGETS.iter().chain(WHOLE);
    let Some((_, target)) = targets.find(|(known, _)| *known == name) else {
        for (name, _) in forgeone_db::fuzz::TARGETS.iter().chain(WHOLE) {
            println!("{name}");
        }
        exit(2);
    };
    CHOSEN.get_or_init(|| *target);
    let abort = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // redb panics over some damaged pages; the library catches that and answers `Corrupt`.
        if !panic.location().is_some_and(|place| place.file().contains("/redb-")) {
            abort(panic);
        }
    }));
}

fn write_seeds(folder: &Path) {
    let mut seeds = forgeone_db::fuzz::seeds().expect("a store in memory can be made");
    seeds.extend(stores::seeds());
    seeds.extend(operations::seeds());
    for (number, (name, bytes)) in seeds.iter().enumerate() {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).expect("the folder of the corpus can be made");
        fs::write(folder.join(format!("seed-{number:03}")), bytes).expect("it can be written");
    }
    println!("{} inputs", seeds.len());
}
