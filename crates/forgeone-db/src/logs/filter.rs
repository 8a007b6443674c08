//! What a search wants of a line: text, a regular expression, metadata.

mod pattern;

use crate::stream::{Record, RecordFilter};
use forgeone_db_engine::Result;
use memchr::memmem::Finder;
use pattern::Pattern;

/// Conditions that a line must meet together.
#[derive(Debug, Clone, Default)]
pub(super) struct LogFilter {
    contains: Vec<Finder<'static>>,
    patterns: Vec<Pattern>,
    metadata: Vec<(String, String)>,
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
    ///
    /// # Errors
    /// `Invalid` when a regular expression takes too long on it.
    pub(super) fn matches_line<'a>(
        &self,
        line: &[u8],
        value_of: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<bool> {
        let plain = self.contains.iter().all(|finder| finder.find(line).is_some())
            && self.metadata.iter().all(|(key, value)| value_of(key) == Some(value));
        if !plain {
            return Ok(false);
        }
        for pattern in &self.patterns {
            if !pattern.is_match(line)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// # Errors
    /// `Invalid` when it is none, or beyond the limits.
    pub(super) fn add_regex(&mut self, pattern: &str) -> Result<()> {
        self.patterns.push(Pattern::new(pattern)?);
        Ok(())
    }
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

    fn matches(&self, record: &Record) -> Result<bool> {
        self.matches_line(&record.payload, |key| {
            let found = record.metadata.iter().find(|(known, _)| known == key);
            found.map(|(_, value)| value.as_str())
        })
    }
}

#[cfg(test)]
mod tests;
