//! Without these a search could pass over lines that match (a prefilter that says no wrongly), or
//! a hostile expression could take the process's time and memory.

use super::LogFilter;
use crate::environment::Timestamp;
use crate::model::LineEnd;
use crate::stream::{Record, RecordBatch, RecordFilter as _};
use forgeone_db_engine::ErrorKind;
use proptest::prelude::*;
use regex_automata::meta::Regex;

fn record(line: &[u8], metadata: &[(&str, &str)]) -> Record {
    Record {
        id: None,
        time: Timestamp::default(),
        assigned: false,
        late: false,
        level: 9,
        payload: line.to_vec(),
        metadata: metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        marker: None,
        end: LineEnd::Lf,
    }
}

fn pattern(text: &str) -> LogFilter {
    let mut filter = LogFilter::default();
    filter.add_regex(text).unwrap();
    filter
}

#[test]
fn conditions_hold_together() {
    let mut filter = pattern(r"took \d+ ms$");
    filter.add_text("GET");
    filter.add_metadata("host".to_owned(), "a".to_owned());
    let line = b"GET / took 17 ms";
    assert!(filter.matches(&record(line, &[("host", "a")])).unwrap());
    assert!(!filter.matches(&record(line, &[("host", "b")])).unwrap(), "another value");
    assert!(!filter.matches(&record(line, &[("guest", "a")])).unwrap(), "another key");
    assert!(!filter.matches(&record(b"PUT / took 17 ms", &[("host", "a")])).unwrap());
    assert!(!filter.matches(&record(b"GET / took 17 ms\x00", &[("host", "a")])).unwrap());
}

#[test]
fn lines_that_are_no_text_are_searched_too() {
    assert!(pattern(r"b\xffc|needle").matches(&record(b"\xfe\xff needle \x00", &[])).unwrap());
    assert!(pattern(r"(?-u)\xfe").matches(&record(b"a\xfeb", &[])).unwrap());
}

#[test]
fn an_expression_that_is_none_or_too_large_is_refused() {
    let long = "a".repeat(4097);
    let nested = format!("{}a{}", "(".repeat(200), ")".repeat(200));
    for text in ["(", "[z-a]", "a{2,1}", r"\pL{1000}", "(a{100}){100}{100}", &long, &nested] {
        let error = LogFilter::default().add_regex(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}

#[test]
fn what_backtracks_for_ever_elsewhere_ends_here() {
    let line = vec![b'a'; 1 << 20];
    for text in ["(a+)+$b", "(a|a)*b", "(.*)*x", "^(([a-z])+.)+[A-Z]([a-z])+$"] {
        assert!(!pattern(text).matches(&record(&line, &[])).unwrap(), "{text}");
    }
}

#[test]
fn an_expression_that_looks_at_nothing_around_it_rules_out_units_without_a_literal() {
    let columns = RecordBatch::encode(1, &[record(b"abc 1", &[])], &[]).columns;
    assert!(pattern("[a-c]+ [0-9]").may_match(&columns));
    assert!(!pattern("[a-c]+ [a-z]").may_match(&columns));
    for looking in ["^[a-c]+ [a-z]", r"\b[a-c] [a-z]", "[a-c] [a-z]$"] {
        assert!(pattern(looking).may_match(&columns), "{looking} may match elsewhere");
    }
}

#[test]
fn an_expression_that_is_too_costly_for_a_line_says_so_soon() {
    let patterns = ["(?-u)([^b]{0,90}){90}c", "(?-u)(.{0,200}x?){40}c"];
    for text in patterns {
        let costly = pattern(text);
        let line: Vec<u8> = (0..1_000_000_u32)
            .map(|n| b'd' + u8::try_from(u64::from(n).pow(2) % 13).unwrap())
            .collect();
        let found = costly.matches(&record(&line, &[]));
        assert!(matches!(&found, Ok(false)) || found.unwrap_err().kind() == ErrorKind::Invalid);
        assert!(
            costly.matches(&record(b"dddc", &[])).unwrap(),
            "short lines are no trouble: {text}"
        );
    }
}

proptest! {
    #[test]
    fn what_a_batch_rules_out_no_record_matches(
        lines in proptest::collection::vec("[ab ]{0,12}", 1..12),
        text in "[ab]{1,4}",
        expression in r"(a|b|ab|\[ab\]|a\+|b\?|\^|\$|\\b){1,4}",
        value in "[ab]{0,3}",
    ) {
        let records: Vec<Record> =
            lines.iter().map(|line| record(line.as_bytes(), &[("k", line)])).collect();
        let columns = RecordBatch::encode(1, &records, &[]).columns;
        let mut contains = LogFilter::default();
        contains.add_text(&text);
        let mut metadata = LogFilter::default();
        metadata.add_metadata("k".to_owned(), value);
        for filter in [contains, metadata, pattern(&expression)] {
            if !filter.may_match(&columns) {
                prop_assert!(!records.iter().any(|record| filter.matches(record).unwrap()));
            }
        }
        let plain = Regex::new(&expression).unwrap();
        for record in &records {
            prop_assert_eq!(pattern(&expression).matches(record).unwrap(), plain.is_match(&record.payload));
        }
    }
}
