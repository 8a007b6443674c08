//! The second generator: stores in each of a list of states, and every shape of query in turn.
//!
//! It shares no code with the first one: its own data, its own matching of topics, and its own way
//! to answer, which is to look at every row. Nothing here is drawn: a case is a state and a stretch
//! of the table of shapes, and enough cases ask every shape of every state.

mod answer;
mod shape;
mod states;

use super::bench::Bench;
use crate::campaign::Counts;
use answer::Line;
use shape::{REPLAYS, Replay, SHAPES, Shape};
use std::fmt::Debug;

/// Queries of one case. Making the stores takes much longer than one query.
const STRETCH: u64 = 1_800;

/// Runs a case: its number says which state, and which stretch of the table.
///
/// # Errors
/// What an engine answered that it should not have.
pub(super) fn run(number: u64) -> Result<Counts, String> {
    let states = states::STATES.len() as u64;
    let index = usize::try_from(number % states).unwrap_or(0);
    let (name, script) = states::STATES.get(index).ok_or("no such state")?;
    let mut bench = Bench::new(number, 1 + u32::try_from(number % 2).unwrap_or(0))?;
    let mut rows = states::Rows::default();
    script(&mut bench, &mut rows).map_err(|what| format!("making state {name}: {what}"))?;
    let mut counts = Counts::from([("states of stores", 1)]);
    ask_all(&bench, &rows, number / states, &mut counts)
        .map_err(|what| format!("state {name}: {what}"))?;
    for subject in &bench.subjects {
        subject.store.close().map_err(|error| error.to_string())?;
    }
    counts.insert("operations", counts.values().sum::<u64>() + rows.operations);
    Ok(counts)
}

fn ask_all(
    bench: &Bench,
    rows: &states::Rows,
    round: u64,
    counts: &mut Counts,
) -> Result<(), String> {
    // A stride that has no factor in common with the table, so that a stretch has all kinds.
    for step in 0..STRETCH {
        let number = (round * STRETCH + step).wrapping_mul(7_919) % SHAPES;
        let shape = Shape::of(number);
        let name =
            if shape.is_log { "shapes of queries of logs" } else { "shapes of queries of events" };
        *counts.entry(name).or_default() += 1;
        compare(bench, &shape, &shape.expected(rows), |store| shape.ask(store))?;
    }
    for number in 0..REPLAYS {
        let replay = Replay::of(number);
        *counts.entry("shapes of replays").or_default() += 1;
        compare(bench, &replay, &replay.expected(rows), |store| replay.ask(store))?;
    }
    for line in &rows.lines {
        *counts.entry("places read").or_default() += 1;
        let expected: Result<Line, String> =
            if line.gone { Err("NotFound".into()) } else { Ok(line.clone()) };
        compare(bench, line, &expected, |store| line.ask(store))?;
    }
    Ok(())
}

fn compare<T: PartialEq + Debug>(
    bench: &Bench,
    what: &dyn Debug,
    expected: &T,
    question: impl Fn(&forgeone_db::RedbManager) -> T,
) -> Result<(), String> {
    let mut answers = bench.subjects.iter().map(|subject| (subject.name, question(&subject.store)));
    match answers.find(|(_, answer)| answer != expected) {
        None => Ok(()),
        Some((name, answer)) => {
            Err(format!("{name}: {what:?}\n  gave     {answer:?}\n  expected {expected:?}"))
        }
    }
}
