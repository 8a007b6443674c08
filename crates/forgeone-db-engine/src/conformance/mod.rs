//! The suite that every engine runs: one sentence for each promise of the contract, and a check.
//!
//! **Unstable**: cases are added in any release, so a new release may fail an engine that passed the
//! one before. Absent on purpose: speed, and crashes that need the medium's help; both are tested
//! where the medium is.
//!
//! An engine's test is a [`Harness`] and one call of [`check`] (or, inside a runtime of the engine's
//! own, of [`run`] and [`Report::assert_passed`]). Nothing is skipped: where an engine claims less
//! than others, the case asserts that it says so, with `Unsupported`.
//!
//! # Example
//!
//! ```
//! use forgeone_db_engine::conformance::{self, Harness, Subject};
//! use forgeone_db_engine::{BoxFuture, MemoryEngine, Result};
//! use std::sync::Arc;
//!
//! struct Memory;
//!
//! impl Harness for Memory {
//!     fn fresh(&self) -> BoxFuture<'_, Result<Subject>> {
//!         Box::pin(async { Ok(Subject::new(Arc::new(MemoryEngine::new()))) })
//!     }
//!
//!     fn reopen(&self, _closed: Subject) -> BoxFuture<'_, Result<Option<Subject>>> {
//!         Box::pin(async { Ok(None) })
//!     }
//! }
//!
//! conformance::check(&Memory);
//! ```

mod batches;
mod capabilities;
mod compaction;
mod concurrency;
mod conditions;
mod durability;
mod gets;
mod harness;
mod isolation;
mod lifecycle;
mod limits;
mod pages;
mod report;
mod scans;
mod subject;

pub use harness::{Checked, Harness, Task};
#[cfg(not(target_family = "wasm"))]
pub use report::check;
pub use report::{CaseResult, Report, run};
pub use subject::{Place, Subject};

use crate::contract::BoxFuture;
use std::fmt;

/// One promise of the contract and its check.
#[derive(Clone, Copy)]
pub struct Case {
    /// The promise, as a sentence.
    pub name: &'static str,
    check: for<'a> fn(&'a dyn Harness) -> BoxFuture<'a, Checked>,
}

impl Case {
    /// Runs the check on fresh engines of `harness`.
    ///
    /// # Errors
    /// What was expected and what was found, in words.
    pub fn run<'a>(&self, harness: &'a dyn Harness) -> BoxFuture<'a, Checked> {
        (self.check)(harness)
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

macro_rules! cases {
    ($($name:literal => $module:ident::$check:ident,)*) => {
        /// Every case, in the order in which they run.
        pub const CASES: &[Case] = &[
            $(Case { name: $name, check: |harness| Box::pin($module::$check(harness)) },)*
        ];
    };
}

cases! {
    "a get of an absent key answers that it is absent" => gets::absent,
    "a get answers in the order asked" => gets::order,
    "a repeated key is answered each time" => gets::repeats,
    "a get reads from several tables at once" => gets::tables,
    "an empty value is present" => gets::empty_value,
    "a get of no keys answers no values" => gets::none,
    "keys and values hold any bytes" => gets::any_bytes,
    "a key is not found by its prefix or extension" => gets::exact,
    "a get takes exactly as many keys as claimed" => gets::as_many_as_claimed,
    "a get of one key too many is invalid" => gets::too_many,
    "a get of an empty key or one too long is invalid" => gets::bad_keys,

    "keys order as unsigned bytes" => scans::unsigned,
    "a key comes before its extensions" => scans::prefix_first,
    "a forward scan returns ascending keys" => scans::forward,
    "a reverse scan returns descending keys" => scans::reverse,
    "a range includes its start and excludes its end" => scans::bounds,
    "bounds need not be keys of the table" => scans::foreign_bounds,
    "a range without end reaches the last key" => scans::open_end,
    "an empty start reaches the first key" => scans::open_start,
    "a range that ends where it starts is empty" => scans::empty_range,
    "a range between two keys is empty" => scans::between,
    "a range that ends before it starts is invalid" => scans::backwards,
    "a bound may be one byte longer than a key, no more" => scans::long_bounds,
    "a scan of keys alone returns every key with an empty value" => scans::keys_only,
    "a scan returns entries with empty values" => scans::empty_values,
    "a scan sees one table alone" => scans::one_table,

    "a page never exceeds the entries asked for" => pages::entries_max,
    "pages of every size join up in both directions" => pages::join_up,
    "pages of keys alone join up in both directions" => pages::keys_join_up,
    "a page ends with the entry that reaches its bytes" => pages::bytes_max,
    "a page of no bytes still returns an entry" => pages::no_bytes,
    "an entry larger than its page is returned whole" => pages::large_entry,
    "a page without entries never says that there is more" => pages::empty_never_more,
    "a page that says there is no more is the last" => pages::no_more_is_the_end,
    "paging goes on after its last key was deleted" => pages::last_key_deleted,
    "paging goes past the longest key" => pages::past_longest,
    "a page size of zero is invalid" => pages::zero,
    "a page size is valid up to the size claimed" => pages::claimed_size,

    "a put is seen by every later read" => batches::put,
    "a put replaces the value" => batches::replace,
    "a delete removes the key" => batches::delete,
    "a delete of an absent key does nothing" => batches::delete_absent,
    "an empty batch succeeds" => batches::empty,
    "put then delete leaves the key absent" => batches::put_delete,
    "delete then put leaves the key present" => batches::delete_put,
    "the last of several puts wins" => batches::last_put,
    "a batch writes several tables" => batches::tables,
    "a range delete keeps to its bounds" => batches::range_bounds,
    "a range delete without end empties the table" => batches::range_all,
    "a range delete removes what the batch put before it" => batches::range_after_put,
    "a put after a range delete stays" => batches::range_before_put,
    "a range delete of nothing does nothing" => batches::range_nothing,
    "a range delete that ends before it starts is invalid" => batches::range_backwards,
    "a range delete removes as many entries as claimed" => batches::range_claimed,
    "a range delete of one entry too many is invalid and writes nothing" => batches::range_too_many,
    "a range delete counts what earlier operations left" => batches::range_counts_in_order,
    "a batch that fails at its last operation writes nothing" => batches::late_failure,

    "an absent key meets the condition of absence" => conditions::absent_holds,
    "a present key fails the condition of absence" => conditions::absent_fails,
    "an empty value fails the condition of absence" => conditions::absent_empty,
    "an equal value meets the condition of equality" => conditions::equals_holds,
    "another value fails the condition of equality" => conditions::equals_other,
    "an absent key fails the condition of equality" => conditions::equals_absent,
    "the condition of an empty value holds for an empty value alone" => conditions::equals_empty,
    "a value does not equal its prefix" => conditions::equals_prefix,
    "conditions are checked before the operations of the batch" => conditions::before_operations,
    "one failed condition among many refuses the batch" => conditions::one_of_many,
    "a batch of conditions alone checks them and writes nothing" => conditions::alone,
    "conditions reach across tables" => conditions::across_tables,
    "conditions that contradict each other conflict" => conditions::contradiction,
    "of two conflicting commits one succeeds" => conditions::two_conflicting,

    "the capability is at least what the contract demands" => capabilities::minimums,
    "the capability is constant" => capabilities::constant,
    "an engine says what it is in one line" => capabilities::display,
    "a key is valid up to the length claimed" => limits::key_length,
    "an empty key is invalid everywhere" => limits::empty_key,
    "a value is valid up to the size claimed" => limits::value_size,
    "a batch is valid up to the operations claimed" => limits::operations,
    "conditions count as operations" => limits::conditions_count,
    "a batch is valid up to the bytes claimed" => limits::batch_bytes,
    "a refused request is rejected and writes nothing" => limits::rejected,
    "an invalid request is invalid before its conditions are looked at" => limits::invalid_first,

    "more durability than claimed is unsupported" => durability::beyond,
    "a commit of every durability is visible at once" => durability::visible,
    "a synced commit survives reopening" => durability::survives,
    "a synced commit makes earlier ones durable" => durability::earlier,
    "a deletion survives reopening" => durability::deletion,
    "what is found after reopening is a prefix of the commits" => durability::prefix,
    "databases survive reopening side by side" => durability::databases,

    "a database that was never written reads as empty" => isolation::unknown_database,
    "a table that was never written reads as empty" => isolation::unknown_table,
    "reading creates nothing" => isolation::reading,
    "databases are apart" => isolation::databases,
    "tables are apart" => isolation::tables,
    "names of every legal form are apart" => isolation::names,
    "usage is nothing before and something after a write" => isolation::usage_grows,
    "usage does not shrink as entries are added" => isolation::usage_monotone,
    "usage of one database leaves out the others" => isolation::usage_apart,

    "compaction changes no entry" => compaction::no_entry,
    "compaction does not grow a database" => compaction::no_growth,
    "compaction of a database that was never written does nothing" => compaction::unknown_database,
    "compaction leaves a database as durable as it was" => compaction::durable,
    "compaction of one database leaves the others alone" => compaction::apart,
    "reads and commits beside a compaction see each commit whole" => compaction::beside,
    "a dropped compaction leaves every entry" => compaction::dropped,

    "sixteen committers with conditions make one order" => concurrency::committers_apart,
    "sixteen committers taking turns make one order" => concurrency::committers_by_turns,
    "a get sees each commit whole" => concurrency::gets_whole,
    "a page sees each commit whole" => concurrency::pages_whole,
    "commits to several databases at once all arrive" => concurrency::databases,
    "a dropped commit is done entirely or not at all" => concurrency::dropped_commit,
    "a dropped read leaves the engine working" => concurrency::dropped_read,
    "a commit that was never polled is done entirely or not at all" => concurrency::never_polled,

    "after close every call is closed" => lifecycle::closed,
    "a second close succeeds" => lifecycle::twice,
    "a call made before close is done or closed, never lost" => lifecycle::late,
    "a closed engine refuses invalid requests as closed" => lifecycle::closed_first,
    "close and a commit at the same time leave the commit whole" => lifecycle::race,
    "a fresh engine is empty" => lifecycle::fresh,
}
