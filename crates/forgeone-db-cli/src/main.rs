//! The command line of ForgeOne DB.
//!
//! Data goes to standard output, everything else to standard error. What each exit code means is
//! in `exit`, and in the `--help` of every command.

#![expect(
    clippy::disallowed_methods,
    reason = "a program lives in the real world: its clock, its threads, its environment variables"
)]

mod args;
mod commands;
mod exit;
mod hints;
mod input;
mod interrupt;
mod key_file;
mod new_file;
mod output;
mod progress;
mod store;
mod time;
mod transfer;
mod value;

use clap::Parser as _;
use std::process::ExitCode;
use std::sync::Arc;

/// Keys must not lie in a core file. Gives the limit there was, in bytes, if there was one.
fn forbid_core_files() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let inherited = getrlimit(Resource::Core).current;
    // Where the limit cannot be lowered, it is the system's decision.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).ok();
    inherited
}

/// A write beyond the limit of a file's size is to fail like one on a full disk, and not to end the
/// process in the middle of it: a signal that is handled does not.
fn outlive_the_limit_of_files() {
    // Where it cannot be handled, it is the system's decision.
    drop(signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()));
}

/// A panic of the engine over damaged pages is caught and told as an error; its own text, with
/// paths of the build, is noise beside that.
fn quiet_engine_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let of_engine = panic.location().is_some_and(|place| place.file().contains("/redb-"));
        if !of_engine {
            usual(panic);
        }
    }));
}

/// Ends the program over a command line that is none, or that asks for help. Arguments that are
/// repeated in the message cannot write to the terminal.
fn refuse(error: clap::Error) -> ! {
    let shown =
        std::env::args_os().map(|word| output::Escaped(&word.to_string_lossy()).to_string());
    args::Args::try_parse_from(shown).err().unwrap_or(error).exit()
}

fn main() -> ExitCode {
    let core_bytes = forbid_core_files();
    quiet_engine_panics();
    outlive_the_limit_of_files();
    let args = args::Args::try_parse().unwrap_or_else(|error| refuse(error));
    match commands::run(args, core_bytes) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
