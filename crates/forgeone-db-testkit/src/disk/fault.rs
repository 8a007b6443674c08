//! What goes wrong on a disk, and when.

use std::io;

/// Which operations are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// Whatever changes something, and the syncs that make it durable.
    Change,
    /// Syncs of files alone.
    Sync,
    /// Reads of a file's bytes.
    Read,
}

/// How often it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Repeat {
    Once,
    /// From then on, every operation of the class.
    Forever,
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Failure {
    /// Nothing is done; the operating system's number for the reason.
    Error(i32),
    /// The first half of a write is done; other operations fail as with [`Error`](Self::Error).
    Short(i32),
    /// A sync fails and forgets what it was to make durable: readers see it until what is in memory
    /// is dropped. Other operations fail with `EIO`.
    Lose,
}

impl Failure {
    pub(crate) const EIO: i32 = 5;
    pub(crate) const ENOSPC: i32 = 28;

    pub(super) fn to_error(self) -> io::Error {
        match self {
            Self::Error(number) | Self::Short(number) => io::Error::from_raw_os_error(number),
            Self::Lose => io::Error::from_raw_os_error(Self::EIO),
        }
    }
}

/// A fault: the operation of a class, counted from 1, that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fault {
    pub(crate) class: Class,
    pub(crate) at: u64,
    pub(crate) repeat: Repeat,
    pub(crate) failure: Failure,
}

/// The faults of a disk, and how many operations of each class there were.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    planned: Vec<Fault>,
    changes: u64,
    syncs: u64,
    reads: u64,
    hits: u64,
}

impl Faults {
    pub(super) fn plan(&mut self, fault: Fault) {
        self.planned.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.planned.clear();
    }

    pub(super) fn count(&self, class: Class) -> u64 {
        match class {
            Class::Change => self.changes,
            Class::Sync => self.syncs,
            Class::Read => self.reads,
        }
    }

    pub(super) fn hits(&self) -> u64 {
        self.hits
    }

    /// Counts an operation that belongs to `classes`; says how it fails, if it does.
    pub(super) fn meet(&mut self, classes: &[Class]) -> Option<Failure> {
        for class in classes {
            *match class {
                Class::Change => &mut self.changes,
                Class::Sync => &mut self.syncs,
                Class::Read => &mut self.reads,
            } += 1;
        }
        let failure = self.planned.iter().find_map(|fault| {
            let now = self.count(fault.class);
            let due = match fault.repeat {
                Repeat::Once => now == fault.at,
                Repeat::Forever => now >= fault.at,
            };
            (classes.contains(&fault.class) && due).then_some(fault.failure)
        })?;
        self.hits += 1;
        Some(failure)
    }
}
