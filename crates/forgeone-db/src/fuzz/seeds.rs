//! Inputs to start from: what real stores hold, taken out of their seals.

use crate::codec::Cursor;
use crate::crypto::{Binding, DomainKey, Key, Lineage, PieceType, Place, choose, open_value};
use crate::db::RedbManager;
use crate::index;
use crate::log::{Manifest, from_cbor};
use crate::logs::NewLogEntry;
use crate::model::{EventMessage, EventPriority, Severity};
use crate::options::{OpenMode, StoreOptions};
use crate::piece::{PieceReader, PieceRef};
use crate::system::NewSetting;
use bytes::Bytes;
use chrono::{DateTime, TimeZone as _, Utc};
use forgeone_db_engine::{
    DatabaseName, Direction, Durability, Engine as _, Error, ErrorKind, KeyRange, MemoryEngine,
    Projection, Read, Result, TableName,
};
use futures::FutureExt as _;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// A decoder's name and an input for it.
type Seed = (&'static str, Vec<u8>);

/// Inputs for the decoders of [`TARGETS`](super::TARGETS).
///
/// # Errors
/// None but those of a store in memory.
pub fn seeds() -> Result<Vec<Seed>> {
    let mut seeds = Vec::new();
    keyrings(&mut seeds)?;
    let engine = MemoryEngine::new();
    let store = fill(&engine)?;
    store.close()?;
    let keyring = value(&engine, "keyring", "keyring", b"keyring.0")?;
    let lineage = choose(&[Some(keyring)])?.open(None)?.lineage();
    let found = Found { engine, lineage };
    for (database, tables) in [
        ("system", ["state", "metadata"]),
        ("events_shard_0", ["events", "event_index"]),
        ("logs_shard_0", ["logs", "log_index"]),
    ] {
        found.database(database, tables, &mut seeds)?;
    }
    seeds.extend(index::fuzz::seeds());
    seeds.extend(written());
    Ok(seeds)
}

fn memory(engine: &MemoryEngine, key: Option<Key>) -> StoreOptions {
    StoreOptions::with_engine(Arc::new(engine.reopen()))
        .durability(Durability::None)
        .mode(OpenMode::OpenOrCreate)
        .shard_count(1)
        .key(key)
}

fn time(seconds: u8) -> DateTime<Utc> {
    Utc.timestamp_opt(1_700_000_000 + i64::from(seconds), 0).single().unwrap_or_default()
}

/// A store without a key that has everything, sealed in part.
fn fill(engine: &MemoryEngine) -> Result<RedbManager> {
    let store = RedbManager::open(memory(engine, None))?;
    for round in 0..2 {
        let events: Vec<_> = (0..20).map(|number| event(round, number)).collect();
        store.store_events(&events)?;
        let line = |number: u8| {
            let text = format!("2026-01-01T00:00:{number:02}Z ERROR line {number}");
            NewLogEntry::new("app", time(number), Severity::Error, text)
        };
        store.store_logs((0..20).map(line).collect())?;
        store.set_settings(&[NewSetting::new("one", round), NewSetting::new("two", "text")])?;
        store.set_metadata("owner", "someone")?;
        if round == 0 {
            store.seal()?;
        }
    }
    Ok(store)
}

fn event(round: u8, number: u8) -> EventMessage {
    EventMessage {
        id: Uuid::from_u128(u128::from(round) << 64 | u128::from(number)),
        topic: ["orders.new", "orders.paid"]
            .iter()
            .nth(usize::from(number % 2))
            .map_or_else(String::new, ToString::to_string),
        timestamp: time(if number % 5 == 0 { 0 } else { number }),
        priority: EventPriority::High,
        payload: format!("payload {number}"),
        metadata: HashMap::from([("number".to_owned(), number.to_string())]),
        checkpoint_marker: (number == 7).then(|| "mark".to_owned()),
    }
}

/// Keyrings of both kinds, without their checksums.
fn keyrings(seeds: &mut Vec<Seed>) -> Result<()> {
    for key in [None, Some(Key::raw([7; 32]))] {
        let engine = MemoryEngine::new();
        RedbManager::open(memory(&engine, key))?.close()?;
        for name in [b"keyring.0", b"keyring.1"] {
            let stored = value(&engine, "keyring", "keyring", name)?;
            let content = stored.len().saturating_sub(32);
            seeds.push(("keyring", stored.slice(..content).to_vec()));
        }
        let head = value(&engine, "system", "head", &[0])?;
        seeds.push(("sealed_value", head.to_vec()));
        seeds.push(("piece_prefix", head.to_vec()));
    }
    Ok(())
}

fn lost() -> Error {
    Error::new(ErrorKind::Internal, "a store to take inputs from lacks what every store has")
}

fn value(engine: &MemoryEngine, database: &str, table: &str, key: &[u8]) -> Result<Bytes> {
    let (database, table) = (DatabaseName::new(database)?, TableName::new(table)?);
    let read = Read::get(&table, key.to_vec());
    let answer = engine.reopen().read(&database, read).now_or_never().ok_or_else(lost)??;
    answer.into_values()?.into_iter().next().flatten().ok_or_else(lost)
}

fn entries(engine: &MemoryEngine, database: &str, table: &str) -> Result<Vec<(Bytes, Bytes)>> {
    let scan = Read::Scan {
        table: TableName::new(table)?,
        range: KeyRange::all(),
        direction: Direction::Forward,
        projection: Projection::Entries,
        entries_max: 1024,
        bytes_max: u64::MAX,
    };
    let database = DatabaseName::new(database)?;
    let answer = engine.reopen().read(&database, scan).now_or_never().ok_or_else(lost)??;
    let entries = answer.into_page()?.entries.into_iter();
    Ok(entries.map(|entry| (entry.key, entry.value)).collect())
}

/// A store without a key to take things from.
struct Found {
    engine: MemoryEngine,
    lineage: Lineage,
}

impl Found {
    fn open(&self, piece_type: PieceType, position: u64, stored: &[u8]) -> Result<Vec<u8>> {
        let place = Place { lineage: self.lineage, subject: 0, position };
        open_value(&DomainKey::none(), piece_type, place, stored)
    }

    /// Head, manifests, blocks and directories of one database.
    fn database(&self, database: &str, tables: [&str; 2], seeds: &mut Vec<Seed>) -> Result<()> {
        let stored = value(&self.engine, database, "head", &[0])?;
        seeds.push(("head", self.open(PieceType::Head, 0, &stored)?));
        for (key, stored) in entries(&self.engine, database, "checkpoints")? {
            let raw = self.open(PieceType::Manifest, number(&key)?, &stored)?;
            let manifest: Manifest = from_cbor(&raw)?;
            self.pieces((database, tables), &manifest, seeds)?;
            seeds.push(("manifest", raw));
        }
        for (key, stored) in entries(&self.engine, database, "commits")? {
            let mut cursor = Cursor::new(&stored);
            let len = cursor.u32()? as usize;
            let header = self.open(PieceType::BlockHeader, number(&key)?, cursor.take(len)?)?;
            let body = cursor.take(cursor.remaining())?;
            let len = u16::try_from(header.len()).map_err(|_| lost())?;
            seeds.push(("block", [&len.to_be_bytes()[..], &header, body].concat()));
            // Behind prefix and tag of the first section.
            let plain = body.get(32..).unwrap_or_default();
            let head = [0, 20, 0, 64, 0, 0, 0, 200, 1];
            seeds.push(("section", [&head[..], plain].concat()));
        }
        Ok(())
    }

    /// The directories of all segments and runs.
    fn pieces(
        &self,
        (database, [segments, runs]): (&str, [&str; 2]),
        manifest: &Manifest,
        seeds: &mut Vec<Seed>,
    ) -> Result<()> {
        for segment in &manifest.segments {
            let range = (segment.subject, segment.first, segment.last);
            let raw =
                self.directory((database, segments), &segment.piece, PieceType::Segment, range)?;
            let len = u16::try_from(raw.len()).map_err(|_| lost())?;
            let (first, last) = (segment.first.to_be_bytes(), segment.last.to_be_bytes());
            let seed = [&first[..], &last, &len.to_be_bytes(), &raw].concat();
            seeds.push(("segment_directory", seed));
        }
        for run in &manifest.runs {
            let unit = u64::from(u32::MAX);
            let place = (run.family.0, unit, unit);
            let tables = [runs, "settings"];
            let read = |table| self.directory((database, table), &run.piece, PieceType::Run, place);
            let raw = tables.into_iter().find_map(|table| read(table).ok()).ok_or_else(lost)?;
            let units = u32::try_from(run.piece.units_bytes).map_err(|_| lost())?;
            seeds.push(("run_directory", [&units.to_be_bytes()[..], &raw].concat()));
        }
        Ok(())
    }

    fn directory(
        &self,
        (database, table): (&str, &str),
        piece: &PieceRef,
        piece_type: PieceType,
        (subject, first, last): (u64, u64, u64),
    ) -> Result<Vec<u8>> {
        let (database, table) = (DatabaseName::new(database)?, TableName::new(table)?);
        let reader = PieceReader::new(Arc::new(self.engine.reopen()), database, table);
        let compression = crate::codec::Compression::None;
        let binding = Binding { lineage: self.lineage, subject, first, last, compression };
        let opened = reader.open(piece, &DomainKey::none(), piece_type, &binding).now_or_never();
        Ok(opened.ok_or_else(lost)??.take_directory())
    }
}

fn number(key: &[u8]) -> Result<u64> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| lost())
}

/// Inputs written by hand.
fn written() -> Vec<Seed> {
    let mut frame = vec![0, 0, 4, 0];
    frame.extend(crate::codec::compress(vec![7; 1024], 1).map_or_else(|_| Vec::new(), |one| one.1));
    let texts: [(&str, &[u8]); 14] = [
        ("cursor_token", b"AQABAgM"),
        ("key_file", b"forgeone-db-key-v1 raw\n0707070707070707070707070707070707070707070707070707070707070707\n"),
        ("positions", &[0x80, 8, 5, 1, 7]),
        ("changes", &[1, 3, 1, b'a', 1, 2, b'x', b'y']),
        ("setting", b"\x01\x00\x00\x01{\"kind\":\"switch\"}"),
        ("flag_json", br#"{"state":"on","rollout":50}"#),
        ("log_lines", b"\0\x102026-01-01T00:00:00Z ERROR one\r\n<34>1 2026-01-01T00:00:00Z h a - - - two\n"),
        ("log_lines", b"\x02\x20{\"time\":\"2026-01-01T00:00:00Z\",\"level\":\"warn\"}\n"),
        ("log_lines", b"\0\x40__CURSOR=a\n__REALTIME_TIMESTAMP=1700000000000000\nPRIORITY=3\nMESSAGE=m\n\n"),
        ("log_lines", b"\0\xff127.0.0.1 - - [01/Jan/2026:00:00:00 +0000] \"GET / HTTP/1.1\" 200 1\n"),
        ("log_filter", b"\x08(a|b)+c$xxabc"),
        ("topic_pattern", b"orders.*.>\norders.new.eu"),
        ("event_json", br#"{"id":"67e55044-10b1-426f-9247-bb680e5fe0c8","topic":"t","payload":"x","timestamp":"2026-03-01T12:00:00Z"}"#),
        ("log_json", br#"{"id":"67e55044-10b1-426f-9247-bb680e5fe0c8","topic":"t","message":"x","severity":"error","timestamp":"2026-03-01T12:00:00Z"}"#),
    ];
    let texts = texts.into_iter().map(|(name, text)| (name, text.to_vec()));
    texts.chain([("decompress", frame)]).collect()
}
