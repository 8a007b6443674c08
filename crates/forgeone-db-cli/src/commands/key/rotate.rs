//! `key rotate`: new keys in place of old ones.

use super::{new_key, take_back};
use crate::args::RotateArgs;
use crate::exit::{Exit, Failure};
use crate::output::{Bytes, say};
use crate::progress::Progress;
use crate::store::{Place, WAIT_SHORT};
use forgeone_db::{
    ErrorKind, KdfParams, Key, KeyProgress, KeyRotation, PendingKeyChange, RedbManager, StoreKeys,
    StoreStats,
};
use futures::executor::block_on;
use serde::Serialize;
use std::collections::HashMap;
use std::time::Instant;

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// What was replaced, in this order.
    rotated: Vec<&'static str>,
    /// What had been cut short before, and was finished first.
    finished: Option<PendingKeyChange>,
    /// What was sealed anew.
    segments: u64,
    runs: u64,
    bytes: u64,
    /// What is damaged and could not be sealed anew.
    quarantined: u64,
    seconds: f64,
}

pub(super) fn run(place: &Place, args: &RotateArgs) -> Result<(), Failure> {
    if let Some(slot) = args.slot {
        return replace(place, slot, args);
    }
    let start = Instant::now();
    let manager = place.write(WAIT_SHORT)?;
    let finished = finish(&manager)?;
    let mut rotated = Report { finished, ..Report::default() };
    if !args.resume && !args.data {
        manager.rotate_keys(KeyRotation::Wrapping, |_| {})?;
        rotated.rotated.push("wrapping");
    }
    if !args.resume && !args.wrapping {
        rotate_data(&manager)?;
        rotated.rotated.push("data");
        let stats = manager.stats()?;
        rotated.segments = stats.databases.iter().map(|database| database.segments).sum();
        rotated.runs = stats.databases.iter().map(|database| database.runs).sum();
        rotated.bytes = sealed(&stats).values().sum();
        rotated.quarantined = stats.databases.iter().map(|database| database.quarantined).sum();
    }
    manager.close()?;
    rotated.seconds = start.elapsed().as_secs_f64();
    let mut output = place.output();
    output.either(&rotated, line(&rotated))?;
    output.flush()?;
    if rotated.quarantined > 0 {
        say(format_args!(
            "{} segments and index runs are damaged and stay under their old keys: run `forgeone-db verify`",
            rotated.quarantined
        ));
    }
    if rotated.rotated.contains(&"wrapping") && rotated.rotated.contains(&"data") {
        say("copies of the store from before still open with the keys of then");
    }
    Ok(())
}

/// Finishes what an earlier process began.
fn finish(manager: &RedbManager) -> Result<Option<PendingKeyChange>, Failure> {
    let database = manager.database();
    let Some(found) = database.found_key_change().cloned() else { return Ok(None) };
    say(format_args!("{found} was cut short; finishing it"));
    block_on(database.finish_key_changes())?;
    Ok(Some(found))
}

fn rotate_data(manager: &RedbManager) -> Result<(), Failure> {
    let mut left = sealed(&manager.stats()?);
    let mut bar = Progress::bytes("sealing anew", Some(left.values().sum()));
    manager.rotate_keys(KeyRotation::Data, move |at: &KeyProgress| {
        let before = left.insert(at.database.clone(), at.bytes_left).unwrap_or(0);
        bar.advance(before.saturating_sub(at.bytes_left));
    })?;
    Ok(())
}

/// Stored bytes of segments and indexes, by database.
fn sealed(stats: &StoreStats) -> HashMap<String, u64> {
    let databases = stats.databases.iter();
    databases
        .map(|database| (database.database.clone(), database.sealed_bytes + database.run_bytes))
        .collect()
}

fn line(done: &Report) -> String {
    let seconds = done.seconds;
    let what = match (done.rotated.as_slice(), &done.finished) {
        ([], Some(found)) => return format!("finished {found} in {seconds:.1} s"),
        ([], None) => return "no change of keys was cut short: nothing to finish".to_owned(),
        (["wrapping"], _) => {
            return format!("replaced the wrapping key in {seconds:.1} s; no record is rewritten");
        }
        (["data"], _) => "the data keys",
        _ => "the wrapping key and the data keys",
    };
    format!(
        "replaced {what}: {} segments and {} index runs sealed anew, {}, in {seconds:.1} s",
        done.segments,
        done.runs,
        Bytes(done.bytes)
    )
}

/// Puts a new key in place of one that opens the store.
fn replace(place: &Place, slot: u8, args: &RotateArgs) -> Result<(), Failure> {
    let key = place.key()?;
    // First the lock and the present key: a new one is made only for a store that takes it.
    let mut keys = StoreKeys::edit(&place.directory, key.as_ref(), place.wait(WAIT_SHORT))
        .map_err(|error| place.explain(error))?;
    let Some(old) = keys.list().into_iter().find(|known| known.slot == slot) else {
        return Err(Failure::new(Exit::NotFound, format!("no key has the number {slot}"))
            .hint("`forgeone-db key list` shows the keys"));
    };
    let generated = args.generate_key.as_deref();
    let new = new_key(place, (args.new_key_file.as_deref(), generated))?;
    if generated.is_none() {
        require_new(place, &new)?;
    }
    keys.replace(slot, &new, None, KdfParams::DEFAULT)
        .inspect_err(|error| take_back(generated, error))?;
    if old.opened {
        say("that was the key in use: from now on the store needs the new one, or another");
    }
    say("who had the old key and kept an old keyring can still read: run `forgeone-db key rotate`");
    let mut output = place.output();
    output.either(&serde_json::json!({"replaced": slot}), format_args!("replaced key {slot}"))?;
    output.flush()?;
    Ok(())
}

/// Refuses a key that opens the store already: it would be taken for new, and is not.
fn require_new(place: &Place, new: &Key) -> Result<(), Failure> {
    match StoreKeys::read(&place.directory, Some(new)) {
        Err(error) if error.kind() == ErrorKind::WrongKey => Ok(()),
        Err(error) => Err(error.into()),
        Ok(keys) => {
            let slots = keys.list();
            let opened = slots.iter().find(|slot| slot.opened);
            let number = opened.map_or_else(String::new, |slot| format!(" as key {}", slot.slot));
            Err(Failure::new(
                Exit::Conflict,
                format!("the new key opens the store already{number}"),
            )
            .hint("give another key, or --generate-key FILE"))
        }
    }
}
