//! Deliberate mistakes, to show that the tests notice them.

/// Whether the mistake `name` is to be made: true only in a build with `--cfg mutants`, and there
/// when the environment variable `FORGEONE_MUTANT` has this name. In every other build it is the
/// constant `false`, and nothing of the mistake is compiled.
#[macro_export]
#[doc(hidden)]
macro_rules! mutant {
    ($name:literal) => {
        cfg!(mutants) && $crate::mutant::is_chosen($name)
    };
}

/// See [`mutant!`].
#[doc(hidden)]
#[expect(clippy::disallowed_methods, reason = "only a build for testing the tests calls this")]
pub fn is_chosen(name: &str) -> bool {
    use std::sync::OnceLock;
    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("FORGEONE_MUTANT").ok()).as_deref() == Some(name)
}
