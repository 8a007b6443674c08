//! What is printed: records as text or NDJSON on standard output, everything else on standard
//! error.

use crate::exit::Failure;
use forgeone_db::{StoredEvent, StoredLogEntry};
use serde::{Serialize, Serializer};
use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write as _};
use std::path::Path;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

/// How a log entry is printed where no JSON is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogShape {
    /// A line for people and grep, with control characters escaped
    #[default]
    Text,
    /// The bytes of the line with its end, exactly as they were read
    Raw,
}

/// Whether whoever reads the output still does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    There,
    Gone,
}

/// Prints a line on standard error, whatever the names in it are made of. Nobody there to read it
/// is no failure.
pub(crate) fn say(line: impl fmt::Display) {
    drop(writeln!(io::stderr().lock(), "{}", Escaped(&line.to_string())));
}

/// Standard output, buffered until [`flush`](Self::flush).
pub(crate) struct Output {
    format: Format,
    out: BufWriter<StdoutLock<'static>>,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, out: BufWriter::with_capacity(64 << 10, io::stdout().lock()) }
    }

    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// Prints a line of text as it is.
    pub(crate) fn line(&mut self, line: impl fmt::Display) -> Result<Reader, Failure> {
        let written = writeln!(self.out, "{line}");
        reader(written)
    }

    /// Prints a value as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<Reader, Failure> {
        let written = serde_json::to_writer(&mut self.out, value).map_err(io::Error::from);
        reader(written.and_then(|()| self.out.write_all(b"\n")))
    }

    /// Prints `value` as JSON where that is wanted, else `line`.
    pub(crate) fn either(
        &mut self,
        value: &impl Serialize,
        line: impl fmt::Display,
    ) -> Result<Reader, Failure> {
        match self.format {
            Format::Json => self.json(value),
            Format::Text => self.line(line),
        }
    }

    /// Prints an event.
    pub(crate) fn event(&mut self, event: &StoredEvent) -> Result<Reader, Failure> {
        self.either(event, EventLine(event))
    }

    /// Prints a log entry.
    pub(crate) fn log(
        &mut self,
        stored: &StoredLogEntry,
        shape: LogShape,
    ) -> Result<Reader, Failure> {
        if shape == LogShape::Text {
            return self.either(stored, LogLine(stored));
        }
        let written = self.out.write_all(stored.entry.line());
        reader(written.and_then(|()| self.out.write_all(stored.entry.line_end.as_bytes())))
    }

    /// Hands everything to the system.
    pub(crate) fn flush(&mut self) -> Result<Reader, Failure> {
        let written = self.out.flush();
        reader(written)
    }
}

fn reader(written: io::Result<()>) -> Result<Reader, Failure> {
    match written {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::io("standard output cannot be written", &error)),
    }
}

/// An event as a line: time, number, topic, priority, id, payload.
struct EventLine<'a>(&'a StoredEvent);

impl fmt::Display for EventLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StoredEvent { event, seq } = self.0;
        write!(
            f,
            "{} {seq:>8} {} {:<8} {} {}",
            event.timestamp.format("%Y-%m-%dT%H:%M:%S%.6fZ"),
            Escaped(&event.topic),
            event.priority,
            event.id,
            Escaped(&event.payload),
        )
    }
}

/// A log entry as a line: time, severity, topic, number, message.
struct LogLine<'a>(&'a StoredLogEntry);

impl fmt::Display for LogLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StoredLogEntry { entry, seq } = self.0;
        write!(
            f,
            "{} {:<6} {} {seq:>8} {}",
            entry.timestamp.format("%Y-%m-%dT%H:%M:%S%.6fZ"),
            entry.severity,
            Escaped(&entry.topic),
            Escaped(&entry.message),
        )
    }
}

/// Text on one line: what would move the cursor or change what a terminal shows is escaped.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut plain = 0;
        for (at, letter) in self.0.char_indices().filter(|(_, letter)| is_unsafe(*letter)) {
            f.write_str(self.0.get(plain..at).unwrap_or_default())?;
            write!(f, "{}", letter.escape_default())?;
            plain = at + letter.len_utf8();
        }
        f.write_str(self.0.get(plain..).unwrap_or_default())
    }
}

/// A path on one line, escaped as text is.
pub(crate) struct Shown<'a>(pub(crate) &'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.0.to_string_lossy()).fmt(f)
    }
}

/// Serializes a path as text. JSON has no other bytes, and what was done must be told all the same.
pub(crate) fn path_text<S: Serializer>(
    path: &impl AsRef<Path>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.as_ref().to_string_lossy())
}

/// Control characters, line and paragraph separators, and those that turn the direction of text.
pub(crate) fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Bytes in the unit that people read.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        let mut unit = "B";
        for larger in ["KiB", "MiB", "GiB", "TiB"] {
            if value < 1024.0 {
                break;
            }
            value /= 1024.0;
            unit = larger;
        }
        let text = if unit == "B" { self.0.to_string() } else { format!("{value:.1}") };
        f.pad(&format!("{text} {unit}"))
    }
}

/// A word quoted for the shell where it needs it; never with what moves a terminal.
pub(crate) fn quoted(word: &str) -> String {
    if word.chars().any(is_unsafe) {
        return quoted_bytes(word);
    }
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:@%+,".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A word in the quotes of shells that know escapes.
fn quoted_bytes(word: &str) -> String {
    let mut out = String::from("$'");
    for byte in word.bytes() {
        match byte {
            b'\'' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            // Three digits, or the next letter could be taken for one of them.
            _ => {
                out.push('\\');
                out.extend([6, 3, 0].map(|shift| char::from(b'0' + (byte >> shift & 7))));
            }
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Escaped, quoted};

    #[test]
    fn what_moves_a_terminal_is_escaped_and_the_rest_is_not() {
        let shown = Escaped("a\nb\r\t\u{1b}[31m\u{202e} \\n \u{e9}").to_string();
        assert_eq!(shown, "a\\nb\\r\\t\\u{1b}[31m\\u{202e} \\n \u{e9}");
    }

    #[test]
    fn sizes_are_read_by_people() {
        assert_eq!(Bytes(1023).to_string(), "1023 B");
        assert_eq!(Bytes(1536).to_string(), "1.5 KiB");
    }

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quoted("./a/b-1"), "./a/b-1");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("a'\u{1b}1\\"), r"$'a\'\0331\\'");
    }
}
