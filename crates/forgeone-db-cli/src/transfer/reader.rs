//! Reading an export, as a sceptic: whatever is wrong about it is told with the number of the line.

use super::{Counts, EXPORT_LINE_BYTES_MAX, EXPORT_VERSION, Footer, Header, Item, TopicLine};
use crate::exit::{Exit, Failure};
use crate::input::explain;
use chrono::{DateTime, Utc};
use forgeone_db::model::{
    SETTING_VALUE_BYTES_MAX, check_metadata_text, check_setting_key, check_topic,
};
use forgeone_db::{MetadataEntry, Setting, StoredEvent, StoredLogEntry};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::io::{BufRead, Read as _};

/// Bytes of a line that a buffer keeps room for.
const LINE_BYTES_KEPT: usize = 1 << 20;

/// What a line says, with its number and bytes.
#[derive(Debug)]
pub(crate) struct Numbered {
    pub(crate) line: u64,
    pub(crate) bytes: usize,
    pub(crate) item: Item,
}

/// Reads an export line by line.
#[derive(Debug)]
pub(crate) struct ExportReader<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    hasher: blake3::Hasher,
    counts: Counts,
    /// Where the line before belongs, see [`Item::place`].
    last: Option<(u8, String, u64)>,
}

/// What tells a record from the last line.
#[derive(Deserialize)]
struct Tag {
    kind: Option<String>,
    end: Option<bool>,
}

/// What tells an export from any other file.
#[derive(Deserialize)]
struct Mark {
    forgeone_db_export: u32,
}

/// A setting whose value is read by itself: it may be as deep as a whole document.
#[derive(Deserialize)]
struct SettingLine {
    key: String,
    value: Box<RawValue>,
    version: u64,
    updated_at: DateTime<Utc>,
}

impl<R: BufRead> ExportReader<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// What is no export; one of a newer version.
    pub(crate) fn start(input: R) -> Result<Self, Failure> {
        let mut reader = Self {
            input,
            line: Vec::new(),
            number: 0,
            hasher: blake3::Hasher::new(),
            counts: Counts::default(),
            last: None,
        };
        reader.read_header()?;
        Ok(reader)
    }

    fn read_header(&mut self) -> Result<(), Failure> {
        let foreign = || {
            Failure::new(Exit::Failure, "line 1: the input is no export of forgeone-db")
                .hint("give what `forgeone-db export` wrote; `events append` stores other records")
        };
        // Whatever is wrong here, it says nothing about an export.
        if self.read_line()? == 0 || !self.line.ends_with(b"\n") {
            return Err(foreign());
        }
        let mark: Mark = serde_json::from_slice(&self.line).map_err(|_| foreign())?;
        if mark.forgeone_db_export > EXPORT_VERSION {
            let version = mark.forgeone_db_export;
            return Err(Failure::new(
                Exit::UpgradeRequired,
                format!("line 1: the export has version {version}, and this release reads {EXPORT_VERSION}"),
            )
            .hint("use a newer release of forgeone-db"));
        }
        let header: Result<Header, _> = serde_json::from_slice(&self.line);
        if mark.forgeone_db_export == 0 || header.is_err() {
            return Err(foreign());
        }
        self.hasher.update(&self.line);
        Ok(())
    }

    /// What the next line says; `None` once the last line was read and is right.
    ///
    /// # Errors
    /// Whatever is wrong with the line, or with the whole at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Numbered>, Failure> {
        if self.read_line()? == 0 {
            return Err(self.cut_off());
        }
        if !self.line.ends_with(b"\n") {
            if self.line.len() > EXPORT_LINE_BYTES_MAX {
                return Err(self
                    .broken(format_args!("the line has more than {EXPORT_LINE_BYTES_MAX} bytes")));
            }
            return Err(self.cut_off());
        }
        let tag: Tag = self.parse()?;
        if tag.end == Some(true) && tag.kind.is_none() {
            return self.finish().map(|()| None);
        }
        let Some(kind) = tag.kind else {
            return Err(self.broken("the line has no kind"));
        };
        let item = self.item(&kind)?;
        self.check_order(&item)?;
        self.hasher.update(&self.line);
        self.counts.add(&item);
        Ok(Some(Numbered { line: self.number, bytes: self.line.len(), item }))
    }

    /// How many lines there were of each kind.
    pub(crate) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Reads a line with its line feed, as far as it may go, and gives its bytes.
    fn read_line(&mut self) -> Result<usize, Failure> {
        if self.line.capacity() > LINE_BYTES_KEPT {
            self.line = Vec::new();
        }
        self.line.clear();
        self.number += 1;
        let limit = EXPORT_LINE_BYTES_MAX as u64 + 1;
        let read = self.input.by_ref().take(limit).read_until(b'\n', &mut self.line);
        read.map_err(|error| Failure::io("the export cannot be read", &error))
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.line).map_err(|error| self.broken(explain(&error)))
    }

    fn item(&self, kind: &str) -> Result<Item, Failure> {
        let (item, checked) = match kind {
            "topic" => {
                let topic: TopicLine = self.parse()?;
                let checked = check_topic(&topic.topic);
                (Item::Topic(topic), checked)
            }
            "event" => {
                let event: StoredEvent = self.parse()?;
                let checked = event.event.check();
                (Item::Event(Box::new(event)), checked)
            }
            "log" => {
                let log: StoredLogEntry = self.parse()?;
                let checked = log.entry.check();
                (Item::Log(Box::new(log)), checked)
            }
            "setting" => {
                let setting = self.setting()?;
                let checked = check_setting_key(&setting.key);
                (Item::Setting(setting), checked)
            }
            "metadata" => {
                let entry: MetadataEntry = self.parse()?;
                let checked = check_metadata_text(&entry.name, &entry.text);
                (Item::Metadata(entry), checked)
            }
            _ => return Err(self.broken("the line is of a kind that this release does not know")),
        };
        checked.map_err(|error| self.broken(error))?;
        Ok(item)
    }

    fn setting(&self) -> Result<Setting, Failure> {
        let SettingLine { key, value, version, updated_at } = self.parse()?;
        let value: serde_json::Value =
            serde_json::from_str(value.get()).map_err(|error| self.broken(explain(&error)))?;
        if value.to_string().len() > SETTING_VALUE_BYTES_MAX {
            return Err(self.broken("the value of the setting has more than 1 MiB"));
        }
        Ok(Setting { key, value, version, updated_at })
    }

    fn check_order(&mut self, item: &Item) -> Result<(), Failure> {
        let place = item.place();
        let last = self.last.as_ref().map(|(rank, name, seq)| (*rank, name.as_str(), *seq));
        if last.is_some_and(|last| last >= place) {
            return Err(self.broken("the line is out of order"));
        }
        let (rank, name, seq) = place;
        match &mut self.last {
            // Mostly the topic is that of the line before.
            Some(last) if last.0 == rank && last.1 == name => last.2 = seq,
            last => *last = Some((rank, name.to_owned(), seq)),
        }
        Ok(())
    }

    /// Compares the last line with what was read.
    fn finish(&mut self) -> Result<(), Failure> {
        let footer: Footer = self.parse()?;
        if footer.counts != self.counts {
            return Err(self.broken("the export has other counts than its last line says"));
        }
        if footer.blake3 != self.hasher.finalize().to_hex().as_str() {
            return Err(
                self.broken("the export was changed: its hash is not that of its last line")
            );
        }
        if self.read_line()? > 0 {
            return Err(self.broken("something follows the last line"));
        }
        Ok(())
    }

    fn cut_off(&self) -> Failure {
        self.broken("the export was cut off: its last line is not there, or not all of it")
    }

    fn broken(&self, why: impl std::fmt::Display) -> Failure {
        Failure::new(Exit::Failure, format!("line {}: {why}", self.number))
            .hint("export again, or copy the file again from where it is whole")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ExportWriter, Header, Line};
    use super::ExportReader;
    use forgeone_db::{Setting, StoredEvent};

    fn export() -> Vec<u8> {
        let mut out = Vec::new();
        let header = Header {
            forgeone_db_export: 1,
            store: uuid::Uuid::from_u128(7),
            created_at: chrono::DateTime::UNIX_EPOCH,
        };
        let mut writer = ExportWriter::start(&mut out, &header).unwrap();
        let event: StoredEvent = serde_json::from_str(
            r#"{"id":"67e55044-10b1-426f-9247-bb680e5fe0c8","topic":"t","seq":1,"payload":"x",
                "timestamp":"2026-03-01T12:00:00Z"}"#,
        )
        .unwrap();
        writer.line(Line::Event(&event)).unwrap();
        let (key, value) = ("k".to_owned(), serde_json::json!({"a": 1.0}));
        let updated_at = chrono::DateTime::UNIX_EPOCH;
        writer.line(Line::Setting(&Setting { key, value, version: 3, updated_at })).unwrap();
        writer.finish().unwrap();
        out
    }

    /// Whether all of it can be read.
    fn is_whole(bytes: &[u8]) -> bool {
        let Ok(mut reader) = ExportReader::start(bytes) else { return false };
        loop {
            match reader.next() {
                Err(_) => return false,
                Ok(None) => return true,
                Ok(Some(_)) => {}
            }
        }
    }

    #[test]
    fn every_bit_and_every_byte_counts() {
        let whole = export();
        assert!(is_whole(&whole));
        for at in 0..whole.len() {
            assert!(!is_whole(&whole[..at]), "cut off at {at}");
            for bit in 0..8 {
                let mut bent = whole.clone();
                bent[at] ^= 1 << bit;
                assert!(!is_whole(&bent), "bit {bit} of byte {at}");
            }
        }
    }
}
