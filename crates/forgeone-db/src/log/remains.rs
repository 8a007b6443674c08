//! What can still be read of a log whose head, manifest or blocks are damaged. Every value is
//! authenticated in its place; that they belong together is not.

use super::block::Block;
use super::commit_log::LogContext;
use super::manifest::Manifest;
use crate::codec::corrupt;
use forgeone_db_engine::{Error, ErrorKind, Projection, Result, TableName};

impl LogContext {
    /// The newest manifest that opens, whether or not a head names it.
    ///
    /// # Errors
    /// As the engine's.
    pub(crate) async fn newest_manifest(&self) -> Result<Option<Manifest>> {
        for number in self.numbers(&self.tables.checkpoints).await?.into_iter().rev() {
            let stored = match self.get(&self.tables.checkpoints, &number.to_be_bytes()).await {
                Ok(stored) => stored,
                Err(error) if error.kind() == ErrorKind::Corrupt => None,
                Err(error) => return Err(error),
            };
            let place = (self.database.as_str(), number);
            let opened =
                stored.map(|stored| Manifest::open(&self.keys, self.lineage, place, &stored));
            if let Some(Ok(manifest)) = opened {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }

    /// The numbers of all blocks that are there.
    ///
    /// # Errors
    /// As the engine's.
    pub(crate) async fn block_numbers(&self) -> Result<Vec<u64>> {
        self.numbers(&self.tables.commits).await
    }

    /// One block by itself, with its stored size and what is wrong with it besides sections that are
    /// lost; whether it is linked to its neighbours is the caller's to check.
    ///
    /// # Errors
    /// `Corrupt` when the block is missing or its header is not authentic.
    pub(crate) async fn load_parts(&self, number: u64) -> Result<(Block, u64, Vec<Error>)> {
        let load = async {
            let stored = self.get(&self.tables.commits, &number.to_be_bytes()).await?;
            let stored = stored.ok_or_else(|| corrupt("a block is missing"))?;
            let (block, damaged) =
                self.block_context().open_parts(number, &stored, &self.topics)?;
            Ok((block, stored.len() as u64, damaged))
        };
        let locate = |error: Error| self.locate(error).with("commit", number);
        let (block, bytes, damaged) = load.await.map_err(locate)?;
        Ok((block, bytes, damaged.into_iter().map(locate).collect()))
    }

    /// The numbers that are keys of a table, ascending; other keys are passed over.
    async fn numbers(&self, table: &TableName) -> Result<Vec<u64>> {
        let (mut numbers, mut from) = (Vec::new(), 0u64);
        loop {
            let (entries, more) = self.scan(table, from, Projection::Keys, u32::MAX).await?;
            let before = numbers.len();
            let keys = entries.iter().filter_map(|entry| <[u8; 8]>::try_from(&*entry.key).ok());
            numbers.extend(keys.map(u64::from_be_bytes));
            match numbers.last().and_then(|last| last.checked_add(1)) {
                Some(next) if more && numbers.len() > before => from = next,
                _ => return Ok(numbers),
            }
        }
    }
}
