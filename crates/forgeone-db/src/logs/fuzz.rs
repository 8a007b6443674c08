//! What a search wants of a line, for the fuzzer.

use super::filter::LogFilter;
use crate::stream::RecordFilter as _;

/// A regular expression and a line: `length of the expression u8 | expression | line`. What rules
/// out a unit without decoding it never rules out one with a line that matches.
pub(crate) fn filter(data: &[u8]) -> bool {
    let Some((len, rest)) = data.split_first() else { return false };
    let Some((pattern, line)) = rest.split_at_checked((*len).into()) else { return false };
    let Ok(pattern) = std::str::from_utf8(pattern) else { return false };
    let mut filter = LogFilter::default();
    if filter.add_regex(pattern).is_err() {
        return false;
    }
    let matches = filter.matches_line(line, |_| None).unwrap_or(false);
    assert!(!matches || filter.may_match(line), "a line that matches is ruled out");
    matches
}
