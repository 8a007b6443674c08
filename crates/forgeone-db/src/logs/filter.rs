//! What a search wants of a line: text, a regular expression, metadata.

use crate::stream::{Record, RecordFilter};
use forgeone_db_engine::{Error, ErrorKind, Result};
use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::Extractor;

/// Bytes of the longest regular expression.
const REGEX_BYTES_MAX: usize = 4096;
/// Bytes that a compiled regular expression may take, and so the states that a byte of a line can
/// cost at worst.
const REGEX_PROGRAM_BYTES_MAX: usize = 1 << 20;
/// Bytes of the states that one search may cache.
const REGEX_CACHE_BYTES_MAX: usize = 2 << 20;
/// Groups within groups.
const REGEX_NEST_MAX: u32 = 64;
/// More literals than this are no faster to look for than the expression itself.
const LITERALS_MAX: usize = 16;
/// Shorter literals are everywhere.
const LITERAL_BYTES_MIN: usize = 2;

/// Conditions that a line must meet together.
#[derive(Debug, Clone, Default)]
pub(super) struct LogFilter {
    contains: Vec<Finder<'static>>,
    patterns: Vec<Pattern>,
    metadata: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
struct Pattern {
    regex: Regex,
    /// Every match starts with one of these; empty if that is not known.
    literals: Vec<Finder<'static>>,
    /// Whether a match is one wherever it stands: nothing in the expression looks at what is before
    /// or behind it.
    floating: bool,
}

impl Pattern {
    /// Never wrong when it says no.
    fn may_match(&self, columns: &[u8]) -> bool {
        if !self.literals.is_empty() {
            return self.literals.iter().any(|finder| finder.find(columns).is_some());
        }
        !self.floating || self.regex.is_match(columns)
    }
}

impl LogFilter {
    pub(super) fn is_empty(&self) -> bool {
        self.contains.is_empty() && self.patterns.is_empty() && self.metadata.is_empty()
    }

    pub(super) fn add_text(&mut self, text: &str) {
        self.contains.push(Finder::new(text.as_bytes()).into_owned());
    }

    pub(super) fn add_metadata(&mut self, key: String, value: String) {
        self.metadata.push((key, value));
    }

    /// Whether a line with this metadata matches.
    pub(super) fn matches_line<'a>(
        &self,
        line: &[u8],
        value_of: impl Fn(&str) -> Option<&'a str>,
    ) -> bool {
        self.contains.iter().all(|finder| finder.find(line).is_some())
            && self.metadata.iter().all(|(key, value)| value_of(key) == Some(value))
            && self.patterns.iter().all(|pattern| pattern.regex.is_match(line))
    }

    /// # Errors
    /// `Invalid` when it is none, or beyond the limits.
    pub(super) fn add_regex(&mut self, pattern: &str) -> Result<()> {
        if pattern.len() > REGEX_BYTES_MAX {
            return Err(Error::new(ErrorKind::Invalid, "a regular expression is too long")
                .with("bytes", pattern.len())
                .with("bytes_max", REGEX_BYTES_MAX));
        }
        let regex = RegexBuilder::new(pattern)
            .size_limit(REGEX_PROGRAM_BYTES_MAX)
            .dfa_size_limit(REGEX_CACHE_BYTES_MAX)
            .nest_limit(REGEX_NEST_MAX)
            .build()
            .map_err(|error| invalid(&error))?;
        let (literals, floating) = parse(pattern).map_or((Vec::new(), false), |parsed| {
            (leading_literals(&parsed), parsed.properties().look_set().is_empty())
        });
        self.patterns.push(Pattern { regex, literals, floating });
        Ok(())
    }
}

fn invalid(error: &regex::Error) -> Error {
    match error {
        regex::Error::CompiledTooBig(_) => Error::new(
            ErrorKind::Invalid,
            "the regular expression needs too much memory; repeat less, or ask for ASCII: (?-u)",
        )
        .with("bytes_max", REGEX_PROGRAM_BYTES_MAX),
        error => Error::new(ErrorKind::Invalid, "this is no regular expression")
            .with("cause", error.to_string().escape_debug()),
    }
}

fn parse(pattern: &str) -> Option<Hir> {
    ParserBuilder::new().utf8(false).nest_limit(REGEX_NEST_MAX).build().parse(pattern).ok()
}

/// Literals one of which every match starts with; none if there are too many, or they are too short
/// to rule anything out.
fn leading_literals(parsed: &Hir) -> Vec<Finder<'static>> {
    let found = Extractor::new().limit_total(LITERALS_MAX).extract(parsed);
    let Some(literals) = found.literals() else { return Vec::new() };
    let too_short = literals.iter().any(|literal| literal.len() < LITERAL_BYTES_MIN);
    if too_short || literals.len() > LITERALS_MAX {
        return Vec::new();
    }
    literals.iter().map(|literal| Finder::new(literal.as_bytes()).into_owned()).collect()
}

impl RecordFilter for LogFilter {
    fn may_match(&self, columns: &[u8]) -> bool {
        let has = |finder: &Finder<'_>| finder.find(columns).is_some();
        self.contains.iter().all(has)
            && self.patterns.iter().all(|pattern| pattern.may_match(columns))
            && self
                .metadata
                .iter()
                .all(|(_, value)| memchr::memmem::find(columns, value.as_bytes()).is_some())
    }

    fn matches(&self, record: &Record) -> bool {
        self.matches_line(&record.payload, |key| {
            let found = record.metadata.iter().find(|(known, _)| known == key);
            found.map(|(_, value)| value.as_str())
        })
    }
}

#[cfg(test)]
mod tests;
