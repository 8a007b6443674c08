//! System state on a tour: a setting with its history, a compare-and-set that loses, and a flag
//! that is on for half of all keys.

use super::report::Check;
use crate::exit::{Exit, Failure};
use crate::output::{Escaped, Output};
use forgeone_db::{ErrorKind, Flag, FlagState, RedbManager, SetOptions, SettingVersion};
use serde::Serialize;
use serde_json::json;

const SETTING: &str = "tour/retries";
const FLAG: &str = "tour-half";
/// Keys that the flag is evaluated for.
const KEYS: u64 = 1_000;

/// What was done and seen.
#[derive(Debug, Serialize)]
pub(super) struct State {
    /// Newest first.
    history: Vec<SettingVersion>,
    /// What the compare-and-set was told that came too late.
    lost: String,
    flag: &'static str,
    keys: u64,
    on: u64,
    /// Some of the keys, and whether the flag is on for them.
    some: Vec<(String, bool)>,
}

/// Sets a setting and a flag in a store that is new, and looks at them in every way.
pub(super) fn show(manager: &RedbManager, checks: &mut Vec<Check>) -> Result<State, Failure> {
    let after = |version| SetOptions { if_version: Some(version), ..SetOptions::default() };
    manager.set_setting(SETTING, &json!(3), after(0))?;
    manager.set_setting(SETTING, &json!(5), after(1))?;
    let lost = match manager.set_setting(SETTING, &json!(9), after(1)) {
        Err(error) if error.kind() == ErrorKind::Conflict => error,
        Err(error) => return Err(error.into()),
        Ok(_) => {
            return Err(Failure::new(Exit::Corrupt, "a compare-and-set on an old version won")
                .hint("this is a defect: please report it"));
        }
    };
    let history = manager.setting_history(SETTING)?.collect::<forgeone_db::Result<Vec<_>>>()?;
    let values: Vec<_> = history.iter().map(|version| version.value.clone()).collect();
    let kept = manager.get_setting_as(SETTING)? == Some(5)
        && values == [Some(json!(5)), Some(json!(3))]
        && lost.get("version") == Some("2");

    manager.set_flag(FLAG, &Flag::new(FlagState::Percentage { percent: 50.0 }))?;
    let (first, second) = (evaluate(manager)?, evaluate(manager)?);
    let on = first.iter().filter(|(_, on)| *on).count() as u64;
    checks.extend([
        Check { what: "a setting has its newest value and its history", ok: kept },
        Check {
            what: "a flag at 50 % is on for about half of the keys, and always the same ones",
            ok: first == second && (KEYS * 4 / 10..KEYS * 6 / 10).contains(&on),
        },
    ]);
    let some = first.into_iter().take(4).collect();
    Ok(State { history, lost: lost.to_string(), flag: FLAG, keys: KEYS, on, some })
}

/// The keys, and whether the flag is on for them.
fn evaluate(manager: &RedbManager) -> Result<Vec<(String, bool)>, Failure> {
    (0..KEYS)
        .map(|number| {
            let key = format!("user-{number}");
            let on = manager.evaluate_flag(FLAG, &key)?.on;
            Ok((key, on))
        })
        .collect()
}

impl State {
    pub(super) fn print(&self, output: &mut Output) -> Result<(), Failure> {
        output.line("System state")?;
        let versions: Vec<String> = self
            .history
            .iter()
            .map(|version| match &version.value {
                Some(value) => format!("{value} (version {})", version.version),
                None => format!("removed (version {})", version.version),
            })
            .collect();
        output
            .line(format_args!("  the setting {SETTING}: {}", versions.join(", before that ")))?;
        output.line(format_args!("  a change that came too late: {}", Escaped(&self.lost)))?;
        let some: Vec<String> = self
            .some
            .iter()
            .map(|(key, on)| format!("{key} {}", if *on { "on" } else { "off" }))
            .collect();
        output
            .line(format_args!(
                "  the flag {} at 50 %: on for {} of {} keys: {} ...",
                self.flag,
                self.on,
                self.keys,
                some.join(", ")
            ))
            .map(drop)
    }

    /// What to type to see the same.
    pub(super) fn commands() -> [String; 2] {
        [format!("settings history {SETTING}"), format!("flags eval {FLAG} --key user-0")]
    }
}
