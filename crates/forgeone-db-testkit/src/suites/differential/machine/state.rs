//! Settings, flags and facts.

use super::Machine;
use crate::suites::differential::bench::Subject;
use chrono::{DateTime, Utc};
use forgeone_db::{
    ErrorKind, Flag, FlagState, FlagValue, FlagVariant, NewSetting, SetOptions, SettingVersion,
    SettingsQuery, WatchFrom,
};
use serde_json::{Value, json};

const PREFIXES: [&str; 6] = ["", "a", "a/", "flags/", "\u{10ffff}", "nothing"];
const STEMS: [&str; 6] = ["a", "a/", "a/b", "b", "\u{e9}", "\u{10ffff}"];
const PREFIX_OF_FLAGS: &str = "flags/";

impl Machine {
    fn key(&mut self) -> String {
        let stem = self.pick(&STEMS).unwrap_or("a");
        format!("{stem}{}", self.random.below(5))
    }

    fn value(&mut self) -> Value {
        let number = self.random.below(1_000);
        match self.random.below(12) {
            0 => Value::Null,
            1 => json!(number.is_multiple_of(2)),
            2 => json!(["x".repeat(usize::try_from(number).unwrap_or(0))]),
            3 => json!({ "b": number, "a": [null, 1.5, -0.0, 1e300] }),
            4..=6 => json!(format!("text {number} \u{0}\u{e9}")),
            7 => json!(i64::MIN),
            8 => json!(u64::MAX - number),
            _ => json!(number),
        }
    }

    fn setting(&mut self) -> NewSetting {
        let key = self.key();
        let version = self.state.present(&key).map_or(0, |present| present.version);
        let if_version = match self.random.below(4) {
            0 => Some(version),
            1 if self.one_in(3) => Some(self.random.below(6)),
            _ => None,
        };
        let options = SetOptions { if_version, retype: self.one_in(2) };
        NewSetting { key, value: self.value(), options }
    }

    pub(super) fn set(&mut self) -> Result<(), String> {
        let count = if self.one_in(4) { self.random.below(6) } else { 1 };
        let settings: Vec<NewSetting> = (0..count).map(|_| self.setting()).collect();
        let now = self.now();
        let expected = self.state.set(&settings, now);
        self.count(match (&expected, settings.len()) {
            (Err(ErrorKind::Conflict), _) => "settings with another version",
            (Err(_), _) => "settings of another type",
            (_, 1) => "settings set",
            _ => "settings set together",
        });
        let expected =
            expected.map(|versions| versions.into_iter().map(|one| (one, now)).collect());
        self.bench.ask(&settings, &expected, |store| {
            let writes = match settings.as_slice() {
                [NewSetting { key, value, options }] => {
                    vec![store.set_setting(key, value, *options).map_err(|error| error.kind())?]
                }
                settings => store.set_settings(settings).map_err(|error| error.kind())?,
            };
            Ok(writes.iter().map(|write| (write.version, write.updated_at)).collect::<Vec<_>>())
        })
    }

    pub(super) fn set_wrong(&mut self) -> Result<(), String> {
        self.count("wrong settings");
        let key = match self.random.below(3) {
            0 => String::new(),
            1 => "k".repeat(256),
            _ => "new\u{7}".to_owned(),
        };
        let settings = [self.setting(), NewSetting::new(key, 1)];
        self.bench.ask(&settings, &Some(ErrorKind::Invalid), |store| {
            store.set_settings(&settings).err().map(|error| error.kind())
        })
    }

    pub(super) fn remove(&mut self) -> Result<(), String> {
        let key = self.key();
        let if_version = self.one_in(3).then(|| self.random.below(6));
        let now = self.now();
        let expected = self.state.remove(&key, if_version, now).map(|version| (version, now));
        self.count(if expected.is_ok() { "settings removed" } else { "settings not removed" });
        self.bench.ask(&("remove", &key), &expected, |store| {
            let write = store.remove_setting(&key, if_version).map_err(|error| error.kind())?;
            Ok((write.version, write.updated_at))
        })
    }

    pub(super) fn get_setting(&mut self) -> Result<(), String> {
        let key = self.key();
        self.count("settings read");
        let expected = self.state.present(&key).map(shown);
        self.bench.ask(&("get", &key), &Ok(expected), |store| {
            let found = store.get_setting(&key).map_err(|error| error.kind())?;
            Ok::<_, ErrorKind>(found.map(|one| (one.key, one.value, one.version, one.updated_at)))
        })
    }

    pub(super) fn list_settings(&mut self) -> Result<(), String> {
        let prefix = self.pick(&PREFIXES).unwrap_or_default();
        let after = self.one_in(2).then(|| self.key());
        let limit = self.one_in(2).then(|| self.random.below(10));
        self.count(match (&after, limit) {
            (None, None) => "settings listed",
            (Some(_), None) => "settings listed behind a key",
            (None, Some(_)) => "settings listed to a limit",
            _ => "settings listed behind a key to a limit",
        });
        let mut query = SettingsQuery::new(prefix);
        if let Some(after) = &after {
            query = query.after(after.clone());
        }
        if let Some(limit) = limit {
            query = query.limit(limit);
        }
        let expected: Vec<_> = self
            .state
            .settings
            .keys()
            .filter(|key| {
                key.starts_with(prefix) && after.as_ref().is_none_or(|after| *key > after)
            })
            .filter_map(|key| self.state.present(key).map(shown))
            .take(limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)))
            .collect();
        self.bench.ask(&query, &Ok(expected), |store| {
            let all = store
                .list_settings(query.clone())
                .map(|one| one.map(|one| (one.key, one.value, one.version, one.updated_at)));
            all.collect::<Result<Vec<_>, _>>().map_err(|error| error.kind())
        })
    }

    pub(super) fn history(&mut self) -> Result<(), String> {
        let key = self.key();
        self.count("histories of settings");
        let mut expected = self.state.settings.get(&key).cloned().unwrap_or_default();
        expected.reverse();
        self.bench.ask(&("history", &key), &Ok(expected), |store| {
            let history = store.setting_history(&key).map_err(|error| error.kind())?;
            history.collect::<Result<Vec<_>, _>>().map_err(|error| error.kind())
        })
    }

    pub(super) fn fact(&mut self) -> Result<(), String> {
        let name = self.key();
        let now = self.now();
        match self.random.below(4) {
            0 => {
                self.count("facts set");
                let text = "fact ".repeat(usize::try_from(self.random.below(20)).unwrap_or(0));
                self.state.facts.insert(name.clone(), (text.clone(), now));
                self.bench.ask(&("fact", &name), &Ok(now), |store| {
                    let set = store.set_metadata(&name, &text).map_err(|error| error.kind())?;
                    Ok::<_, ErrorKind>(set.updated_at)
                })
            }
            1 => {
                self.count("facts removed");
                let expected = self.state.facts.remove(&name).map(drop).ok_or(ErrorKind::NotFound);
                self.bench.ask(&("no fact", &name), &expected, |store| {
                    store.remove_metadata(&name).map_err(|error| error.kind())
                })
            }
            2 => {
                self.count("facts read");
                let expected = self.state.facts.get(&name).cloned();
                self.bench.ask(&("read fact", &name), &Ok(expected), |store| {
                    let found = store.metadata(&name).map_err(|error| error.kind())?;
                    Ok::<_, ErrorKind>(found.map(|fact| (fact.text, fact.updated_at)))
                })
            }
            _ => {
                self.count("facts listed");
                let prefix = self.pick(&PREFIXES).unwrap_or_default();
                let all = self.state.facts.iter().filter(|(name, _)| name.starts_with(prefix));
                let expected: Vec<(String, String)> =
                    all.map(|(name, (text, _))| (name.clone(), text.clone())).collect();
                self.bench.ask(&("facts", prefix), &Ok(expected), |store| {
                    let all =
                        store.list_metadata(prefix).map(|one| one.map(|one| (one.name, one.text)));
                    all.collect::<Result<Vec<_>, _>>().map_err(|error| error.kind())
                })
            }
        }
    }

    pub(super) fn flag(&mut self) -> Result<(), String> {
        let name = format!("f{}", self.random.below(4));
        let percent = f64::from(u32::try_from(self.random.below(101)).unwrap_or(0));
        let state = self
            .pick(&[FlagState::On, FlagState::Off, FlagState::Percentage { percent }])
            .unwrap_or(FlagState::Off);
        let key = [PREFIX_OF_FLAGS, &name].concat();
        let (now, is_switch) = (self.now(), self.one_in(2));
        let mut flag = Flag::new(state);
        if is_switch {
            self.count("flags switched");
            let present = self.state.present(&key).and_then(|present| present.value.clone());
            if let Some(Ok(present)) = present.map(serde_json::from_value::<Flag>) {
                flag = Flag { state, ..present };
            }
        } else {
            self.count("flags set");
            flag.description = format!("by {}", self.random.below(100));
            flag.variants = (0..self.random.below(3))
                .map(|number| FlagVariant { name: format!("v{number}"), weight: 1 })
                .collect();
        }
        let value = serde_json::to_value(&flag).map_err(|error| error.to_string())?;
        let options = SetOptions { if_version: None, retype: true };
        let expected = self.state.set(&[NewSetting { key, value, options }], now);
        let expected = expected.map(|versions| versions.first().copied());
        self.bench.ask(&("flag", &name, &flag), &expected, |store| {
            let write = if is_switch {
                store.switch_flag(&name, state)
            } else {
                store.set_flag(&name, &flag)
            };
            write.map(|write| Some(write.version)).map_err(|error| error.kind())
        })
    }

    pub(super) fn evaluate(&mut self) -> Result<(), String> {
        self.count("flags evaluated");
        let name = format!("f{}", self.random.below(5));
        let subject = format!("user {}", self.random.below(100));
        let present = self.state.present(&[PREFIX_OF_FLAGS, &name].concat());
        let flag = present.and_then(|present| present.value.clone());
        let flag = flag.and_then(|value| serde_json::from_value::<Flag>(value).ok());
        let expected: Option<FlagValue> = flag.map(|flag| flag.evaluate(&name, &subject));
        self.bench.ask(&("evaluate", &name), &Ok(expected), |store| {
            let value = store.evaluate_flag(&name, &subject).map_err(|error| error.kind())?;
            let is_known = store.get_flag(&name).map_err(|error| error.kind())?.is_some();
            Ok::<_, ErrorKind>(is_known.then_some(value))
        })
    }

    /// Each change since the last look, once, in order, and all of one call together.
    pub(super) fn watch(&mut self) -> Result<(), String> {
        self.count("watches");
        let prefix = if self.one_in(4) { "a" } else { "" };
        let expected: Vec<Vec<SettingVersion>> = std::mem::take(&mut self.state.changes)
            .into_iter()
            .map(|call| call.into_iter().filter(|one| one.key.starts_with(prefix)).collect())
            .filter(|call: &Vec<_>| !call.is_empty())
            .collect();
        for (Subject { name, store, .. }, revision) in
            self.bench.subjects.iter().zip(&mut self.revisions)
        {
            let failed = |error: forgeone_db::Error| format!("{name}: watch: {error}");
            let mut watch =
                store.watch_settings(prefix, WatchFrom::After(*revision)).map_err(failed)?;
            let mut found = Vec::new();
            while let Some(update) = watch.try_next().map_err(failed)? {
                if update.revision <= *revision {
                    return Err(format!("{name}: revision {} comes twice", update.revision));
                }
                *revision = update.revision;
                found.push(update.changes);
            }
            *revision = store.revision().map_err(failed)?.max(*revision);
            if found != expected {
                return Err(format!("{name}: watch: {found:?}, expected {expected:?}"));
            }
        }
        Ok(())
    }
}

/// What a reader is told of the present version.
fn shown(version: &SettingVersion) -> (String, Value, u64, DateTime<Utc>) {
    let SettingVersion { key, value, version, updated_at } = version.clone();
    (key, value.unwrap_or_default(), version, updated_at)
}
