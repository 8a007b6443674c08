//! Running the cases, and what came of it.
//!
//! Absent on purpose: printing while running; a failure says all of it at the end.

use super::{CASES, Checked, Harness};
use crate::task::catch_panic;
use std::fmt;

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// The case's sentence.
    pub name: &'static str,
    /// What its check found. A panic is a failure with the panic's text.
    pub checked: Checked,
}

/// What came of every case, in the order of [`CASES`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Report {
    /// One result for each case.
    pub results: Vec<CaseResult>,
}

impl Report {
    /// The results that are failures.
    pub fn failures(&self) -> impl Iterator<Item = &CaseResult> {
        self.results.iter().filter(|result| result.checked.is_err())
    }

    /// Fails a test unless every case ran and passed.
    ///
    /// # Panics
    /// With the count and every failure, if there is one, or if a case is missing.
    pub fn assert_passed(&self) {
        assert!(self.results.len() == CASES.len(), "{} cases ran: {self}", self.results.len());
        assert!(self.failures().next().is_none(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.results.len() - self.failures().count();
        write!(f, "{passed} of {} cases of the engine contract hold", CASES.len())?;
        for failure in self.failures() {
            if let Err(found) = &failure.checked {
                write!(f, "\n  broken: {}\n          {found}", failure.name)?;
            }
        }
        Ok(())
    }
}

/// Runs every case, one after the other, each on fresh engines.
pub async fn run(harness: &dyn Harness) -> Report {
    let mut results = Vec::with_capacity(CASES.len());
    for case in CASES {
        let check = Box::pin(async move { case.run(harness).await });
        let checked = catch_panic(check)
            .await
            .unwrap_or_else(|text| Err(format!("the case panicked: {text}")));
        results.push(CaseResult { name: case.name, checked });
    }
    Report { results }
}

/// Runs every case on this thread and fails the test unless all pass.
///
/// # Panics
/// With the count and every failure, if there is one.
#[cfg(not(target_family = "wasm"))]
pub fn check(harness: &dyn Harness) {
    crate::task::block_on(run(harness)).assert_passed();
}
