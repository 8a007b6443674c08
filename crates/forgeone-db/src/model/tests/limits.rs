//! Each limit accepts its last size and refuses the next one, as `Invalid`, with the size.

use crate::model::{
    CHECKPOINT_MARKER_BYTES_MAX, METADATA_BYTES_MAX, METADATA_TEXT_BYTES_MAX, PAYLOAD_BYTES_MAX,
    SETTING_KEY_BYTES_MAX, TOPIC_BYTES_MAX, check_checkpoint_marker, check_metadata,
    check_metadata_text, check_payload, check_setting_key, check_topic,
};
use forgeone_db_engine::{ErrorKind, Result};
use std::collections::HashMap;

fn refused(result: Result<()>, bytes: usize) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.get("bytes"), Some(bytes.to_string().as_str()), "{error}");
}

#[test]
fn topic_names_have_1_to_255_bytes() {
    check_topic("a").unwrap();
    check_topic(&"a".repeat(TOPIC_BYTES_MAX)).unwrap();
    refused(check_topic(""), 0);
    refused(check_topic(&"a".repeat(256)), 256);
    // Bytes count, not letters.
    refused(check_topic(&"\u{e9}".repeat(128)), 256);
}

#[test]
fn topic_names_have_no_control_characters_but_anything_else() {
    for topic in ["\0", "a\nb", "a\tb", "\u{7f}", "\u{85}", "\u{9b}"] {
        let error = check_topic(topic).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(!error.to_string().contains(char::is_control), "{error}");
    }
    for topic in [" ", "..", "*", ">", "/", "a b", "\u{1f600}.\u{e9}"] {
        check_topic(topic).unwrap();
    }
}

#[test]
fn payloads_have_at_most_16_mib() {
    let mut payload = vec![b'x'; PAYLOAD_BYTES_MAX];
    check_payload(&payload).unwrap();
    payload.push(b'x');
    refused(check_payload(&payload), 16 * 1024 * 1024 + 1);
}

#[test]
fn metadata_have_at_most_64_kib_keys_included() {
    let mut metadata = HashMap::from([("key".to_owned(), "v".repeat(METADATA_BYTES_MAX - 3))]);
    check_metadata(&metadata).unwrap();
    metadata.insert("x".to_owned(), String::new());
    refused(check_metadata(&metadata), 65_537);
}

#[test]
fn markers_have_at_most_255_bytes() {
    check_checkpoint_marker(None).unwrap();
    check_checkpoint_marker(Some(&"m".repeat(CHECKPOINT_MARKER_BYTES_MAX))).unwrap();
    refused(check_checkpoint_marker(Some(&"m".repeat(256))), 256);
}

#[test]
fn keys_of_settings_and_names_of_facts_are_like_topic_names() {
    for name in ["a", "a/b", " ", "\u{10ffff}", &"a".repeat(SETTING_KEY_BYTES_MAX)] {
        check_setting_key(name).unwrap();
        check_metadata_text(name, "").unwrap();
    }
    for name in ["\0", "a\n", "\u{85}"] {
        assert_eq!(check_setting_key(name).unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(check_metadata_text(name, "").unwrap_err().kind(), ErrorKind::Invalid);
    }
    refused(check_setting_key(&"a".repeat(256)), 256);
    refused(check_metadata_text(&"a".repeat(256), ""), 256);
}

#[test]
fn texts_about_the_store_have_at_most_64_kib() {
    let mut text = "x".repeat(METADATA_TEXT_BYTES_MAX);
    check_metadata_text("a", &text).unwrap();
    text.push('x');
    refused(check_metadata_text("a", &text), 64 * 1024 + 1);
}
