//! What the fuzzer calls: every decoder of bytes that come from a disk, a user or another process,
//! each as a function from bytes to whether they were taken. Only in builds with `--cfg fuzzing`.
//!
//! Absent on purpose: anything that a store needs. The functions call the real decoders, behind
//! seals that fit where seals would keep the fuzzer out, and panic where a promise is broken.

mod seeds;

pub use seeds::seeds;

use crate::codec::{Compression, Cursor, decompress};
use crate::logs::format::{FormatMode, FormatOptions, LineReader};
use crate::model::{EventMessage, LogEntry, TopicPattern};
use crate::{crypto, index, log, stream, system};
use chrono::DateTime;

/// A decoder by its name. It says whether it took the bytes.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// Every decoder.
pub const TARGETS: &[Target] = &[
    ("codec", codec),
    ("decompress", unpack),
    ("keyring", crypto::fuzz::keyring),
    ("wrapped_key", crypto::fuzz::wrapped_key),
    ("piece_prefix", crypto::fuzz::prefix),
    ("sealed_value", crypto::fuzz::sealed_value),
    ("packed_value", crypto::fuzz::packed_value),
    ("cursor_token", crypto::fuzz::token),
    ("key_file", crypto::fuzz::key_file),
    ("head", log::fuzz::head),
    ("manifest", log::fuzz::manifest),
    ("block", log::fuzz::block),
    ("section", stream::fuzz::section),
    ("run_directory", index::fuzz::directory),
    ("run_page", index::fuzz::page),
    ("filter", index::fuzz::filter),
    ("segment_directory", stream::fuzz::segment_directory),
    ("record_batch", stream::fuzz::record_batch),
    ("changes", stream::fuzz::changes),
    ("positions", stream::fuzz::positions),
    ("index_entries", stream::fuzz::index_entries),
    ("place_id", stream::fuzz::place_id),
    ("setting", system::fuzz::setting),
    ("flag_json", system::fuzz::flag),
    ("setting_keys", system::fuzz::keys_and_texts),
    ("log_lines", log_lines),
    ("log_filter", crate::logs::fuzz::filter),
    ("topic_pattern", topic_pattern),
    ("event_json", event_json),
    ("log_json", log_json),
];

/// The readers of numbers, by what the first bytes choose.
fn codec(data: &[u8]) -> bool {
    let Some((choices, rest)) = data.split_first_chunk::<8>() else { return false };
    let mut cursor = Cursor::new(rest);
    choices.iter().all(|choice| match choice % 6 {
        0 => cursor.varint().is_ok(),
        1 => cursor.signed().is_ok(),
        2 => cursor.bytes().is_ok(),
        3 => cursor.u32().is_ok(),
        4 => cursor.take((*choice).into()).is_ok(),
        _ => cursor.len().is_ok(),
    })
}

/// A compressed unit: `stated length u32 | frame`. What comes out is as long as stated.
fn unpack(data: &[u8]) -> bool {
    let Some((len, frame)) = data.split_first_chunk() else { return false };
    let len = u32::from_be_bytes(*len) as usize;
    let Ok(raw) = decompress(Compression::Zstd, frame.to_vec(), len) else { return false };
    assert_eq!(raw.len(), len);
    true
}

/// Log lines: `mode u8 | size of the pieces u8 | bytes`. What comes out, put together again, is what
/// went in.
fn log_lines(data: &[u8]) -> bool {
    let Some(([mode, piece], bytes)) = data.split_first_chunk() else { return false };
    let modes = [FormatMode::Auto, FormatMode::Text, FormatMode::Json];
    let mode = modes.get(usize::from(mode % 3)).copied().unwrap_or_default();
    let options = FormatOptions { mode, ..FormatOptions::new(DateTime::UNIX_EPOCH) };
    let mut reader = LineReader::new(options);
    let mut joined = Vec::with_capacity(bytes.len());
    for bytes in bytes.chunks(usize::from(*piece) + 1) {
        reader.push(bytes);
        loop {
            match reader.next() {
                Ok(Some(line)) => {
                    joined.extend_from_slice(&line.line);
                    joined.extend_from_slice(line.end.as_bytes());
                }
                Ok(None) => break,
                Err(_) => return false,
            }
        }
    }
    while let Some(line) = match reader.finish() {
        Ok(line) => line,
        Err(_) => return false,
    } {
        joined.extend_from_slice(&line.line);
        joined.extend_from_slice(line.end.as_bytes());
    }
    assert_eq!(joined, bytes, "lines lose or gain bytes");
    true
}

/// A pattern and, behind a line feed, a topic.
fn topic_pattern(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let (pattern, topic) = text.split_once('\n').unwrap_or((text, "orders.new"));
    let exact = TopicPattern::exact(topic);
    assert!(exact.is_err() || exact.is_ok_and(|exact| exact.matches(topic)));
    TopicPattern::new(pattern).is_ok_and(|pattern| pattern.matches(topic))
}

/// An event as its JSON; it comes back from its own.
fn event_json(data: &[u8]) -> bool {
    let Ok(event) = serde_json::from_slice::<EventMessage>(data) else { return false };
    let again = serde_json::to_vec(&event).ok();
    let again = again.and_then(|again| serde_json::from_slice::<EventMessage>(&again).ok());
    assert_eq!(again.as_ref(), Some(&event), "an event changes when it is written again");
    event.check().is_ok()
}

/// A log entry as its JSON; it comes back from its own.
fn log_json(data: &[u8]) -> bool {
    let Ok(entry) = serde_json::from_slice::<LogEntry>(data) else { return false };
    let checked = entry.check().is_ok();
    let again = serde_json::to_vec(&entry).ok();
    let again = again.and_then(|again| serde_json::from_slice::<LogEntry>(&again).ok());
    assert!(!checked || again == Some(entry), "a log entry changes when it is written again");
    checked
}
