//! Writing an export.

use super::{Counts, Footer, Header, Line};
use serde::Serialize;
use std::io::{self, Write};

/// Writes an export line by line. Nothing is one until [`finish`](Self::finish) has written the
/// last line.
#[derive(Debug)]
pub(crate) struct ExportWriter<W> {
    out: W,
    line: Vec<u8>,
    hasher: blake3::Hasher,
    counts: Counts,
}

/// Bytes of a line that a buffer keeps room for.
const LINE_BYTES_KEPT: usize = 1 << 20;

impl<W: Write> ExportWriter<W> {
    /// Starts an export.
    pub(crate) fn start(out: W, header: &Header) -> io::Result<Self> {
        let (hasher, counts) = (blake3::Hasher::new(), Counts::default());
        let mut writer = Self { out, line: Vec::new(), hasher, counts };
        writer.write(header)?;
        Ok(writer)
    }

    pub(crate) fn line(&mut self, line: Line<'_>) -> io::Result<()> {
        self.write(&line)?;
        *match line {
            Line::Topic(_) => &mut self.counts.topics,
            Line::Event(_) => &mut self.counts.events,
            Line::Log(_) => &mut self.counts.logs,
            Line::Setting(_) => &mut self.counts.settings,
            Line::Metadata(_) => &mut self.counts.metadata,
        } += 1;
        Ok(())
    }

    fn write(&mut self, value: &impl Serialize) -> io::Result<()> {
        if self.line.capacity() > LINE_BYTES_KEPT {
            self.line = Vec::new();
        }
        self.line.clear();
        serde_json::to_writer(&mut self.line, value)?;
        self.line.push(b'\n');
        self.hasher.update(&self.line);
        self.out.write_all(&self.line)
    }

    /// Writes the last line, and gives it.
    pub(crate) fn finish(mut self) -> io::Result<Footer> {
        let blake3 = self.hasher.finalize().to_hex().to_string();
        let footer = Footer { end: true, counts: self.counts, blake3 };
        self.write(&footer)?;
        self.out.flush()?;
        Ok(footer)
    }
}
