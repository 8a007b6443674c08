//! The engine contract: opaque bytes in few, large operations.
//!
//! Absent on purpose: transactions held by a caller, typed values, engine-wide listings, and any
//! default method but that of `compact`, which an engine without free space has no use for. See
//! `docs/adr/0001-engine-contract.md`.

mod batch;
mod capability;
mod names;
mod pointers;
mod read;

pub use batch::{Batch, Operation, Precondition};
pub use capability::{Capability, Durability, Usage};
pub use names::{DatabaseName, TableName};
pub use read::{Direction, Entry, KeyRange, Page, Projection, Read, ReadResult};

use crate::error::Result;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;

/// A boxed future: `Send` everywhere but on WebAssembly, where nothing is.
#[cfg(not(target_family = "wasm"))]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A boxed future: `Send` everywhere but on WebAssembly, where nothing is.
#[cfg(target_family = "wasm")]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// `Send`, except on WebAssembly.
#[cfg(not(target_family = "wasm"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_family = "wasm"))]
impl<T: Send + ?Sized> MaybeSend for T {}
/// `Send`, except on WebAssembly.
#[cfg(target_family = "wasm")]
pub trait MaybeSend {}
#[cfg(target_family = "wasm")]
impl<T: ?Sized> MaybeSend for T {}

/// `Sync`, except on WebAssembly.
#[cfg(not(target_family = "wasm"))]
pub trait MaybeSync: Sync {}
#[cfg(not(target_family = "wasm"))]
impl<T: Sync + ?Sized> MaybeSync for T {}
/// `Sync`, except on WebAssembly.
#[cfg(target_family = "wasm")]
pub trait MaybeSync {}
#[cfg(target_family = "wasm")]
impl<T: ?Sized> MaybeSync for T {}

/// A storage engine: named databases of named, ordered tables of bytes.
///
/// # Contract
///
/// - Keys order as unsigned bytes, lexicographically. Keys are 1 to `key_bytes_max` bytes; values
///   may be empty.
/// - A database or table that was never written to reads as empty, and reading creates nothing.
/// - [`read`](Self::read) is consistent within the call: it sees each commit whole or not at all.
///   Two calls may see different states.
/// - [`commit`](Self::commit) is the only way to change anything. It is atomic for its one
///   database. After it returned `Ok`, every later read on this handle sees it.
/// - Commits to one database are durable in order: a commit with [`Durability::Sync`] makes all
///   earlier commits to that database durable too.
/// - Every call checks its request with [`Read::check`] or [`Batch::check`] before it does
///   anything, so a request outside the engine's [`Capability`] is `Invalid` on every engine.
/// - Dropping a future before it completes leaves the commit done entirely or not at all.
/// - No call panics, whatever bytes lie in the store: a panic below is caught and reported.
///
/// # Wrappers
///
/// A wrapper is an engine. Put `#[deny(clippy::missing_trait_methods)]` on its `impl`, print the
/// stack in `Display` (`metered(memory)`), and run the conformance suite over it.
pub trait Engine: Debug + Display + MaybeSend + MaybeSync + 'static {
    /// What this engine can do, in numbers. Constant for the life of the handle.
    fn capability(&self) -> Capability;

    /// Gets values by key, or one page of an ordered scan.
    ///
    /// # Errors
    /// `Invalid` for a request outside the capability; `Corrupt` where the engine itself notices
    /// damage; `Unavailable` for a passing failure below; `Closed` after [`close`](Self::close).
    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>>;

    /// Applies `batch` whole or not at all: first its preconditions are checked, then its
    /// operations are applied in order.
    ///
    /// # Durability
    /// At least `durability` on return, never less.
    ///
    /// # Errors
    /// `Conflict` when a precondition does not hold (`Rejected`); `Invalid` outside the capability
    /// (`Rejected`); `Unsupported` when `durability` exceeds `durability_max` (`Rejected`); `Full`
    /// when there is no room; `Closed`. Any failure after the first byte may have been written has
    /// outcome `Unknown`.
    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>>;

    /// The bytes that `database` occupies, and what is left to it. All zero for one that was never
    /// written to, except `available_bytes`.
    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>>;

    /// Gives free space inside `database` back to the medium below, as far as the engine can. No
    /// entry changes, and [`usage`](Self::usage) does not grow by it. Nothing happens to a database
    /// that was never written to. A crash at any moment, or a dropped future, loses nothing.
    ///
    /// May take as long as rewriting the database does. Calls on this database may wait meanwhile,
    /// those on others do not.
    ///
    /// As provided, for engines that keep no free space: does nothing, and fails where `usage` does.
    ///
    /// # Errors
    /// `Unavailable` (`Rejected`) while others use the database in a way that forbids it: try again;
    /// `Unsupported` on a handle that only reads; `Full`, `Closed`. As with a commit, a failure
    /// after the first byte may have been written has outcome `Unknown`; what is not known is
    /// whether space was given back, never an entry.
    fn compact(&self, database: &DatabaseName) -> BoxFuture<'_, Result<()>> {
        let usage = self.usage(database);
        Box::pin(async move { usage.await.map(drop) })
    }

    /// Releases what the engine holds: files, locks, connections. Waits for calls in progress.
    /// Every later call, a second `close` excepted, is `Closed(Shutdown)`.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}
