//! `settings`: reading and changing them, their history, and following changes.

use super::follow::follow;
use crate::args::{SettingsCommand, SettingsListArgs, SettingsSetArgs};
use crate::exit::{Exit, Failure};
use crate::output::{Escaped, Format, Output, Reader, say};
use crate::store::{Place, WAIT_SHORT};
use crate::time::shown;
use crate::value::{JsonText, parse};
use forgeone_db::{
    Error, ErrorKind, SetOptions, Setting, SettingVersion, SettingWrite, SettingsQuery,
    SettingsUpdate, WatchFrom,
};
use futures::executor::block_on;
use serde::Serialize;
use serde_json::Value;

pub(super) fn run(place: &Place, command: SettingsCommand) -> Result<(), Failure> {
    match command {
        SettingsCommand::Get { key } => get(place, &key),
        SettingsCommand::Set(args) => set(place, &args),
        SettingsCommand::List(args) => list(place, args),
        SettingsCommand::Rm { key, if_version } => remove(place, &key, if_version),
        SettingsCommand::History { key } => history(place, &key),
        SettingsCommand::Watch { prefix, after } => watch(place, &prefix, after),
    }
}

fn get(place: &Place, key: &str) -> Result<(), Failure> {
    let setting = place.read()?.get_setting(key)?.ok_or_else(|| absent(key))?;
    let mut output = place.output();
    output.either(&setting, JsonText(&setting.value))?;
    output.flush()?;
    Ok(())
}

fn absent(key: &str) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no setting {}", Escaped(key)))
        .hint("`forgeone-db settings list` shows those there are")
}

/// What a change led to, with what was changed.
#[derive(Serialize)]
struct Changed<'a> {
    key: &'a str,
    #[serde(flatten)]
    write: SettingWrite,
}

fn set(place: &Place, args: &SettingsSetArgs) -> Result<(), Failure> {
    let value = parse(&args.value)?;
    let manager = place.write(WAIT_SHORT)?;
    let options = SetOptions { if_version: args.if_version, retype: args.retype };
    let write = manager.set_setting(&args.key, &value, options).map_err(explain)?;
    manager.close()?;
    let line = format!("{}: version {}", Escaped(&args.key), write.version);
    tell(place, &Changed { key: &args.key, write }, line)
}

fn remove(place: &Place, key: &str, if_version: Option<u64>) -> Result<(), Failure> {
    let manager = place.write(WAIT_SHORT)?;
    let write = manager.remove_setting(key, if_version).map_err(|error| match error.kind() {
        ErrorKind::NotFound => absent(key),
        _ => explain(error),
    })?;
    manager.close()?;
    let line = format!("{}: removed, version {}", Escaped(key), write.version);
    tell(place, &Changed { key, write }, line)
}

fn tell(place: &Place, changed: &Changed<'_>, line: String) -> Result<(), Failure> {
    let mut output = place.output();
    output.either(changed, line)?;
    output.flush()?;
    Ok(())
}

/// An error of a change, with the next step.
fn explain(error: Error) -> Failure {
    let present = match error.kind() {
        ErrorKind::Conflict => error.get("version").map(str::to_owned),
        ErrorKind::Invalid if error.get("present").is_some() => {
            return Failure::from(error).hint("give --retype if another type is meant");
        }
        _ => None,
    };
    match present.as_deref() {
        None => error.into(),
        Some("0") => Failure::from(error)
            .hint("there is no such setting now: give --if-version 0 if that is fine"),
        Some(version) => Failure::from(error).hint(format!(
            "read it with `settings get`, decide again, give --if-version {version}"
        )),
    }
}

fn list(place: &Place, args: SettingsListArgs) -> Result<(), Failure> {
    let mut query = SettingsQuery::new(args.prefix);
    if let Some(after) = args.after {
        query = query.after(after);
    }
    if let Some(limit) = args.limit {
        query = query.limit(limit);
    }
    let manager = place.read()?;
    print_all(&mut place.output(), manager.list_settings(query), |setting| {
        let Setting { key, value, version, updated_at } = setting;
        line((shown(*updated_at), *version), key, Some(value))
    })
}

fn history(place: &Place, key: &str) -> Result<(), Failure> {
    let manager = place.read()?;
    let mut versions = manager.setting_history(key)?.peekable();
    if versions.peek().is_none() {
        return Err(absent(key));
    }
    print_all(&mut place.output(), versions, version_line)
}

/// Prints what a walk gives, up to the first error.
pub(super) fn print_all<T: Serialize>(
    output: &mut Output,
    items: impl Iterator<Item = forgeone_db::Result<T>>,
    line: impl Fn(&T) -> String,
) -> Result<(), Failure> {
    for item in items {
        let item = match item {
            Ok(item) => item,
            Err(error) => {
                // What was found before the damage is worth having.
                output.flush()?;
                return Err(error.into());
            }
        };
        let reader = match output.format() {
            Format::Json => output.json(&item)?,
            Format::Text => output.line(line(&item))?,
        };
        if reader == Reader::Gone {
            return Ok(());
        }
    }
    output.flush()?;
    Ok(())
}

fn version_line(version: &SettingVersion) -> String {
    let SettingVersion { key, value, version, updated_at } = version;
    line((shown(*updated_at), *version), key, value.as_ref())
}

/// Time, version, key, value; of equal width as long as keys are short.
fn line((time, version): (String, u64), key: &str, value: Option<&Value>) -> String {
    let key = Escaped(key).to_string();
    let value = value.map_or_else(|| "(removed)".to_owned(), |value| JsonText(value).to_string());
    format!("{time} {version:>5} {key:<24} {value}")
}

fn watch(place: &Place, prefix: &str, after: Option<u64>) -> Result<(), Failure> {
    let manager = place.read()?;
    let from = after.map_or(WatchFrom::Now, WatchFrom::After);
    let watch =
        block_on(manager.system().watch(prefix, from)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::from(error)
                .hint("print the settings with `settings list`, and watch without --after"),
            _ => error.into(),
        })?;
    say(format_args!("watching from revision {} on", watch.revision()));
    let updates = std::pin::pin!(watch.into_stream());
    follow(updates, &mut place.output(), print_update)
}

fn print_update(output: &mut Output, update: &SettingsUpdate) -> Result<Reader, Failure> {
    if output.format() == Format::Json {
        return output.json(update);
    }
    let mut reader = Reader::There;
    for change in &update.changes {
        reader = output.line(format_args!("{:>8} {}", update.revision, version_line(change)))?;
    }
    Ok(reader)
}
