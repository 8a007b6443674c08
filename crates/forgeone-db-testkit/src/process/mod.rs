//! A worker process that can be killed or given faults, and the outside view of what it did.
//!
//! The worker says on its standard output what it is about to do and what was acknowledged; the
//! parent keeps that and, once the worker is dead, compares it with what the store holds. What an
//! operation consists of follows from the seed and its name, so that a line of a few bytes is
//! enough, and both sides know every byte that must be there.

mod check;
mod child;
mod oracle;
mod plan;
mod report;
mod worker;

pub(crate) use check::{Depth, check};
pub(crate) use child::{Child, Ended, Errand};
pub(crate) use oracle::{Oracle, Tolerance};
pub(crate) use worker::{WorkerArguments, options, work};
