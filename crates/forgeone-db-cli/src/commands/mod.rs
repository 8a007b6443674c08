//! One file for each command.

mod append;
mod compact;
mod completions;
mod doctor;
mod export;
mod flags;
mod follow;
mod import;
mod init;
mod key;
mod logs;
mod man;
mod metadata;
mod missing;
mod query;
mod quota;
mod repair;
mod salvage;
mod scrub;
mod settings;
mod stats;
mod topics;
mod tour;
mod verify;

pub(crate) use topics::Kind as TopicKind;

use crate::args::{Args, Command, EventsCommand, LogsCommand};
use crate::exit::Failure;
use crate::store::Place;
use std::process::ExitCode;

/// Runs what was asked for. `core_bytes` is the limit on core files that the process inherited.
pub(crate) fn run(args: Args, core_bytes: Option<u64>) -> Result<ExitCode, Failure> {
    let tour_directory = args.global.dir.clone();
    let place = Place::new(args.global);
    match args.command {
        Command::Init(args) => init::run(&place, &args)?,
        Command::Tour(args) => return tour::run(&place, tour_directory, &args),
        Command::Events(EventsCommand::Append(args)) => {
            return append::events::run(&place, args);
        }
        Command::Events(EventsCommand::Get { id }) => query::get(&place, id)?,
        Command::Events(EventsCommand::Query(args)) => query::run(&place, args)?,
        Command::Events(EventsCommand::Tail(args)) => follow::events(&place, args)?,
        Command::Logs(LogsCommand::Append(args)) => return append::logs::run(&place, args),
        Command::Logs(LogsCommand::Get { id }) => logs::get(&place, id)?,
        Command::Logs(LogsCommand::Query(args)) => logs::query(&place, args)?,
        Command::Logs(LogsCommand::Tail(args)) => follow::logs(&place, args)?,
        Command::Topics(command) => topics::run(&place, command)?,
        Command::Settings(command) => settings::run(&place, command)?,
        Command::Flags(command) => flags::run(&place, command)?,
        Command::Metadata(command) => metadata::run(&place, command)?,
        Command::Key(command) => key::run(&place, command)?,
        Command::Export(args) => export::run(&place, &args)?,
        Command::Import(args) => import::run(&place, &args)?,
        Command::Verify(args) => verify::run(&place, &args)?,
        Command::Scrub(args) => scrub::run(&place, &args)?,
        Command::Repair(args) => repair::run(&place, &args)?,
        Command::Salvage(args) => salvage::run(&place, &args)?,
        Command::Stats => stats::run(&place)?,
        Command::Compact => compact::run(&place)?,
        Command::Doctor => doctor::run(&place, core_bytes)?,
        Command::Quota(args) => quota::run(&place, &args)?,
        Command::Man(args) => man::run(&place, &args)?,
        Command::Completions { shell } => completions::run(&place, shell)?,
    }
    Ok(ExitCode::SUCCESS)
}
