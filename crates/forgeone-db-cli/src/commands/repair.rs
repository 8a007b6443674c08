//! `repair`: what of the damage can be mended, and mending it.

use crate::args::RepairArgs;
use crate::exit::{Exit, Failure};
use crate::output::{Escaped, Format, Output, say};
use crate::progress::Progress;
use crate::store::{Place, WAIT_SHORT};
use forgeone_db::{RedbManager, RepairPlan, RepairReport, StoreOptions};
use serde::Serialize;

/// What was planned, and done.
#[derive(Serialize)]
struct Repaired<'a> {
    plan: &'a RepairPlan,
    done: Option<&'a RepairReport>,
}

pub(super) fn run(place: &Place, args: &RepairArgs) -> Result<(), Failure> {
    let options = place.read_options()?;
    let plan = plan(place, options.clone())?;
    // Without steps the store is not opened for writing: that alone may do harm where pages are damaged.
    let execute = args.yes && !plan.steps.is_empty();
    let done = if execute { Some(mend(place, options, &plan)?) } else { None };
    let mut output = place.output();
    if output.format() == Format::Json {
        output.json(&Repaired { plan: &plan, done: done.as_ref() })?;
    } else {
        print(&mut output, &plan, done.as_ref())?;
    }
    output.flush()?;
    if !plan.mends_all() {
        return Err(beyond_repair(&plan));
    }
    if done.is_none() && !plan.is_empty() {
        return Err(Failure::new(
            Exit::Corrupt,
            "the store is damaged, and nothing was changed yet",
        )
        .hint("copy the directory aside, then run: forgeone-db repair --yes"));
    }
    Ok(())
}

fn beyond_repair(plan: &RepairPlan) -> Failure {
    if plan.pages_damaged.is_empty() {
        return Failure::new(Exit::Corrupt, "there is damage that no repair mends").hint(
            "restore what is named from a backup, or save the rest with: forgeone-db salvage OUT",
        );
    }
    let what = "the engine's own pages are damaged, so nothing is written: a write may lose more";
    Failure::new(Exit::Corrupt, what).hint(
        "write nothing to the store, copy the directory aside, then run: forgeone-db salvage OUT",
    )
}

fn plan(place: &Place, options: StoreOptions) -> Result<RepairPlan, Failure> {
    let mut progress = Progress::bytes("verifying", None);
    let mut shown = 0;
    RedbManager::plan_store_repair(options, |at| {
        progress.expect(at.bytes_total);
        progress.advance(at.bytes.saturating_sub(shown));
        shown = at.bytes;
    })
    .map_err(|error| place.explain(error))
}

fn mend(place: &Place, options: StoreOptions, plan: &RepairPlan) -> Result<RepairReport, Failure> {
    let mut announced = 0;
    let options = options.lock_wait(place.wait(WAIT_SHORT));
    RedbManager::repair_store(options, plan, move |at| {
        if at.steps_done >= announced {
            announced = at.steps_done + 1;
            say(format_args!("step {announced} of {}: {}", at.steps, at.step));
        }
    })
    .map_err(|error| place.explain(error))
}

fn print(
    output: &mut Output,
    plan: &RepairPlan,
    done: Option<&RepairReport>,
) -> Result<(), Failure> {
    for finding in &plan.remaining {
        let database = finding.database.as_deref().unwrap_or_default();
        let line = format!("cannot mend {database}: {}; {}", finding.what, finding.remedy);
        output.line(Escaped(&line))?;
    }
    match done {
        Some(done) => {
            for one in &done.rebuilt {
                let line = format!("done: {}, {} entries", one.step, one.entries);
                output.line(Escaped(&line))?;
            }
        }
        None => {
            for step in &plan.steps {
                output.line(Escaped(&format!("would {step}")))?;
            }
        }
    }
    if plan.is_empty() {
        output.line("sound: nothing to repair")?;
    }
    Ok(())
}
