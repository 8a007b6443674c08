//! The command line as scripts meet it: the real binary, its output and its exit codes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::format_push_string,
    reason = "tests may panic, and live in the real world"
)]

mod append;
mod commands;
mod doctor;
mod guide;
mod key_files;
mod keys;
mod kill;
mod limits;
mod logs;
mod man;
mod processes;
mod salvage;
mod settings;
mod support;
mod tour;
mod transfer;
