//! What of the things on their way to a disk arrives when the power goes.

use super::medium::Change;
use crate::random::Random;

/// A disk writes so many bytes at a time, whole or not at all.
const SECTOR_BYTES: u64 = 512;
/// Random subsets for each moment.
const SUBSETS: usize = 8;

/// What of one change arrived. Names and lengths cannot be torn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Absent,
    Whole,
    /// The sectors of a write from the first to before the second, and no others.
    Only(u64, u64),
    /// All sectors of a write but those.
    Without(u64, u64),
}

impl Part {
    /// What of `data`, written at `offset`, arrived: pieces, each with its place.
    pub(super) fn pieces(self, offset: u64, data: &[u8]) -> Vec<(u64, &[u8])> {
        let end = offset + data.len() as u64;
        let spans = match self {
            Self::Absent => Vec::new(),
            Self::Whole => vec![(offset, end)],
            Self::Only(from, to) => vec![(from * SECTOR_BYTES, to * SECTOR_BYTES)],
            Self::Without(from, to) => {
                vec![(offset, from * SECTOR_BYTES), (to * SECTOR_BYTES, end)]
            }
        };
        let piece = |(from, to): (u64, u64)| {
            let (from, to) = (from.max(offset), to.min(end));
            let start = usize::try_from(from - offset).ok()?;
            let piece = data.get(start..start + usize::try_from(to.checked_sub(from)?).ok()?)?;
            (!piece.is_empty()).then_some((from, piece))
        };
        spans.into_iter().filter_map(piece).collect()
    }
}

/// What arrived of each thing that was on its way, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Selection(Vec<Part>);

impl Selection {
    /// Everything, or nothing, of `count` changes.
    pub(crate) fn all(count: usize, part: Part) -> Self {
        Self(vec![part; count])
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        self.0.iter().copied()
    }

    fn with(mut self, index: usize, part: Part) -> Self {
        if let Some(slot) = self.0.get_mut(index) {
            *slot = part;
        }
        self
    }

    /// Whether a write arrived in part.
    pub(crate) fn is_torn(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Only(..) | Part::Without(..)))
    }
}

/// How a moment is explored: nothing, everything, each change dropped, each alone, the newest one
/// torn everywhere beside all others and beside none, and random subsets with random tears.
pub(crate) fn selections(pending: &[(usize, Change)], random: &mut Random) -> Vec<Selection> {
    let count = pending.len();
    let none = Selection::all(count, Part::Absent);
    let all = Selection::all(count, Part::Whole);
    let mut found = Vec::new();
    for index in 0..count {
        found.push(all.clone().with(index, Part::Absent));
        found.push(none.clone().with(index, Part::Whole));
    }
    if let Some((_, newest)) = pending.last() {
        for tear in tears(newest) {
            found.push(all.clone().with(count - 1, tear));
            found.push(none.clone().with(count - 1, tear));
        }
    }
    for _ in 0..if count > 1 { SUBSETS } else { 0 } {
        found.push(Selection(pending.iter().map(|(_, change)| any_part(change, random)).collect()));
    }
    found.push(none);
    found.push(all);
    found
}

fn any_part(change: &Change, random: &mut Random) -> Part {
    match random.below(5) {
        0 | 1 => Part::Absent,
        2 | 3 => Part::Whole,
        _ => {
            let tears = tears(change);
            let index = usize::try_from(random.below(tears.len() as u64)).unwrap_or(0);
            tears.get(index).copied().unwrap_or(Part::Whole)
        }
    }
}

/// Every way to tear a write in two, and every hole of one sector.
fn tears(change: &Change) -> Vec<Part> {
    let Change::Write { offset, data, .. } = change else { return Vec::new() };
    let first = offset / SECTOR_BYTES;
    let end = (offset + data.len() as u64).div_ceil(SECTOR_BYTES);
    let mut tears = Vec::new();
    for cut in first + 1..end {
        tears.push(Part::Only(first, cut));
        tears.push(Part::Only(cut, end));
        if cut + 1 < end {
            tears.push(Part::Without(cut, cut + 1));
        }
    }
    tears
}
