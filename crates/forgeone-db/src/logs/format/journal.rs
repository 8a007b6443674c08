//! Records of the journal's export format, which span lines.
//!
//! A field is `NAME=value` in a line, or the line `NAME`, the length of the value in 64 bits little
//! endian, the value and a line feed. An empty line ends the record.

use super::fields::{self, Fields, Value};
use super::recognise::Found;
use super::time::Calendar;

const FORMAT: &str = "journald";
/// What a record starts with: the journal writes these two before all other fields.
const STARTS: &[&[u8]] = &[b"__CURSOR=", b"__REALTIME_TIMESTAMP="];
const NAME_BYTES_MAX: usize = 64;
/// Eight bytes that mean a length beyond this are no length, but text.
const PLAUSIBLE_BYTES_MAX: u64 = 1 << 40;

/// Whether a line starts a record.
pub(super) fn starts(line: &[u8]) -> bool {
    STARTS.iter().any(|start| line.starts_with(start))
}

/// How far into its record the reader has come. Fields before `at` are not looked at again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Journal {
    at: usize,
    /// Up to here there is no line feed after `at`.
    seen: usize,
}

/// How a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// More bytes are needed.
    Pending,
    /// It has this many bytes, all line ends included.
    Complete(usize),
    /// It needs more bytes than an entry may have.
    TooLong,
}

impl Journal {
    /// Reads on in `bytes`, which start where the record does and grow from call to call.
    pub(super) fn advance(&mut self, bytes: &[u8], bytes_max: usize) -> Step {
        loop {
            if self.at > bytes_max {
                return Step::TooLong;
            }
            let field = bytes.get(self.at..).unwrap_or_default();
            let name = field.iter().take(NAME_BYTES_MAX).take_while(|byte| is_name(**byte)).count();
            let after_name = self.at + name + 1;
            let next = match field.get(name) {
                None => return Step::Pending,
                Some(b'\n') if name == 0 => return Step::Complete(after_name),
                Some(b'=') if name > 0 => match self.line_end(bytes) {
                    Some(end) => end,
                    None if bytes.len() > bytes_max => return Step::TooLong,
                    None => return Step::Pending,
                },
                Some(b'\n') => match binary_end(bytes, after_name, bytes_max) {
                    Ok(Some(end)) => end,
                    Ok(None) => return Step::Complete(self.at),
                    Err(step) => return step,
                },
                // Not a field: the record ended without an empty line.
                Some(_) => return Step::Complete(self.at),
            };
            *self = Self { at: next, seen: next };
        }
    }
}

impl Journal {
    /// Where the line at `at` ends, its line feed included. Keeps how far it has looked.
    fn line_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let end = memchr::memchr(b'\n', bytes.get(self.seen..).unwrap_or_default());
        let end = end.map(|end| self.seen + end + 1);
        self.seen = bytes.len();
        end
    }
}

/// Where the binary value ends whose length stands at `at`. None: there is none.
fn binary_end(bytes: &[u8], at: usize, bytes_max: usize) -> Result<Option<usize>, Step> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some((length, value)) = rest.split_first_chunk::<8>() else { return Err(Step::Pending) };
    let length = u64::from_le_bytes(*length);
    if length > PLAUSIBLE_BYTES_MAX {
        return Ok(None);
    }
    // Before what is there is looked at: how the input was cut must not matter.
    let fits = |length: &usize| length.saturating_add(at + 8) <= bytes_max;
    let Some(length) = usize::try_from(length).ok().filter(fits) else {
        return Err(Step::TooLong);
    };
    match value.get(length) {
        Some(b'\n') => Ok(Some(at + 8 + length + 1)),
        Some(_) => Ok(None),
        None => Err(Step::Pending),
    }
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'
}

/// What a whole record says.
pub(super) fn read(record: &[u8], calendar: &Calendar) -> Found {
    let mut fields = Fields::new(calendar);
    let mut rest = record;
    while let Some((line, after)) = split_line(rest) {
        rest = after;
        match memchr::memchr(b'=', line).and_then(|equals| line.split_at_checked(equals)) {
            Some((name, value)) if matches!(name, b"__REALTIME_TIMESTAMP" | b"PRIORITY") => {
                fields.add(fields::key(name), Value::Text(value.get(1..).unwrap_or_default()));
            }
            Some(_) => {}
            None => rest = after_binary(after),
        }
    }
    let (timestamp, severity) = (fields.timestamp(), fields.severity());
    Found { timestamp, severity, format: FORMAT }
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.is_empty() {
        return None;
    }
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    Some((bytes.get(..end)?, bytes.get(end + 1..).unwrap_or_default()))
}

/// What follows a binary value: nothing where the record was cut.
fn after_binary(bytes: &[u8]) -> &[u8] {
    let Some((length, value)) = bytes.split_first_chunk::<8>() else { return &[] };
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    value.get(length.saturating_add(1)..).unwrap_or_default()
}
