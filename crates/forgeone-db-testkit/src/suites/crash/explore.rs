//! From a disk's log to the images that a power loss could leave.

use super::record::Recording;
use crate::campaign::Counts;
use crate::disk::{Image, Medium, Operation, Part, Selection, selections};
use crate::random::Random;
use std::collections::HashSet;

/// How much of what is possible is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Images in all, about: each moment gets its share, and if more are possible there, as many are
    /// drawn.
    pub(super) images: usize,
    /// Images that each moment gets at least, however long the log is.
    pub(super) each_moment: usize,
    /// One image of so many is looked at in every way there is.
    pub(super) thorough: u64,
}

/// A disk after a power loss.
#[derive(Debug)]
pub(super) struct Crashed {
    pub(super) image: Image,
    /// The operations that were done before it.
    pub(super) done: usize,
    /// Whether to look at it in every way there is.
    pub(super) thorough: bool,
    /// In words.
    pub(super) what: String,
}

/// Checks every image, each once for what must be on it.
///
/// # Errors
/// What a check found, with the image in words.
pub(super) fn explore(
    recording: &Recording,
    limits: Limits,
    random: &mut Random,
    counts: &mut Counts,
) -> Result<(), String> {
    let (base, log) = recording.disk();
    let mut medium = Medium::holding(base.clone());
    let mut seen = HashSet::new();
    let share = (limits.images / (log.len() + 1)).max(limits.each_moment);
    for done in 0..=log.len() {
        advance(&mut medium, done, log)?;
        if recording.is_acknowledgement(done) || medium.pending().is_empty() {
            // From here on more must be there, or other things are on their way.
            seen.clear();
        }
        let mut found = selections(medium.pending(), random);
        found.retain(|selection| seen.insert(arrived(&medium, selection)));
        *counts.entry("moments").or_default() += 1;
        *counts.entry("moments.complete").or_default() += u64::from(found.len() <= share);
        thin(&mut found, share, random);
        for selection in found {
            let thorough = random.below(limits.thorough) == 0;
            let crashed = crash(&medium, done, thorough, &selection)?;
            recording.check(&crashed).map_err(|what| format!("{}: {what}", crashed.what))?;
            *counts.entry("images").or_default() += 1;
            *counts.entry("images.torn").or_default() += u64::from(selection.is_torn());
            *counts.entry("images.verified").or_default() += u64::from(thorough);
        }
    }
    Ok(())
}

/// One image of those that are possible.
///
/// # Errors
/// The log does not fit the disk.
pub(super) fn any_image(recording: &Recording, random: &mut Random) -> Result<Crashed, String> {
    let (base, log) = recording.disk();
    let done = usize::try_from(random.below(log.len() as u64 + 1)).unwrap_or(0);
    let mut medium = Medium::holding(base.clone());
    for done in 0..=done {
        advance(&mut medium, done, log)?;
    }
    let mut found = selections(medium.pending(), random);
    thin(&mut found, 1, random);
    let none = Selection::all(medium.pending().len(), Part::Absent);
    crash(&medium, done, false, found.first().unwrap_or(&none))
}

/// What of a disk's log is on an image.
fn arrived(medium: &Medium, selection: &Selection) -> (usize, Vec<(usize, Part)>) {
    let parts = medium.pending().iter().zip(selection.parts());
    let parts = parts.filter(|(_, part)| *part != Part::Absent);
    (medium.settled(), parts.map(|((number, _), part)| (*number, part)).collect())
}

/// Takes in the operation that makes `done` of them.
fn advance(medium: &mut Medium, done: usize, log: &[Operation]) -> Result<(), String> {
    let Some(before) = done.checked_sub(1) else { return Ok(()) };
    match log.get(before) {
        Some(operation) => medium.apply(before, operation).map_err(|error| error.to_string()),
        None => Ok(()),
    }
}

/// Draws `count`.
fn thin(found: &mut Vec<Selection>, count: usize, random: &mut Random) {
    while found.len() > count {
        let index = usize::try_from(random.below(found.len() as u64)).unwrap_or(0);
        found.swap_remove(index);
    }
}

fn crash(
    medium: &Medium,
    done: usize,
    thorough: bool,
    selection: &Selection,
) -> Result<Crashed, String> {
    let image = medium.image(selection).map_err(|error| error.to_string())?;
    let parts: Vec<Part> = selection.parts().collect();
    let what = format!("after {done} operations, of {} under way {parts:?}", parts.len());
    Ok(Crashed { image, done, thorough, what })
}
