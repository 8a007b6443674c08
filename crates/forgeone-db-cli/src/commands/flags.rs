//! `flags`: turning features on and off, for everybody or for some.

use super::settings::print_all;
use crate::args::{FlagsCommand, FlagsSetArgs};
use crate::exit::{Exit, Failure};
use crate::output::{Escaped, Format, Output};
use crate::store::{Place, WAIT_SHORT};
use crate::time::shown;
use forgeone_db::{
    ErrorKind, Flag, FlagReason, FlagState, FlagValue, FlagVariant, RedbManager, SettingWrite,
    StoredFlag,
};
use serde::Serialize;

pub(super) fn run(place: &Place, command: FlagsCommand) -> Result<(), Failure> {
    match command {
        FlagsCommand::List => list(place),
        FlagsCommand::On { name } => {
            change(place, &name, |manager| Ok(manager.switch_flag(&name, FlagState::On)?))
        }
        FlagsCommand::Off { name } => {
            change(place, &name, |manager| Ok(manager.switch_flag(&name, FlagState::Off)?))
        }
        FlagsCommand::Set(args) => {
            if args.percentage.is_none() && args.variants.is_empty() && args.description.is_none() {
                return Err(Failure::usage("there is nothing to set")
                    .hint("give --percentage, --variant or --description"));
            }
            change(place, &args.name, |manager| set(manager, &args))
        }
        FlagsCommand::Show { name } => show(place, &name),
        FlagsCommand::Eval { name, key } => evaluate(place, &name, &key),
        FlagsCommand::Rm { name } => change(place, &name, |manager| {
            manager.remove_flag(&name).map_err(|error| match error.kind() {
                ErrorKind::NotFound => absent(&name),
                _ => error.into(),
            })
        }),
    }
}

fn absent(name: &str) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no flag {}", Escaped(name)))
        .hint("`forgeone-db flags list` shows those there are")
}

/// What a change led to, with what was changed.
#[derive(Serialize)]
struct Changed<'a> {
    name: &'a str,
    #[serde(flatten)]
    write: SettingWrite,
}

/// Changes a flag and prints its new version, with the state that it has then.
fn change(
    place: &Place,
    name: &str,
    change: impl FnOnce(&RedbManager) -> Result<SettingWrite, Failure>,
) -> Result<(), Failure> {
    let manager = place.write(WAIT_SHORT)?;
    let write = change(&manager)?;
    let state = manager.get_flag(name)?.map_or_else(|| "removed".to_owned(), |flag| state(&flag));
    manager.close()?;
    let mut output = place.output();
    let line = format!("{}: {state}, version {}", Escaped(name), write.version);
    output.either(&Changed { name, write }, line)?;
    output.flush()?;
    Ok(())
}

/// Changes what is given. Nobody can change the flag in between: this process alone writes.
fn set(manager: &RedbManager, args: &FlagsSetArgs) -> Result<SettingWrite, Failure> {
    let mut flag = match manager.get_flag(&args.name) {
        Ok(flag) => flag.unwrap_or_else(|| Flag::new(FlagState::Off)),
        // A setting that is no flag is replaced by one; a name that is none is refused again below.
        Err(error) if error.kind() == ErrorKind::Invalid => Flag::new(FlagState::Off),
        Err(error) => return Err(error.into()),
    };
    if let Some(percent) = args.percentage {
        flag.state = FlagState::Percentage { percent };
    }
    if !args.variants.is_empty() {
        flag.variants.clone_from(&args.variants);
    }
    if let Some(description) = &args.description {
        flag.description.clone_from(description);
    }
    Ok(manager.set_flag(&args.name, &flag)?)
}

fn list(place: &Place) -> Result<(), Failure> {
    let manager = place.read()?;
    print_all(&mut place.output(), manager.list_flags(), line)
}

fn line(stored: &StoredFlag) -> String {
    let StoredFlag { name, flag, version, updated_at } = stored;
    let (time, name) = (shown(*updated_at), Escaped(name).to_string());
    let (state, variants, description) = match flag {
        None => ("malformed".to_owned(), "-".to_owned(), String::new()),
        Some(flag) => (state(flag), variants(&flag.variants), flag.description.clone()),
    };
    let line = format!(
        "{time} {version:>5} {state:<9} {name:<24} {variants:<16} {}",
        Escaped(&description)
    );
    line.trim_end().to_owned()
}

fn state(flag: &Flag) -> String {
    match flag.state {
        FlagState::On => "on".to_owned(),
        FlagState::Off => "off".to_owned(),
        FlagState::Percentage { percent } => format!("{percent}%"),
    }
}

fn variants(variants: &[FlagVariant]) -> String {
    if variants.is_empty() {
        return "-".to_owned();
    }
    let one = |variant: &FlagVariant| format!("{}={}", Escaped(&variant.name), variant.weight);
    variants.iter().map(one).collect::<Vec<_>>().join(",")
}

fn show(place: &Place, name: &str) -> Result<(), Failure> {
    let manager = place.read()?;
    for stored in manager.list_flags() {
        let stored = stored?;
        if stored.name == name {
            return print(&mut place.output(), &stored);
        }
    }
    Err(absent(name))
}

fn print(output: &mut Output, stored: &StoredFlag) -> Result<(), Failure> {
    if output.format() == Format::Json {
        output.json(stored)?;
    } else {
        output.line(format_args!("flag           {}", Escaped(&stored.name)))?;
        if let Some(flag) = &stored.flag {
            output.line(format_args!("state          {}", state(flag)))?;
            output.line(format_args!("variants       {}", variants(&flag.variants)))?;
            output.line(format_args!("description    {}", Escaped(&flag.description)))?;
        } else {
            output.line("state          malformed: the setting is no flag")?;
        }
        output.line(format_args!("version        {}", stored.version))?;
        output.line(format_args!("updated        {}", shown(stored.updated_at)))?;
    }
    output.flush()?;
    Ok(())
}

fn evaluate(place: &Place, name: &str, key: &str) -> Result<(), Failure> {
    let value = place.read()?.evaluate_flag(name, key)?;
    let mut output = place.output();
    output.either(&value, value_line(&value))?;
    output.flush()?;
    Ok(())
}

/// On or off, the variant, why.
fn value_line(value: &FlagValue) -> String {
    let state = if value.on { "on" } else { "off" };
    let variant = Escaped(value.variant.as_deref().unwrap_or("-")).to_string();
    format!("{state} {variant} {}", reason(value.reason))
}

const fn reason(reason: FlagReason) -> &'static str {
    match reason {
        FlagReason::On => "on",
        FlagReason::Off => "off",
        FlagReason::Included => "included",
        FlagReason::Excluded => "excluded",
        FlagReason::Unknown => "unknown",
        FlagReason::Malformed => "malformed",
    }
}
