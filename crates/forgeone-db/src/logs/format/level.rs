//! Words and numbers that say how severe a line is, and where in a line they stand.

use super::scan::{Scan, is_blank};
use crate::model::Severity;

/// The longest word that is a level.
const WORD_BYTES_MAX: usize = 16;
/// The longest group in brackets before a level.
const GROUP_BYTES_MAX: usize = 128;
/// How many parts of a line are looked at.
const PARTS_MAX: usize = 8;
/// Levels that are also ordinary words.
const SELDOM: &[&[u8]] = &[
    b"config", b"fail", b"failure", b"fine", b"finer", b"finest", b"panic", b"severe", b"verbose",
];

/// The severity of a level word in any case.
pub(super) fn of_word(word: &[u8]) -> Option<Severity> {
    let mut lower = [0; WORD_BYTES_MAX];
    let lower = lower.get_mut(..word.len())?;
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"trace" | b"trace1" | b"trace5" | b"trace6" | b"trace7" | b"trace8" | b"trc" | b"trce"
        | b"verbose" | b"vrb" | b"finest" => Severity::Trace,
        b"trace2" => Severity::Trace2,
        b"trace3" => Severity::Trace3,
        b"trace4" => Severity::Trace4,
        b"debug" | b"debug1" | b"debug5" | b"dbg" | b"dbug" | b"finer" => Severity::Debug,
        b"debug2" | b"fine" => Severity::Debug2,
        b"debug3" | b"config" => Severity::Debug3,
        b"debug4" => Severity::Debug4,
        b"info" | b"inf" | b"information" | b"informational" => Severity::Info,
        b"info2" | b"notice" => Severity::Info2,
        b"info3" => Severity::Info3,
        b"info4" => Severity::Info4,
        b"warn" | b"warning" | b"wrn" => Severity::Warn,
        b"warn2" => Severity::Warn2,
        b"warn3" => Severity::Warn3,
        b"warn4" => Severity::Warn4,
        b"error" | b"err" | b"severe" | b"fail" => Severity::Error,
        b"error2" | b"critical" | b"crit" => Severity::Error2,
        b"error3" | b"alert" => Severity::Error3,
        b"error4" => Severity::Error4,
        b"fatal" | b"ftl" | b"failure" | b"panic" | b"emergency" | b"emerg" => Severity::Fatal,
        b"fatal2" => Severity::Fatal2,
        b"fatal3" => Severity::Fatal3,
        b"fatal4" => Severity::Fatal4,
        _ => return None,
    })
}

/// The severity of a level word in a line of text. Words that are seldom levels must be in
/// capitals: `[config]` is rather the part of a program that speaks.
fn of_text(word: &[u8]) -> Option<Severity> {
    let severity = of_word(word)?;
    let seldom = |name: &&[u8]| word.eq_ignore_ascii_case(name);
    (is_capitals(word) || !SELDOM.iter().any(seldom)).then_some(severity)
}

fn is_capitals(word: &[u8]) -> bool {
    !word.iter().any(u8::is_ascii_lowercase)
}

/// The severity of one letter, as Android and others write it.
pub(super) const fn of_letter(letter: u8) -> Option<Severity> {
    Some(match letter {
        b'V' | b'T' => Severity::Trace,
        b'D' => Severity::Debug,
        b'I' => Severity::Info,
        b'W' => Severity::Warn,
        b'E' => Severity::Error,
        b'F' | b'A' => Severity::Fatal,
        _ => return None,
    })
}

/// The severity of a number of syslog, 0 to 7.
pub(super) const fn of_syslog(number: u64) -> Option<Severity> {
    Some(match number {
        0 => Severity::Fatal,
        1 => Severity::Error3,
        2 => Severity::Error2,
        3 => Severity::Error,
        4 => Severity::Warn,
        5 => Severity::Info2,
        6 => Severity::Info,
        7 => Severity::Debug,
        _ => return None,
    })
}

/// The severity of a number as pino and bunyan write it.
pub(super) const fn of_tens(number: u64) -> Option<Severity> {
    Some(match number {
        10 => Severity::Trace,
        20 => Severity::Debug,
        30 => Severity::Info,
        40 => Severity::Warn,
        50 => Severity::Error,
        60 => Severity::Fatal,
        _ => return None,
    })
}

/// The level that stands after a time: at once, or after process numbers, groups in brackets and
/// fields between dashes or bars. The first other word ends the search: there the text begins.
pub(super) fn after_time(mut scan: Scan<'_>) -> Option<Severity> {
    let mut numbers = 0;
    for _ in 0..PARTS_MAX {
        let gap = scan.while_in(is_gap);
        let separator = gap.iter().copied().rfind(|byte| !is_blank(*byte));
        if let open @ (b'[' | b'(' | b'{' | b'<') = scan.peek()? {
            if let Some(severity) = of_group(group(&mut scan, open)?) {
                return Some(severity);
            }
            continue;
        }
        let word = scan.while_in(is_word);
        if !word.is_empty() && word.iter().copied().all(is_number) {
            numbers += 1;
            continue;
        }
        if let Some(severity) = of_bare_word(word, scan, numbers) {
            return Some(severity);
        }
        // Also who speaks to which database, as PostgreSQL has it: `user@name`.
        let named = memchr::memchr(b'@', word).is_some();
        if word.is_empty() || !(named || is_field(separator?, scan)) {
            return None;
        }
    }
    None
}

/// A level that stands first: `[LEVEL]`, or `LEVEL` in capitals before a colon, a blank or a bar.
/// What follows is left in `scan`.
pub(super) fn first(scan: &mut Scan<'_>) -> Option<Severity> {
    if scan.peek() == Some(b'[') {
        return of_text(group(scan, b'[')?.trim_ascii());
    }
    let word = scan.while_in(|byte| byte.is_ascii_alphanumeric());
    if !is_capitals(word) {
        return None;
    }
    matches!(scan.peek()?, b':' | b' ' | b'\t' | b'|').then(|| of_word(word))?
}

/// Between the parts; also what closes a bracket that was open around the time.
const fn is_gap(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'-' | b'|' | b',' | b':' | b';' | b']' | b')' | b'>')
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$' | b'#' | b'@' | b'-')
}

/// Process and thread numbers, `1234` or `1234#0`.
const fn is_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'#')
}

fn group<'a>(scan: &mut Scan<'a>, open: u8) -> Option<&'a [u8]> {
    let close = match open {
        b'[' => b']',
        b'(' => b')',
        b'{' => b'}',
        _ => b'>',
    };
    scan.skip(1);
    scan.until(close, GROUP_BYTES_MAX)
}

/// A group is a level, `E`, `ERROR` or `core:error`, and nothing else.
fn of_group(group: &[u8]) -> Option<Severity> {
    let group = group.trim_ascii();
    if let [letter] = group {
        return of_letter(*letter);
    }
    let word = group.rsplit(|byte| *byte == b':').next().unwrap_or(group);
    of_text(word)
}

/// A word in capitals counts wherever it may stand; others only if what follows sets them off from
/// a sentence.
fn of_bare_word(word: &[u8], after: Scan<'_>, numbers: usize) -> Option<Severity> {
    let next = after.peek();
    if let [letter] = word {
        return (numbers == 2 && next == Some(b' ')).then(|| of_letter(*letter))?;
    }
    // The channel of PHP's Monolog: `local.ERROR:`.
    let channel = word.iter().rposition(|byte| *byte == b'.').filter(|_| next == Some(b':'));
    let word = channel.and_then(|dot| word.get(dot + 1..)).unwrap_or(word);
    if word == b"LOG" && next == Some(b':') {
        return Some(Severity::Info);
    }
    let severity = of_text(word)?;
    let set_off = match next {
        Some(b':' | b']' | b'|' | b',' | b')' | b'/' | b'\t') => true,
        Some(b' ') => {
            matches!(after.rest(), [_, b' ' | b'\t' | b'|' | b'[', ..] | [_, b'-', b' ', ..])
        }
        _ => false,
    };
    (is_capitals(word) || set_off).then_some(severity)
}

/// Whether a word that came after `separator` is a field: the same separator follows.
fn is_field(separator: u8, mut after: Scan<'_>) -> bool {
    matches!(separator, b'-' | b'|')
        && (after.blanks() > 0 || separator == b'|')
        && after.peek() == Some(separator)
}
