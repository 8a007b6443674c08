//! Cutting a stream of bytes into entries.

use super::journal::{self, Journal, Step};
use super::recognise::{Found, recognise};
use super::time::Calendar;
use super::{FormatMode, FormatOptions, json};
use crate::model::{LineEnd, PAYLOAD_BYTES_MAX, Severity};
use chrono::{DateTime, Utc};
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::fmt;

/// A buffer that grew beyond this for one long line is given back.
const BUFFER_BYTES_KEPT: usize = 1024 * 1024;

/// One entry and what it says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedLine {
    /// The bytes of the line, without its end. A record of the journal has line feeds inside.
    pub line: Vec<u8>,
    /// How the line ended.
    pub end: LineEnd,
    /// The number of the line in the input, 1 for the first; of a record, that of its first line.
    pub number: u64,
    /// When it was written, if it says so.
    pub timestamp: Option<DateTime<Utc>>,
    /// How severe it is, if it says so.
    pub severity: Option<Severity>,
    /// The name of its format, if it has a known one: lower case, and it does not change.
    pub format: Option<&'static str>,
}

/// Cuts a stream of bytes into entries and finds out what they say.
///
/// The lines and line ends of all entries, one after the other, are the bytes that were pushed.
/// How the stream was cut into pieces makes no difference. An entry is a line that ended with a
/// line feed, with or without a carriage return before it; a carriage return elsewhere, NUL and
/// what is not UTF-8 are content, and an empty line is an entry. In [`FormatMode::Auto`] a record
/// of the journal's export format is one entry: it starts with a line `__CURSOR=` or
/// `__REALTIME_TIMESTAMP=` and ends with an empty line, or before a line that cannot be a field.
///
/// # Errors
/// Both are `Invalid`, name the line, and are given again at every further call, because nothing
/// after them can be told from it: an entry of more than
/// [`PAYLOAD_BYTES_MAX`] bytes, and in [`FormatMode::Json`] a line that is not an object.
///
/// # Limits
/// At most [`PAYLOAD_BYTES_MAX`] bytes and one push are held, as long as [`next`](Self::next) is
/// called until it gives `None` before more is pushed.
///
/// # Example
/// ```
/// use forgeone_db::logs::format::{FormatOptions, LineReader};
/// use forgeone_db::model::Severity;
///
/// let now = "2026-01-01T00:00:00Z".parse()?;
/// let mut reader = LineReader::new(FormatOptions::new(now));
/// reader.push(b"2025-12-31 23:59:58,5 ERROR [main] no disk\nthe rest");
/// let entry = reader.next()?.ok_or("one line is complete")?;
/// assert_eq!(entry.severity, Some(Severity::Error));
/// assert_eq!(entry.timestamp, Some("2025-12-31T23:59:58.5Z".parse()?));
/// assert_eq!(reader.next()?, None);
/// assert_eq!(reader.finish()?.ok_or("half a line is left")?.line, b"the rest");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LineReader {
    options: FormatOptions,
    calendar: Calendar,
    buffer: Vec<u8>,
    /// Where the next entry starts in the buffer.
    start: usize,
    /// Up to here, counted from `start`, there is no line feed.
    seen: usize,
    /// The record that the next entry is, once its first line is known.
    journal: Option<Journal>,
    /// The number of the line at `start`.
    number: u64,
    /// An entry was too long; its bytes are given up.
    too_long: bool,
}

impl LineReader {
    /// A reader at the start of its input.
    pub fn new(options: FormatOptions) -> Self {
        Self {
            calendar: Calendar::new(&options),
            options,
            buffer: Vec::new(),
            start: 0,
            seen: 0,
            journal: None,
            number: 1,
            too_long: false,
        }
    }

    /// Takes what has arrived, in pieces of any size.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.too_long {
            return;
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
            if self.buffer.len() < BUFFER_BYTES_KEPT {
                self.buffer.shrink_to(BUFFER_BYTES_KEPT);
            }
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The moment that missing years are found by, from the next entry on.
    pub fn set_now(&mut self, now: DateTime<Utc>) {
        self.options.now = now;
        self.calendar = Calendar::new(&self.options);
    }

    /// The next entry that is complete. `None`: more bytes are needed, or [`finish`](Self::finish).
    ///
    /// # Errors
    /// See [`LineReader`].
    #[expect(clippy::should_implement_trait, reason = "an iterator would end where this waits")]
    pub fn next(&mut self) -> Result<Option<ParsedLine>> {
        if self.too_long {
            return Err(self.too_long_error());
        }
        if self.journal.is_none() {
            let Some(len) = self.line_len()? else { return Ok(None) };
            if self.options.mode != FormatMode::Auto || !journal::starts(self.pending()) {
                return self.take(len, false).map(Some);
            }
        }
        self.next_record()
    }

    /// After the last byte: every complete entry that is left, then the half line or record, then
    /// `None`.
    ///
    /// # Errors
    /// See [`LineReader`].
    pub fn finish(&mut self) -> Result<Option<ParsedLine>> {
        if let Some(entry) = self.next()? {
            return Ok(Some(entry));
        }
        let len = self.pending().len();
        if len == 0 {
            return Ok(None);
        }
        let auto = self.options.mode == FormatMode::Auto;
        let record = self.journal.is_some() || (auto && journal::starts(self.pending()));
        self.take(len, record).map(Some)
    }

    fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// The length of the first line with its end, if it has one.
    fn line_len(&mut self) -> Result<Option<usize>> {
        let unseen = self.pending().get(self.seen..).unwrap_or_default();
        if let Some(at) = memchr::memchr(b'\n', unseen) {
            return Ok(Some(self.seen + at + 1));
        }
        self.seen = self.pending().len();
        // One more byte may still turn out to be half of the line's end.
        if self.seen > PAYLOAD_BYTES_MAX + 1 {
            return Err(self.give_up());
        }
        Ok(None)
    }

    fn next_record(&mut self) -> Result<Option<ParsedLine>> {
        let mut journal = self.journal.unwrap_or_default();
        match journal.advance(self.pending(), PAYLOAD_BYTES_MAX) {
            Step::Pending => {
                self.journal = Some(journal);
                Ok(None)
            }
            Step::Complete(len) => self.take(len, true).map(Some),
            Step::TooLong => Err(self.give_up()),
        }
    }

    /// Cuts the next `len` bytes off as an entry. If that fails they stay.
    fn take(&mut self, len: usize, record: bool) -> Result<ParsedLine> {
        let whole = self.pending().get(..len).unwrap_or_default();
        let (line, end) = split_end(whole, record);
        if line.len() > PAYLOAD_BYTES_MAX {
            return Err(self.give_up());
        }
        let found =
            if record { Some(journal::read(line, &self.calendar)) } else { self.look_at(line)? };
        let entry = ParsedLine {
            line: line.to_vec(),
            end,
            number: self.number,
            timestamp: found.and_then(|found| found.timestamp),
            severity: found.and_then(|found| found.severity),
            format: found.map(|found| found.format),
        };
        let lines = if record { memchr::memchr_iter(b'\n', whole).count() } else { 1 };
        self.number = self.number.saturating_add(u64::try_from(lines).unwrap_or(u64::MAX));
        self.start += len;
        self.seen = 0;
        self.journal = None;
        Ok(entry)
    }

    fn look_at(&self, line: &[u8]) -> Result<Option<Found>> {
        match self.options.mode {
            FormatMode::Auto => Ok(recognise(line, &self.calendar)),
            FormatMode::Text => Ok(None),
            FormatMode::Json => self.json(line).map(Some),
        }
    }

    fn json(&self, line: &[u8]) -> Result<Found> {
        if let Err(error) = std::str::from_utf8(line) {
            let column = error.valid_up_to() + 1;
            return Err(self.not_json("it is not UTF-8", column).with_source(error));
        }
        json::read(line, &self.calendar).map_err(|error| {
            let column = error.column();
            if error.is_data() {
                // Without the source: it would quote the value.
                self.not_json("it is another value", column)
            } else {
                self.not_json("it cannot be read", column).with_source(error)
            }
        })
    }

    fn not_json(&self, what: &str, column: usize) -> Error {
        Error::new(
            ErrorKind::Invalid,
            format!("a line is not a JSON object: {what}; read other lines as text"),
        )
        .with("line", self.number)
        .with("column", column)
    }

    /// Lets go of the bytes of an entry that is too long.
    fn give_up(&mut self) -> Error {
        self.too_long = true;
        self.buffer = Vec::new();
        self.start = 0;
        self.too_long_error()
    }

    fn too_long_error(&self) -> Error {
        Error::new(
            ErrorKind::Invalid,
            format!(
                "a log line has at most {PAYLOAD_BYTES_MAX} bytes: is this a text with line ends?"
            ),
        )
        .with("line", self.number)
    }
}

/// A line's content and its end. A record keeps carriage returns: they are its last field's.
fn split_end(whole: &[u8], record: bool) -> (&[u8], LineEnd) {
    let Some(line) = whole.strip_suffix(b"\n") else { return (whole, LineEnd::None) };
    match line.strip_suffix(b"\r") {
        Some(line) if !record => (line, LineEnd::CrLf),
        _ => (line, LineEnd::Lf),
    }
}

impl fmt::Debug for LineReader {
    /// Without the bytes that wait: they are the user's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineReader")
            .field("options", &self.options)
            .field("line", &self.number)
            .field("pending_bytes", &self.pending().len())
            .finish_non_exhaustive()
    }
}
