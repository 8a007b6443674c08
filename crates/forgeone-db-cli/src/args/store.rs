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
pub(crate) struct ScrubArgs {
    /// Bytes to read in a second at most, such as 500KB, 20MB or 1GB; 0 for no limit
    #[arg(long, value_name = "SIZE", default_value = "20MB", value_parser = bytes)]
    pub(crate) rate: u64,
    /// End after one round
    #[arg(long)]
    pub(crate) once: bool,
    /// How long to pause between two rounds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub(crate) pause: u64,
}

/// Reads a number of bytes: plain, or with KB, MB or GB behind it.
fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let factor = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" => 1_000,
        "M" | "MB" => 1_000_000,
        "G" | "GB" => 1_000_000_000,
        _ => return Err("a size is a number with KB, MB, GB or nothing behind it".to_owned()),
    };
    let number: u64 = digits
        .trim_end()
        .parse()
        .map_err(|_| "a size is a whole number, such as 20MB".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "that is too much".to_owned())
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
