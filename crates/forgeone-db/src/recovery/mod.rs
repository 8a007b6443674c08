//! Recovery: what of a damaged store can be mended, and what is still there, saved into a new one.
//!
//! Absent on purpose: finding damage (`integrity`), opening and creating stores (`db`), and building
//! an index anew (`stream`, which owns the manifest).
//!
//! A repair is planned from what a verification found: whatever follows from records that can be
//! read is built anew from them. A salvage reads each database past head and manifest where it must: whatever opens under the
//! store's keys in its own place is taken, everything else is named as lost.

mod out;
mod repair;
mod report;
mod salvage;
mod source;
mod state;

pub(crate) use out::Target;
pub(crate) use repair::NOT_TO_BE_WRITTEN;
pub use repair::{RebuiltIndex, RepairPlan, RepairProgress, RepairReport, RepairStep};
pub use report::{
    KeptRange, LostRange, SalvageDamage, SalvageProgress, SalvageReport, SalvagedTopic,
};
pub(crate) use salvage::salvage;
