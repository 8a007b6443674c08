//! Removing pieces that nothing names any more.

use super::SealState;
use crate::log::Manifest;
use crate::piece::{delete_pieces, list_pieces};
use crate::stream::shard::Shard;
use forgeone_db_engine::{Result, TableName};
use std::collections::HashSet;
use std::sync::Arc;

/// Pieces that no manifest names any more, once nobody reads through `manifest` or an older one.
#[derive(Debug)]
pub(super) struct Garbage {
    pub(super) manifest: Arc<Manifest>,
    pub(super) pieces: Vec<(TableName, u64)>,
}

/// Pieces of a manifest that the one after it does not name.
pub(super) fn dead_pieces(shard: &Shard, old: &Manifest, new: &Manifest) -> Vec<(TableName, u64)> {
    let live = live_pieces(shard, new);
    live_pieces(shard, old).into_iter().filter(|piece| !live.contains(piece)).collect()
}

fn live_pieces(shard: &Shard, manifest: &Manifest) -> HashSet<(TableName, u64)> {
    let layout = shard.layout();
    let segments =
        manifest.segments.iter().map(|segment| (layout.segments.clone(), segment.piece.piece));
    let runs = manifest.runs.iter().filter_map(|run| {
        let family = layout.families().iter().find(|family| family.id == run.family)?;
        Some((family.table.clone(), run.piece.piece))
    });
    segments.chain(runs).collect()
}

/// Removes what no manifest names and nobody reads any more.
pub(super) async fn collect_garbage(shard: &Shard, state: &mut SealState) -> Result<()> {
    let context = shard.context();
    while let Some(garbage) = state.garbage.front() {
        // A reader that holds an older manifest holds back this and everything after it.
        if Arc::strong_count(&garbage.manifest) > 1 {
            return Ok(());
        }
        delete_pieces(&*context.engine, &context.database, &garbage.pieces).await?;
        for (table, piece) in &garbage.pieces {
            shard.forget(table, *piece);
        }
        state.garbage.pop_front();
    }
    Ok(())
}

/// Removes pieces that the manifest does not name: what a crash between two passes left. Says how many
/// there were.
pub(super) async fn collect_orphans(shard: &Shard) -> Result<u64> {
    let context = shard.context();
    let manifest = Arc::clone(&shard.state().manifest);
    let live = live_pieces(shard, &manifest);
    let mut tables: Vec<TableName> = vec![shard.layout().segments.clone()];
    tables.extend(shard.layout().families().iter().map(|family| family.table.clone()));
    tables.sort_unstable();
    tables.dedup();
    let mut orphans = Vec::new();
    for table in tables {
        let pieces = list_pieces(&*context.engine, &context.database, &table).await?;
        orphans.extend(pieces.into_iter().map(|piece| (table.clone(), piece)));
    }
    orphans.retain(|piece| !live.contains(piece));
    delete_pieces(&*context.engine, &context.database, &orphans).await?;
    Ok(orphans.len() as u64)
}
