//! One database of a damaged store: whatever of it opens.

use super::out::Out;
use crate::index::{Index, IndexContext, Run};
use crate::integrity::contained;
use crate::log::{Block, Hash, LogContext, Manifest, SegmentRef, TopicIntro, Witness};
use crate::piece::{Cache, PieceReader, list_pieces};
use crate::stream::{Layout, RecordBatch, Segment, SegmentCache, Shard, decode_section};
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::cmp::Reverse;
use std::sync::Arc;

/// A database as far as it can be read.
pub(super) struct Source {
    pub(super) context: LogContext,
    pub(super) layout: Layout,
    index: IndexContext,
    cache: SegmentCache,
    pub(super) manifest: Option<Manifest>,
    /// The blocks behind the manifest, by number.
    blocks: Vec<u64>,
    /// The newest commit that the head names, or the newest that was found.
    pub(super) newest: u64,
    pub(super) witnesses: Vec<Witness>,
}

impl Source {
    /// Finds head, manifest and blocks; tells `out` what of them is damaged. `None` if there is
    /// nothing at all.
    ///
    /// # Errors
    /// `Denied` when the database's file may not be read.
    pub(super) async fn find(shard: &Shard, out: &mut Out<'_>) -> Result<Option<Self>> {
        let mut context = shard.context().clone();
        context.topics = Arc::new(context.topics.without_topics());
        let database = context.database.to_string();
        let head = match contained(context.load_head().await)? {
            Ok(head) => head.map(|(head, _)| head),
            // What may not be read may well be whole: that is mended, not given up.
            Err(error) if error.kind() == ErrorKind::Denied => return Err(error),
            Err(error) => {
                out.damage(&database, &error);
                None
            }
        };
        let named = match &head {
            Some(head) => contained(context.load_manifest(head).await)?.map(Some),
            None => Ok(None),
        };
        let manifest = match named {
            Ok(Some(manifest)) => Some(manifest),
            other => {
                if let Err(error) = &other {
                    out.damage(&database, error);
                }
                contained(context.newest_manifest().await)?.unwrap_or_default()
            }
        };
        let numbers = contained(context.block_numbers().await)?.unwrap_or_default();
        if head.is_none() && manifest.is_none() && numbers.is_empty() {
            return Ok(None);
        }
        if let Some(manifest) = &manifest {
            context.topics.adopt(&manifest.topics);
        }
        let covers = manifest.as_ref().map_or(0, |manifest| manifest.covers);
        let blocks = expected_blocks(covers, head.as_ref().map(|head| head.number), &numbers);
        let newest = blocks.last().copied().unwrap_or(covers);
        let index =
            IndexContext { units: Arc::new(Cache::new(0)), ..shard.index_context().clone() };
        Ok(Some(Self {
            witnesses: manifest.iter().flat_map(|known| known.witnesses.clone()).collect(),
            layout: shard.layout().clone(),
            cache: SegmentCache::new(0),
            index,
            context,
            manifest,
            blocks,
            newest,
        }))
    }

    /// Introduces topics that the directory knows, where the database's own list is lost.
    pub(super) fn introduce<'a>(&self, intros: impl IntoIterator<Item = &'a TopicIntro>) {
        intros.into_iter().for_each(|intro| self.context.topics.introduce(intro));
    }

    /// Reads every record: segments by subject and sequence, then blocks.
    pub(super) async fn read(&mut self, out: &mut Out<'_>) -> Result<()> {
        self.read_segments(out).await?;
        self.read_blocks(out).await
    }

    pub(super) async fn read_segments(&self, out: &mut Out<'_>) -> Result<()> {
        let Some(manifest) = &self.manifest else { return self.read_remains(out).await };
        for floor in &manifest.floors {
            out.begin_at(self, floor.subject, floor.first);
        }
        for reference in &manifest.segments {
            self.read_segment(reference, out).await?;
        }
        Ok(())
    }

    /// Without a manifest: every segment that is authentic. Where several have the same records, the
    /// first of them that reaches furthest counts.
    async fn read_remains(&self, out: &mut Out<'_>) -> Result<()> {
        let context = &self.context;
        let pieces = list_pieces(&*context.engine, &context.database, &self.layout.segments);
        let mut found: Vec<SegmentRef> = Vec::new();
        for piece in contained(pieces.await)?.unwrap_or_default() {
            let keys = (&*context.topics, context.lineage);
            match contained(Segment::find_all(&self.reader(), keys, piece).await)? {
                Ok(segments) => found.extend(segments),
                Err(error) => out.damage(context.database.as_str(), &error),
            }
        }
        found.sort_unstable_by_key(|one| {
            (one.subject, one.first, Reverse(one.last), Reverse(one.piece.piece))
        });
        for reference in &found {
            self.read_segment(reference, out).await?;
        }
        Ok(())
    }

    async fn read_segment(&self, reference: &SegmentRef, out: &mut Out<'_>) -> Result<()> {
        let subject = reference.subject;
        let segment = match contained(self.open(reference).await)? {
            Ok(segment) => segment,
            Err(error) => {
                return out.lose(self, subject, (reference.first, reference.last), &error);
            }
        };
        let mut unit = 0;
        while unit < segment.unit_count() {
            for batch in self.units(&segment, unit).await? {
                match batch {
                    Ok(batch) => out.take(self, subject, batch).await?,
                    Err(error) => {
                        let (first, last, _) = segment.unit_span(unit).unwrap_or_default();
                        out.lose(self, subject, (first, last), &error)?;
                    }
                }
                unit += 1;
            }
        }
        Ok(())
    }

    /// Some units from number `unit` on, or that one alone if any of them is damaged.
    async fn units(&self, segment: &Segment, unit: usize) -> Result<Vec<Result<RecordBatch>>> {
        Ok(match contained(segment.units_from(unit).await)? {
            Ok(batches) if !batches.is_empty() => batches.into_iter().map(Ok).collect(),
            _ => vec![contained(segment.unit_uncached(unit).await)?],
        })
    }

    async fn open(&self, reference: &SegmentRef) -> Result<Arc<Segment>> {
        let keys = (&*self.context.topics, self.context.lineage);
        Segment::open(&self.cache, &self.reader(), keys, reference).await
    }

    fn reader(&self) -> PieceReader {
        PieceReader::new(
            Arc::clone(&self.context.engine),
            self.context.database.clone(),
            self.layout.segments.clone(),
        )
    }

    pub(super) async fn read_blocks(&mut self, out: &mut Out<'_>) -> Result<()> {
        let database = self.context.database.to_string();
        let mut previous: Option<Hash> =
            self.manifest.as_ref().map(|manifest| manifest.covers_hash);
        for number in self.blocks.clone() {
            let block = match contained(self.context.load_parts(number).await)? {
                Ok((block, _, damaged)) => {
                    for lost in block.lost.iter().map(|lost| lost.range(number)) {
                        let error = lost.error(&self.context.topics, &self.context.database);
                        out.lose(self, lost.subject, (lost.first, lost.last), &error)?;
                    }
                    damaged.iter().try_for_each(|error| self.lose_section(error, out))?;
                    block
                }
                Err(error) => {
                    out.damage(&database, &error);
                    out.doubt(self);
                    previous = None;
                    continue;
                }
            };
            if previous.is_some_and(|hash| hash != block.previous) {
                let error = crate::codec::corrupt("a block does not follow the one before it");
                out.damage(&database, &error.with("commit", number));
            }
            previous = Some(block.hash);
            self.take_block(&block, out).await?;
        }
        Ok(())
    }

    /// Notes the records of a section that cannot be read, as far as the error names them.
    fn lose_section(&self, error: &Error, out: &mut Out<'_>) -> Result<()> {
        let number = |name| error.get(name).and_then(|value| value.parse::<u64>().ok());
        let place = (number("topic id"), number("from"), number("to"));
        if let (Some(subject), Some(from), Some(to)) = place {
            return out.lose(self, subject, (from, to), error);
        }
        out.damage(self.context.database.as_str(), error);
        Ok(())
    }

    async fn take_block(&mut self, block: &Block, out: &mut Out<'_>) -> Result<()> {
        self.witnesses.extend(block.witnesses.iter().cloned());
        for section in &block.sections {
            match decode_section(section, block) {
                Ok(batch) => out.take(self, section.subject, batch).await?,
                Err(error) => {
                    let range = (section.first, section.last());
                    out.lose(self, section.subject, range, &error)?;
                }
            }
        }
        Ok(())
    }

    /// An index as the manifest names it, or why it cannot be read.
    pub(super) async fn index(&self, family: u64) -> Result<Result<Index>> {
        let open = async {
            let family = self.layout.by_id(family)?;
            let mut runs = Vec::new();
            let named = self.manifest.iter().flat_map(|manifest| &manifest.runs);
            for reference in named.filter(|run| run.family == family.id) {
                runs.push(Arc::new(Run::open(&self.index, family, reference).await?));
            }
            Ok(Index::new(Vec::new(), runs))
        };
        contained(open.await)
    }

    /// The topic of a subject, as this database names it.
    pub(super) fn topic(&self, subject: u64) -> Option<(u8, String)> {
        let topic = self.context.topics.get(subject)?;
        Some((topic.intro.kind, topic.intro.name.clone()))
    }

    /// An error with the database's name.
    pub(super) fn locate(&self, error: Error) -> Error {
        self.context.locate(error)
    }
}

/// The numbers of the blocks that must be behind a manifest. Without a head, those that are there,
/// and those missing between them.
fn expected_blocks(covers: u64, newest: Option<u64>, found: &[u64]) -> Vec<u64> {
    let behind = found.iter().copied().filter(|number| *number > covers);
    let first = behind.clone().min().unwrap_or(covers + 1);
    let first = if covers > 0 { covers + 1 } else { first };
    let last = newest.or_else(|| behind.max()).unwrap_or(covers);
    // One that is missing is told; a false number in an old head must not ask for much.
    let known = last.saturating_sub(first) <= found.len() as u64 + MISSING_BLOCKS_MAX;
    if known { (first..=last).collect() } else { found.to_vec() }
}

/// Missing blocks that are told one by one.
const MISSING_BLOCKS_MAX: u64 = 10_000;
