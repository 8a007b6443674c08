//! An oracle that believes everything proves nothing: each kind of lie must be noticed.

use super::child::Ended;
use super::oracle::{Oracle, Tolerance};
use super::plan::{Op, OpName, Plan, RecordName, TOPICS};
use super::report::{Answer, Line};
use super::{Depth, check};
use forgeone_db::{Durability, Key, MemoryEngine, OpenMode, RedbManager, StoreOptions};
use std::sync::Arc;

const SEED: u64 = 3;

/// A store, and what is said of it.
struct Scene {
    store: RedbManager,
    oracle: Oracle,
}

/// The first operations that append `records` events to the first topic alone.
fn appends(records: usize) -> impl Iterator<Item = OpName> {
    let plan = Plan { seed: SEED };
    let names = (0..).map(|number| OpName { cycle: 1, thread: 0, number });
    names.filter(move |name| match plan.op(*name) {
        Op::Append { topics, .. } => topics == vec![0; records],
        _ => false,
    })
}

impl Scene {
    fn new() -> Self {
        let options = StoreOptions::with_engine(Arc::new(MemoryEngine::new()))
            .durability(Durability::None)
            .mode(OpenMode::Create)
            .key(Key::raw([7; 32]));
        Self { store: RedbManager::open(options).unwrap(), oracle: Oracle::new(SEED) }
    }

    /// Stores the first records of an operation.
    fn stored(self, op: OpName, records: u32) -> Self {
        let events: Vec<_> = (0..records)
            .map(|part| Plan { seed: SEED }.event(RecordName { op, part }, TOPICS[0].1))
            .collect();
        self.store.store_events(&events).unwrap();
        self
    }

    fn told(mut self, lines: Vec<Line>) -> Result<Self, String> {
        let ended = Ended { lines, errors: String::new(), status: None };
        self.oracle.hear(1, &ended, Tolerance::Faults)?;
        check(&mut self.oracle, &self.store, Depth::All)?;
        Ok(self)
    }
}

fn acked(op: OpName, numbers: &[u64]) -> Line {
    let answer = |number: &u64| Answer { number: *number, duplicate: false };
    Line::Acked(op, numbers.iter().map(answer).collect())
}

#[test]
fn the_truth_is_believed() {
    let (first, second) = (appends(1).next().unwrap(), appends(1).nth(1).unwrap());
    let batch = appends(2).next().unwrap_or_else(|| panic!("no batch of two in the plan"));
    let lines = vec![
        Line::Sent(first),
        acked(first, &[1]),
        Line::Sent(second),
        Line::Sent(batch),
        acked(batch, &[2, 3]),
    ];
    let scene = Scene::new().stored(first, 1).stored(batch, 2).told(lines).unwrap();
    assert_eq!((scene.oracle.acked, scene.oracle.unknown_absent), (3, 1));
    // What was unknown and not found may be done again.
    scene.stored(second, 1).told(vec![Line::Sent(second), acked(second, &[4])]).unwrap();
}

#[test]
fn each_lie_is_noticed() {
    let (a, b) = (appends(1).next().unwrap(), appends(1).nth(1).unwrap());
    let batch = appends(3).next().unwrap();
    let refused = |why: &str, scene: Result<Scene, String>| match scene {
        Err(what) => println!("{why}: {what}"),
        Ok(_) => panic!("not noticed: {why}"),
    };
    refused("lost", Scene::new().told(vec![Line::Sent(a), acked(a, &[1])]));
    refused("never sent", Scene::new().stored(a, 1).told(vec![]));
    let lines = vec![Line::Sent(a), Line::Rejected(a, "Full".into())];
    refused("refused and there", Scene::new().stored(a, 1).told(lines));
    let lines = vec![Line::Sent(a), acked(a, &[2])];
    refused("at another place", Scene::new().stored(a, 1).told(lines));
    let lines = vec![Line::Sent(batch)];
    refused("a batch in part", Scene::new().stored(batch, 2).told(lines));
    let lines = vec![Line::Sent(a), acked(a, &[2]), Line::Sent(b), acked(b, &[1])];
    refused("against time", Scene::new().stored(b, 1).stored(a, 1).told(lines));
    let scene = Scene::new().told(vec![Line::Sent(a)]).unwrap();
    refused("there after all", scene.stored(a, 1).told(vec![]));
    let seen = Line::Seen(0, 1, RecordName { op: a, part: 0 });
    refused("seen and undone", Scene::new().told(vec![Line::Sent(a), seen]));
    let lines = vec![Line::Sent(a), acked(a, &[1]), Line::Sent(a), acked(a, &[1])];
    refused("no duplicate", Scene::new().stored(a, 1).told(lines));
}
