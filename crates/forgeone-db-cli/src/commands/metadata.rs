//! `metadata`: short texts about the store.

use super::settings::print_all;
use crate::args::MetadataCommand;
use crate::exit::{Exit, Failure};
use crate::output::{Escaped, Format};
use crate::store::{Place, WAIT_SHORT};
use crate::time::shown;
use crate::value::typed;
use forgeone_db::{ErrorKind, MetadataEntry};

pub(super) fn run(place: &Place, command: MetadataCommand) -> Result<(), Failure> {
    match command {
        MetadataCommand::Get { name } => get(place, &name),
        MetadataCommand::Set { name, text } => set(place, &name, &text),
        MetadataCommand::List { prefix } => {
            print_all(&mut place.output(), place.read()?.list_metadata(&prefix), line)
        }
        MetadataCommand::Rm { name } => remove(place, &name),
    }
}

fn line(entry: &MetadataEntry) -> String {
    let name = Escaped(&entry.name).to_string();
    format!("{} {name:<24} {}", shown(entry.updated_at), Escaped(&entry.text))
}

fn absent(name: &str) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no text of the name {}", Escaped(name)))
        .hint("`forgeone-db metadata list` shows those there are")
}

fn get(place: &Place, name: &str) -> Result<(), Failure> {
    let entry = place.read()?.metadata(name)?.ok_or_else(|| absent(name))?;
    let mut output = place.output();
    output.either(&entry, Escaped(&entry.text))?;
    output.flush()?;
    Ok(())
}

fn set(place: &Place, name: &str, text: &str) -> Result<(), Failure> {
    let typed = typed(text)?;
    let text = if text == "-" { typed.strip_suffix('\n').unwrap_or(&typed) } else { &typed };
    let manager = place.write(WAIT_SHORT)?;
    let entry = manager.set_metadata(name, text)?;
    manager.close()?;
    let mut output = place.output();
    output.either(&entry, format_args!("{}: set", Escaped(name)))?;
    output.flush()?;
    Ok(())
}

/// Prints nothing for programs: there is nothing left to tell.
fn remove(place: &Place, name: &str) -> Result<(), Failure> {
    let manager = place.write(WAIT_SHORT)?;
    manager.remove_metadata(name).map_err(|error| match error.kind() {
        ErrorKind::NotFound => absent(name),
        _ => error.into(),
    })?;
    manager.close()?;
    let mut output = place.output();
    if output.format() == Format::Text {
        output.line(format_args!("{}: removed", Escaped(name)))?;
    }
    output.flush()?;
    Ok(())
}
