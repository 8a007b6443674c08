//! A pattern that matches too much leaks other topics into an answer, one that matches too little
//! loses records silently: every pattern agrees with a matcher that is too simple to be wrong.

use crate::model::TopicPattern;
use forgeone_db_engine::ErrorKind;
use proptest::prelude::*;

fn naive(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        ([], []) | ([">"], [_, ..]) => true,
        (["*", pattern @ ..], [_, topic @ ..]) => naive(pattern, topic),
        ([wanted, pattern @ ..], [token, topic @ ..]) => wanted == token && naive(pattern, topic),
        _ => false,
    }
}

fn tokens(text: &str) -> Vec<&str> {
    text.split('.').collect()
}

fn pattern(text: &str) -> TopicPattern {
    text.parse().unwrap()
}

#[test]
fn patterns_match_as_in_nats() {
    for (text, yes, no) in [
        ("a.b", &["a.b"][..], &["a", "a.b.c", "a.B", "b.a", "a.b."][..]),
        ("a.*", &["a.b", "a."], &["a", "a.b.c", "b.a"]),
        ("a.*.c", &["a.b.c", "a..c"], &["a.c", "a.b.b.c"]),
        ("*", &["a", "*"], &["a.b"]),
        ("a.>", &["a.b", "a.b.c", "a."], &["a", "ab", "b.a"]),
        ("*.>", &["a.b", "a.b.c"], &["a"]),
        (">", &["a", "a.b"], &[]),
        ("a*", &["a*"], &["ab", "a"]),
        ("a>.b", &["a>.b"], &["a.b"]),
    ] {
        for topic in yes {
            assert!(pattern(text).matches(topic), "{text} must match {topic}");
        }
        for topic in no {
            assert!(!pattern(text).matches(topic), "{text} must not match {topic}");
        }
    }
}

#[test]
fn the_literal_prefix_ends_at_the_first_wild_token() {
    for (text, prefix) in [
        ("a.b", "a.b"),
        ("a.*", "a."),
        ("a.bc.>", "a.bc."),
        ("*.a", ""),
        (">", ""),
        ("a*.*", "a*."),
    ] {
        assert_eq!(pattern(text).literal_prefix(), prefix, "{text}");
        assert_eq!(pattern(text).to_string(), text);
    }
    assert_eq!(pattern("a.b").exact_topic(), Some("a.b"));
    assert_eq!(pattern("a.*").exact_topic(), None);
    assert_eq!(TopicPattern::all(), pattern(">"));
}

#[test]
fn an_exact_pattern_means_one_topic_even_if_its_name_looks_wild() {
    let exact = TopicPattern::exact("a.*").unwrap();
    assert!(exact.matches("a.*") && !exact.matches("a.b"));
    assert_eq!((exact.literal_prefix(), exact.exact_topic()), ("a.*", Some("a.*")));
    assert!(TopicPattern::exact("").is_err());
}

#[test]
fn patterns_that_mean_nothing_are_invalid() {
    for text in ["", ">.a", "a.>.b", ">.", ">.>", "a\n", &"a".repeat(256)] {
        let error = text.parse::<TopicPattern>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_pattern_agrees_with_the_naive_matcher(text in "([ab*>.]|\u{e9}){1,8}", topic in "([ab*>.]|\u{e9}){1,8}") {
        let wanted = tokens(&text);
        let rest_inside = wanted.iter().rev().skip(1).any(|token| *token == ">");
        let parsed = text.parse::<TopicPattern>();
        prop_assert_eq!(parsed.is_err(), rest_inside);
        if let Ok(pattern) = parsed {
            let matches = pattern.matches(&topic);
            prop_assert_eq!(matches, naive(&wanted, &tokens(&topic)));
            prop_assert!(!matches || topic.starts_with(pattern.literal_prefix()));
        }
    }

    #[test]
    fn a_pattern_made_of_a_topic_matches_it(topic in "([ab.]|\u{e9}){1,12}", wild: u16, cut in 0_usize..6) {
        let mut wanted: Vec<&str> = tokens(&topic);
        for (index, token) in wanted.iter_mut().enumerate() {
            if wild >> index & 1 == 1 {
                *token = "*";
            }
        }
        prop_assert!(pattern(&wanted.join(".")).matches(&topic));
        wanted.truncate(cut.min(wanted.len() - 1));
        wanted.push(">");
        prop_assert!(pattern(&wanted.join(".")).matches(&topic));
    }
}
