//! Fields of events and spans as text, of bounded size whatever their `Display` and `Debug` do.

use crate::limits::MESSAGE_BYTES_MAX;
use forgeone_db::model::METADATA_BYTES_MAX;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tracing_core::field::{Field, Visit};

/// The field that carries an event's text.
const MESSAGE: &str = "message";
/// What stands where a value's formatting panicked, after what it had written.
const PANICKED: &str = "(panicked)";

/// The fields of one event or span.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields {
    /// The field `message`.
    pub(crate) message: Text,
    /// The other fields, each name once, in the order they came.
    pub(crate) pairs: Vec<(&'static str, String)>,
    /// Whether other fields were cut or left out.
    pub(crate) pairs_cut: bool,
    /// Whether a value's formatting panicked.
    pub(crate) panicked: bool,
}

impl Fields {
    /// Bytes of message, names and values.
    pub(crate) fn bytes(&self) -> usize {
        self.message.text.len() + self.pair_bytes()
    }

    fn pair_bytes(&self) -> usize {
        self.pairs.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    fn put(&mut self, field: &Field, write: impl FnOnce(&mut Bounded) -> fmt::Result) {
        if field.name() == MESSAGE {
            self.message = self.bounded(MESSAGE_BYTES_MAX, write);
            return;
        }
        // A span's field may be recorded again: the new value replaces the old one.
        self.pairs.retain(|(name, _)| *name != field.name());
        let room = METADATA_BYTES_MAX.checked_sub(self.pair_bytes() + field.name().len());
        let Some(room) = room else {
            self.pairs_cut = true;
            return;
        };
        let Text { text, cut } = self.bounded(room, write);
        self.pairs.push((field.name(), text));
        self.pairs_cut |= cut;
    }

    /// What `write` writes, at most `room` bytes of it.
    fn bounded(&mut self, room: usize, write: impl FnOnce(&mut Bounded) -> fmt::Result) -> Text {
        let mut out = Bounded { written: Text::default(), room };
        // An error of the value's own is what it is: what it had written stays.
        if catch_unwind(AssertUnwindSafe(|| write(&mut out))).is_err() {
            self.panicked = true;
            out.push(PANICKED);
        }
        out.written
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, |out| out.write_str(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, |out| write!(out, "{value:?}"));
    }

    /// The error and what caused it, from the outside in.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field, |out| {
            write!(out, "{value}")?;
            let mut source = value.source();
            while let Some(cause) = source {
                write!(out, ": {cause}")?;
                source = cause.source();
            }
            Ok(())
        });
    }
}

/// The text of one field.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    pub(crate) text: String,
    /// Whether it is less than all.
    pub(crate) cut: bool,
}

/// Stops the writer once there is no room, so that a value of any size costs bounded memory.
struct Bounded {
    written: Text,
    room: usize,
}

impl Bounded {
    /// Adds what fits; says whether that was all.
    fn push(&mut self, more: &str) -> bool {
        let fits = more.get(..more.floor_char_boundary(self.room)).unwrap_or_default();
        let all = fits.len() == more.len();
        self.written.text.push_str(fits);
        self.written.cut |= !all;
        self.room = if all { self.room - fits.len() } else { 0 };
        all
    }
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if self.push(more) { Ok(()) } else { Err(fmt::Error) }
    }
}
