//! Commit blocks: one for each commit, never rewritten.

use super::lost::LostSection;
use super::topic_table::{TOPIC_ID_MIN, TopicTable};
use super::{from_cbor, to_cbor};
use crate::codec::{Compression, Cursor, compress, corrupt, decompress};
use crate::crypto::{
    Binding, DomainKey, KeyId, KeyStore, Lineage, PieceKey, PieceType, Place, TAG_BYTES,
    open_value, seal_value,
};
use crate::environment::{Environment, Timestamp};
use bytes::Bytes;
use forgeone_db_engine::{Error, Result, mutant};
use minicbor::{Decode, Encode};

/// A BLAKE3 hash.
pub(crate) type Hash = [u8; 32];

const SECTION_COMPRESSION_LEVEL: i32 = 1;
/// Nothing before the first block.
pub(crate) const NO_HASH: Hash = [0; 32];

/// The head of another database, as this one knew it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Witness {
    #[n(0)]
    pub(crate) database: String,
    #[n(1)]
    pub(crate) number: u64,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) hash: Hash,
}

#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct BlockHeader {
    #[n(0)]
    database: String,
    #[n(1)]
    number: u64,
    #[n(2)]
    stamp: u64,
    #[n(3)]
    term: u64,
    #[n(4)]
    seconds: i64,
    #[n(5)]
    nanos: u32,
    #[cbor(n(6), with = "minicbor::bytes")]
    previous: Hash,
    #[n(7)]
    keyring: u64,
    #[n(8)]
    witnesses: Vec<Witness>,
    #[n(9)]
    sections: Vec<SectionEntry>,
    #[n(10)]
    topics: Vec<TopicIntro>,
}

/// What a database must know of a topic to read its records. Stands in the block of the topic's
/// first record, and in every manifest from then on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct TopicIntro {
    #[n(0)]
    pub(crate) id: u64,
    #[n(1)]
    pub(crate) kind: u8,
    #[n(2)]
    pub(crate) name: String,
    /// The topic's domain keys, wrapped. The newest comes first and seals, all of them open.
    #[n(3)]
    pub(crate) wrapped_keys: WrappedKeys,
}

/// Domain keys of a topic, each wrapped by the keyring, newest first.
pub(crate) type WrappedKeys = Vec<minicbor::bytes::ByteVec>;

impl TopicIntro {
    /// The wrapped keys as bytes.
    pub(crate) fn wrapped(&self) -> impl Iterator<Item = &[u8]> {
        self.wrapped_keys.iter().map(|key| key.as_slice())
    }
}

/// Where a section lies and what it holds. Its offset is counted from the end of the header.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SectionEntry {
    #[n(0)]
    pub(super) subject: u64,
    #[n(1)]
    pub(super) first: u64,
    #[n(2)]
    pub(super) count: u32,
    #[n(3)]
    offset: u64,
    #[n(4)]
    len: u64,
    #[n(5)]
    pub(super) key: u64,
    #[n(6)]
    pub(super) ids_len: u32,
    #[n(7)]
    pub(super) columns_len: u64,
    #[n(8)]
    compression: u8,
    #[cbor(n(9), with = "minicbor::bytes")]
    hash: Hash,
}

/// Records of one subject that a commit adds.
#[derive(Debug)]
pub(crate) struct SectionDraft {
    /// Topic or system topic.
    pub(crate) subject: u64,
    /// First sequence number.
    pub(crate) first: u64,
    pub(crate) count: u32,
    pub(crate) key: DomainKey,
    pub(crate) ids: Vec<u8>,
    pub(crate) columns: Vec<u8>,
}

/// What a block is made from.
#[derive(Debug)]
pub(crate) struct BlockDraft {
    pub(crate) stamp: u64,
    pub(crate) time: Timestamp,
    pub(crate) witnesses: Vec<Witness>,
    /// Topics whose first record in this database is in the block.
    pub(crate) topics: Vec<TopicIntro>,
    pub(crate) sections: Vec<SectionDraft>,
}

/// A section, opened but still compressed.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) subject: u64,
    pub(crate) first: u64,
    pub(crate) count: u32,
    ids_len: u32,
    columns_len: u64,
    compression: Compression,
    bytes: Bytes,
}

impl Section {
    pub(crate) fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }

    /// Bytes of its records before compression.
    pub(crate) const fn raw_bytes(&self) -> u64 {
        self.ids_len as u64 + self.columns_len
    }

    /// Bytes it is kept in.
    pub(crate) const fn stored_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// A section of `(count, length of its ids, length of its columns)`, for the fuzzer.
    ///
    /// # Errors
    /// `UpgradeRequired` for an unknown compression.
    #[cfg(fuzzing)]
    pub(super) fn of_parts(
        (count, ids_len, columns_len): (u32, u32, u64),
        compression: u8,
        bytes: Vec<u8>,
    ) -> Result<Self> {
        let compression = Compression::from_code(compression)?;
        let (subject, first, bytes) = (TOPIC_ID_MIN, 1, bytes.into());
        Ok(Self { subject, first, count, ids_len, columns_len, compression, bytes })
    }

    /// Ids and columns as they were encoded.
    ///
    /// # Errors
    /// `Corrupt` if the section does not decompress to what its header says.
    pub(crate) fn unpack(&self) -> Result<(Bytes, Vec<u8>)> {
        let ids_len = self.ids_len as usize;
        if ids_len > self.bytes.len() {
            return Err(corrupt("a section is shorter than its ids"));
        }
        let ids = self.bytes.slice(..ids_len);
        let packed = self.bytes.slice(ids_len..).to_vec();
        let columns_len = usize::try_from(self.columns_len)
            .map_err(|_| corrupt("a section is too large for this machine"))?;
        Ok((ids, decompress(self.compression, packed, columns_len)?))
    }
}

/// A block, opened.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) number: u64,
    pub(crate) hash: Hash,
    pub(crate) previous: Hash,
    pub(crate) stamp: u64,
    pub(crate) term: u64,
    pub(crate) time: Timestamp,
    pub(crate) witnesses: Vec<Witness>,
    pub(crate) sections: Vec<Section>,
    /// Sections of topics whose bytes are not those that the header names.
    pub(crate) lost: Vec<LostSection>,
}

/// What a block is sealed with and bound to.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockContext<'a> {
    pub(super) database: &'a str,
    pub(super) keys: &'a KeyStore,
    pub(super) lineage: Lineage,
    pub(super) environment: &'a dyn Environment,
}

/// The position of a new block in the chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChainPosition {
    pub(super) number: u64,
    pub(super) previous: Hash,
    pub(super) term: u64,
    pub(super) keyring: u64,
}

impl BlockContext<'_> {
    /// Seals `draft`; gives the stored bytes and the block as a reader would see it.
    pub(super) fn seal(&self, at: ChainPosition, draft: BlockDraft) -> Result<(Vec<u8>, Block)> {
        let mut entries = Vec::with_capacity(draft.sections.len());
        let mut sections = Vec::with_capacity(draft.sections.len());
        let mut body = Vec::new();
        for section in draft.sections {
            let (entry, section) = self.seal_section(section, &mut body)?;
            entries.push(entry);
            sections.push(section);
        }
        let header = BlockHeader {
            database: self.database.to_owned(),
            number: at.number,
            stamp: draft.stamp,
            term: at.term,
            seconds: draft.time.seconds,
            nanos: draft.time.nanos,
            previous: at.previous,
            keyring: at.keyring,
            witnesses: draft.witnesses,
            sections: entries,
            topics: draft.topics,
        };
        let sealed = seal_value(
            &self.keys.system_key(),
            PieceType::BlockHeader,
            self.place(at.number),
            to_cbor(&header),
            self.environment,
        )?;
        let header_len =
            u32::try_from(sealed.len()).map_err(|_| corrupt("a block has too many sections"))?;
        let mut stored = Vec::with_capacity(4 + sealed.len() + body.len());
        stored.extend_from_slice(&header_len.to_be_bytes());
        stored.extend_from_slice(&sealed);
        let hash = blake3::hash(&stored).into();
        stored.extend_from_slice(&body);
        Ok((stored, header.into_block(hash, sections)))
    }

    fn seal_section(
        &self,
        draft: SectionDraft,
        body: &mut Vec<u8>,
    ) -> Result<(SectionEntry, Section)> {
        let ids_len = draft.ids.len();
        let columns_len = draft.columns.len() as u64;
        let (compression, packed) = compress(draft.columns, SECTION_COMPRESSION_LEVEL)?;
        let mut plain = draft.ids;
        plain.extend_from_slice(&packed);
        let section = Section {
            subject: draft.subject,
            first: draft.first,
            count: draft.count,
            ids_len: u32::try_from(ids_len).map_err(|_| corrupt("a section has too many ids"))?,
            columns_len,
            compression,
            bytes: Bytes::copy_from_slice(&plain),
        };
        let key = PieceKey::create(&draft.key, PieceType::BlockSection, self.environment)?;
        let tag = key.seal(0, &self.binding(&section), &mut plain)?;
        let offset = body.len();
        body.extend_from_slice(key.prefix());
        body.extend_from_slice(&tag);
        body.extend_from_slice(&plain);
        let stored = body.get(offset..).unwrap_or_default();
        let entry = SectionEntry {
            subject: section.subject,
            first: section.first,
            count: section.count,
            offset: offset as u64,
            len: stored.len() as u64,
            key: draft.key.id().0,
            ids_len: section.ids_len,
            columns_len,
            compression: compression.code(),
            hash: blake3::hash(stored).into(),
        };
        Ok((entry, section))
    }

    /// Opens the block stored under `number`. The topics it introduces are added to `topics` before
    /// its sections are opened with the keys found there. A section of a topic whose bytes are not
    /// those that the header names is among the lost ones; what else is wrong is among the errors.
    ///
    /// # Errors
    /// `Corrupt` when the header is not what was sealed there.
    pub(super) fn open_parts(
        &self,
        number: u64,
        stored: &Bytes,
        topics: &TopicTable,
    ) -> Result<(Block, Vec<Error>)> {
        let mut cursor = Cursor::new(stored);
        let header_len = cursor.u32()? as usize;
        let sealed = cursor.take(header_len)?;
        let body_start = 4 + header_len;
        let hash = blake3::hash(stored.get(..body_start).unwrap_or_default()).into();
        let system = self.keys.system_key_for(sealed);
        let raw = open_value(&system, PieceType::BlockHeader, self.place(number), sealed)?;
        let header: BlockHeader = from_cbor(&raw)?;
        if header.database != self.database || header.number != number {
            return Err(corrupt("a block belongs to another place"));
        }
        header.topics.iter().for_each(|topic| topics.introduce(topic));
        let mut body_end = body_start;
        let mut sections = Vec::with_capacity(header.sections.len());
        let (mut lost, mut damaged) = (Vec::new(), Vec::new());
        for entry in &header.sections {
            let opened = entry.range(body_start, body_end).and_then(|(start, end)| {
                body_end = end;
                let present = stored.slice(start.min(stored.len())..end.min(stored.len()));
                self.open_section(entry, &present, topics)
            });
            match opened {
                Ok(Opened::Section(section)) => sections.push(section),
                Ok(Opened::Lost(section)) => lost.push(section),
                Err(error) => damaged.push(entry.locate(error)),
            }
        }
        if body_end < stored.len() && damaged.is_empty() {
            damaged.push(corrupt("a block is longer than its sections"));
        }
        Ok((Block { lost, ..header.into_block(hash, sections) }, damaged))
    }

    fn open_section(
        &self,
        entry: &SectionEntry,
        stored: &Bytes,
        topics: &TopicTable,
    ) -> Result<Opened> {
        let other = blake3::hash(stored) != entry.hash && !mutant!("accept-another-section");
        let range = entry.first.checked_add(entry.count.into());
        if entry.count == 0 || range.is_none() {
            return Err(corrupt("a section is not the one its block names"));
        }
        let domain = topics.key(entry.subject, KeyId(entry.key))?;
        if other && entry.subject >= TOPIC_ID_MIN {
            return Ok(Opened::Lost(LostSection::new(entry.clone(), stored)));
        } else if other {
            return Err(corrupt("a section is not the one its block names"));
        }
        let mut section = Section {
            subject: entry.subject,
            first: entry.first,
            count: entry.count,
            ids_len: entry.ids_len,
            columns_len: entry.columns_len,
            compression: Compression::from_code(entry.compression)?,
            bytes: Bytes::new(),
        };
        let mut cursor = Cursor::new(stored);
        let key = PieceKey::read(&domain, PieceType::BlockSection, &mut cursor)?;
        let tag = cursor.array::<TAG_BYTES>()?;
        let sealed = cursor.take(cursor.remaining())?;
        section.bytes = key.open(0, &self.binding(&section), sealed, &tag)?.into();
        Ok(Opened::Section(section))
    }

    fn place(&self, position: u64) -> Place {
        Place { lineage: self.lineage, subject: 0, position }
    }

    fn binding(&self, section: &Section) -> Binding {
        Binding {
            lineage: self.lineage,
            subject: section.subject,
            first: section.first,
            last: section.last(),
            compression: section.compression,
        }
    }
}

impl SectionEntry {
    /// Says of an error which records it is about.
    fn locate(&self, error: Error) -> Error {
        error
            .with("topic id", self.subject)
            .with("from", self.first)
            .with("to", self.first.saturating_add(u64::from(self.count)).saturating_sub(1))
    }

    /// Where the section lies in the block, which must be behind the section before.
    fn range(&self, body_start: usize, expected: usize) -> Result<(usize, usize)> {
        let range = || {
            let start = body_start.checked_add(usize::try_from(self.offset).ok()?)?;
            let end = start.checked_add(usize::try_from(self.len).ok()?)?;
            (start == expected).then_some((start, end))
        };
        range().ok_or_else(|| corrupt("the sections of a block do not follow one another"))
    }
}

/// What became of a section.
enum Opened {
    Section(Section),
    /// Its bytes are not those that were stored.
    Lost(LostSection),
}

impl BlockHeader {
    fn into_block(self, hash: Hash, sections: Vec<Section>) -> Block {
        Block {
            number: self.number,
            hash,
            previous: self.previous,
            stamp: self.stamp,
            term: self.term,
            time: Timestamp { seconds: self.seconds, nanos: self.nanos },
            witnesses: self.witnesses,
            sections,
            lost: Vec::new(),
        }
    }
}
