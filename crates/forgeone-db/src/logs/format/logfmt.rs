//! Lines of `key=value` pairs, with quotes around values that have blanks.

use super::fields::{self, Fields, Key, Value};
use super::recognise::Found;
use super::scan::{Scan, is_blank};
use super::time::Calendar;

/// Pairs from the start of the line on. What is no pair ends the search: there free text begins.
/// A line in which neither a time nor a level was found so has another format.
pub(super) fn pairs(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut fields = Fields::new(calendar);
    let mut scan = Scan::new(line);
    while let Some((name, value)) = pair(&mut scan) {
        let key = fields::key(name);
        if key != Key::Other {
            fields.add(key, Value::Text(value));
        }
        if scan.blanks() == 0 {
            break;
        }
    }
    let (timestamp, severity) = (fields.timestamp(), fields.severity());
    (timestamp.is_some() || severity.is_some()).then_some(Found {
        timestamp,
        severity,
        format: "logfmt",
    })
}

fn pair<'a>(scan: &mut Scan<'a>) -> Option<(&'a [u8], &'a [u8])> {
    let name = scan.while_in(is_name);
    if name.is_empty() {
        return None;
    }
    scan.byte(b'=')?;
    let value = if scan.byte(b'"').is_some() {
        quoted(scan)?
    } else {
        scan.while_in(|byte| !is_blank(byte))
    };
    Some((name, value))
}

/// What stands between quotes, escapes as they are: none of the known values has any.
fn quoted<'a>(scan: &mut Scan<'a>) -> Option<&'a [u8]> {
    let mut escaped = false;
    let value = scan.while_in(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        !ends
    });
    scan.byte(b'"')?;
    Some(value)
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@' | b'/')
}
