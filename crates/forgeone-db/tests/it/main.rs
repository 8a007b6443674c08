//! The library as its users meet it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "these are tests, helpers included"
)]

mod beside;
mod clock;
mod compact;
mod contain;
mod events;
mod faults;
mod full_disk;
mod garbled;
mod golden;
mod holes;
mod isolate;
mod kill_image;
mod loghub;
mod logs;
mod model;
mod nonces;
mod opening;
mod promises;
mod quarantine;
mod quota;
mod read_only_medium;
mod recovered;
mod repair;
mod rotation;
mod rotation_crash;
mod salvage;
mod salvage_place;
mod scrub;
mod shard_files;
mod stock;
mod strict;
mod support;
mod system;
mod system_model;
mod tamper;
mod threads;
mod trouble;
mod unrecovered;
mod verify;
mod witness;
