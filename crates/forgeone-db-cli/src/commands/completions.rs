//! `completions`: what a shell needs to complete the command line.

use crate::args::Args;
use crate::exit::Failure;
use crate::store::Place;
use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

pub(super) fn run(place: &Place, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(shell, &mut Args::command(), "forgeone-db", &mut script);
    let mut output = place.output();
    output.line(String::from_utf8_lossy(&script).trim_end())?;
    output.flush()?;
    Ok(())
}
