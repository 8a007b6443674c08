//! Arguments of the commands on a whole store.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Files that share the events, and as many the logs, 1 to 1024; more of them take more writers at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) shards: u32,
    /// Bytes the store may occupy, in units of 2^30 [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub(crate) max_size_gb: Option<u64>,
    /// Do not encrypt; every piece still carries a checksum that is verified on read
    #[arg(long, conflicts_with = "generate_key")]
    pub(crate) no_encryption: bool,
    /// Make a random key in a new FILE (mode 0600) and use it
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    pub(crate) generate_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TourArgs {
    /// Files, or directories whose regular files are taken
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Only what opening reads: keys, heads, manifests, the newest commits; no older record is read
    #[arg(long, conflicts_with = "deep")]
    pub(crate) quick: bool,
    /// Also look up every id, as a reader would
    #[arg(long)]
    pub(crate) deep: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    /// Do it, instead of showing what would be done
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SalvageArgs {
    /// The directory of the new store
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,
    /// Where to write what was saved and lost [default: OUT.salvage.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct QuotaArgs {
    /// Bytes the store may occupy, in units of 2^30; 0 for no limit
    #[arg(value_name = "N", value_parser = clap::value_parser!(u64).range(0..=1 << 30))]
    pub(crate) max_size_gb: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Where to write the pages of all commands
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}
