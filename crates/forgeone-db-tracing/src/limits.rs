//! What bounds the layer's memory and the size of what it stores.

use std::time::Duration;

/// The longest message, in bytes; a longer one is cut.
pub(crate) const MESSAGE_BYTES_MAX: usize = 256 << 10;
/// Spans of an event that are looked at, innermost first.
pub(crate) const SPANS_MAX: usize = 64;
/// The longest of the layer's own facts (target, file, thread, span path), in bytes.
pub(crate) const FACT_BYTES_MAX: usize = 4 << 10;

/// What a buffer holds, unless the builder says otherwise.
pub(crate) const BUFFER_RECORDS: usize = 16_384;
/// Likewise, in bytes.
pub(crate) const BUFFER_BYTES: usize = 8 << 20;
/// The smallest buffer: one record of the largest size fits.
pub(crate) const BUFFER_BYTES_MIN: usize = 1 << 20;
/// What a record is counted with beyond its texts.
pub(crate) const RECORD_BYTES: usize = 256;
/// What a field is counted with beyond its texts.
pub(crate) const FIELD_BYTES: usize = 64;

/// Records that are written together, at most.
pub(crate) const ROUND_RECORDS_MAX: usize = 1_000;
/// Bytes that are written together, at most, unless one record has more.
pub(crate) const ROUND_BYTES_MAX: usize = 1 << 20;
/// How long a record waits for others to be written with, unless the buffer is half full before.
pub(crate) const LINGER: Duration = Duration::from_millis(50);

/// The first pause before a write is tried again; each further one is twice as long.
pub(crate) const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long dropping a guard waits for what is buffered to be stored.
pub(crate) const DROP_WAIT: Duration = Duration::from_secs(5);
