//! What the checks found, printed as it is found.

use crate::exit::{Exit, Failure};
use crate::output::{Escaped, Output};
use crate::store::Place;
use serde::Serialize;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    /// Good to know, or not checked.
    Info,
    /// A store works, with a risk.
    Warn,
    /// A store does not work, or not as promised.
    Fail,
}

/// One line.
#[derive(Debug, Serialize)]
struct Finding<'a> {
    check: &'a str,
    status: Status,
    detail: &'a str,
    remedy: Option<&'a str>,
}

/// All checks of a run.
pub(super) struct Report {
    output: Output,
    warned: u32,
    failed: u32,
}

impl Report {
    pub(super) fn new(place: &Place) -> Self {
        Self { output: place.output(), warned: 0, failed: 0 }
    }

    pub(super) fn ok(&mut self, check: &str, detail: impl AsRef<str>) -> Result<(), Failure> {
        self.add(check, Status::Ok, detail.as_ref(), None)
    }

    pub(super) fn info(&mut self, check: &str, detail: impl AsRef<str>) -> Result<(), Failure> {
        self.add(check, Status::Info, detail.as_ref(), None)
    }

    pub(super) fn warn(
        &mut self,
        check: &str,
        detail: impl AsRef<str>,
        remedy: impl AsRef<str>,
    ) -> Result<(), Failure> {
        self.warned += 1;
        self.add(check, Status::Warn, detail.as_ref(), Some(remedy.as_ref()))
    }

    pub(super) fn fail(
        &mut self,
        check: &str,
        detail: impl AsRef<str>,
        remedy: impl AsRef<str>,
    ) -> Result<(), Failure> {
        self.failed += 1;
        self.add(check, Status::Fail, detail.as_ref(), Some(remedy.as_ref()))
    }

    fn add(
        &mut self,
        check: &str,
        status: Status,
        detail: &str,
        remedy: Option<&str>,
    ) -> Result<(), Failure> {
        let name = match status {
            Status::Ok => "ok",
            Status::Info => "info",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        let todo = remedy.map_or_else(String::new, |remedy| format!("; {remedy}"));
        let line = format!("{name:<5} {check:<12} {detail}{todo}");
        let finding = Finding { check, status, detail, remedy };
        self.output.either(&finding, Escaped(&line))?;
        // The next check may take a while.
        self.output.flush()?;
        Ok(())
    }

    /// # Errors
    /// When a check failed, or, if `strict`, warned.
    pub(super) fn end(&self, strict: bool) -> Result<(), Failure> {
        let hint = "each line says what to do behind its semicolon";
        match (self.failed, self.warned) {
            (0, warned) if warned > 0 && strict => {
                let message = format!("{warned} checks warned, and --strict was given");
                Err(Failure::new(Exit::Failure, message).hint(hint))
            }
            (0, _) => Ok(()),
            (failed, _) => {
                Err(Failure::new(Exit::Failure, format!("{failed} checks failed")).hint(hint))
            }
        }
    }
}
