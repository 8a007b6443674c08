//! `key`: the keys that open the store, and those inside it.

mod rotate;

use crate::args::KeyCommand;
use crate::exit::{Exit, Failure};
use crate::key_file::{discard_key_file, generate_key_file, read_key_file};
use crate::output::{Escaped, say};
use crate::store::{Place, WAIT_SHORT, ask_new, can_ask};
use forgeone_db::{
    Error, KdfParams, Key, KeySlot, Outcome, PendingKeyChange, StoreKeys, StoreOptions,
};
use std::path::{Path, PathBuf};

/// What becomes of a change of keys that was cut short.
pub(super) const WHO_FINISHES: &str =
    "`forgeone-db key rotate --resume` finishes what was cut short";

pub(super) fn run(place: &Place, command: KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::List => list(place),
        KeyCommand::Add { new_key_file, generate_key, label } => {
            add(place, (new_key_file, generate_key), &label)
        }
        KeyCommand::Remove { slot } => remove(place, slot),
        KeyCommand::Rotate(args) => rotate::run(place, &args),
    }
}

fn list(place: &Place) -> Result<(), Failure> {
    let key = place.key()?;
    let keys =
        StoreKeys::read(&place.directory, key.as_ref()).map_err(|error| place.explain(error))?;
    let slots = keys.list();
    if slots.is_empty() {
        say("the store is not encrypted and has no keys");
    }
    let mut output = place.output();
    for slot in &slots {
        output.either(slot, line(slot))?;
    }
    output.flush()?;
    if !slots.is_empty()
        && let Some(change) = change(place, &keys, key)
    {
        say(format_args!("{change} is under way or unfinished; {WHO_FINISHES}"));
    }
    Ok(())
}

fn change(place: &Place, keys: &StoreKeys, key: Option<Key>) -> Option<PendingKeyChange> {
    if keys.rotation_under_way() {
        return Some(PendingKeyChange::Wrapping);
    }
    let options = place.bounded(StoreOptions::new(&place.directory).key(key)).ok()?;
    Place::key_change(options)
}

fn line(slot: &KeySlot) -> String {
    let added = slot.created_at.map_or_else(String::new, |at| at.format("%FT%TZ").to_string());
    let opened = if slot.opened { " (the key in use)" } else { "" };
    let text = format!("{} {:<10} {added} {}{opened}", slot.slot, slot.kind, Escaped(&slot.label));
    text.trim_end().to_owned()
}

fn add(
    place: &Place,
    (file, generate): (Option<PathBuf>, Option<PathBuf>),
    label: &str,
) -> Result<(), Failure> {
    let key = place.key()?;
    // First the lock and the present key: a new one is made only for a store that takes it.
    let mut keys = StoreKeys::edit(&place.directory, key.as_ref(), place.wait(WAIT_SHORT))
        .map_err(|error| place.explain(error))?;
    if keys.list().is_empty() {
        return Err(Failure::usage("the store is not encrypted, so it takes no keys"));
    }
    let new = new_key(place, (file.as_deref(), generate.as_deref()))?;
    let slot = keys
        .add(&new, label, KdfParams::DEFAULT)
        .inspect_err(|error| take_back(generate.as_deref(), error))?;
    let mut output = place.output();
    output.either(&slot, format_args!("added key {}", slot.slot))?;
    output.flush()?;
    Ok(())
}

fn new_key(
    place: &Place,
    (file, generate): (Option<&Path>, Option<&Path>),
) -> Result<Key, Failure> {
    match (file, generate) {
        (Some(file), _) => read_key_file(file, place.care()),
        (None, Some(file)) => generate_key_file(file),
        (None, None) => ask_for_key(),
    }
}

/// Removes a key file that was made for a change that failed.
fn take_back(generated: Option<&Path>, error: &Error) {
    // With an unknown outcome the key may open the store after all.
    if let (Some(file), Outcome::Rejected) = (generated, error.outcome()) {
        discard_key_file(file);
    }
}

fn ask_for_key() -> Result<Key, Failure> {
    if !can_ask() {
        return Err(Failure::new(
            Exit::Usage,
            "there is no terminal to ask for the new passphrase",
        )
        .hint("give --new-key-file FILE or --generate-key FILE"));
    }
    ask_new()
}

fn remove(place: &Place, slot: u8) -> Result<(), Failure> {
    let key = place.key()?;
    let mut keys = StoreKeys::edit(&place.directory, key.as_ref(), place.wait(WAIT_SHORT))
        .map_err(|error| place.explain(error))?;
    let own = keys.list().iter().any(|key| key.slot == slot && key.opened);
    keys.remove(slot).map_err(|error| {
        Failure::from(error).hint("`forgeone-db key list` shows the keys; the last one stays")
    })?;
    if own {
        say("that was the key in use: from now on the store needs one of the others");
    }
    let mut output = place.output();
    output.either(&serde_json::json!({"removed": slot}), format_args!("removed key {slot}"))?;
    output.flush()?;
    Ok(())
}
