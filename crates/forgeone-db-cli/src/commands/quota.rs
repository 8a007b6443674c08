//! `quota`: what the store may occupy.

use crate::args::QuotaArgs;
use crate::exit::Failure;
use crate::output::{Bytes, say};
use crate::store::{Place, WAIT_SHORT};
use forgeone_db::StoreStats;
use serde::Serialize;

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "they are the names in the JSON")]
struct Quota {
    max_size_bytes: u64,
    allocated_bytes: u64,
    available_bytes: Option<u64>,
}

pub(super) fn run(place: &Place, args: &QuotaArgs) -> Result<(), Failure> {
    let stats = match args.max_size_gb {
        None => place.read()?.stats()?,
        Some(gb) => change(place, gb << 30)?,
    };
    let quota = Quota {
        max_size_bytes: stats.max_size_bytes,
        allocated_bytes: stats.allocated_bytes,
        available_bytes: stats.available_bytes,
    };
    let mut output = place.output();
    output.either(&quota, line(&quota))?;
    output.flush()?;
    if quota.max_size_bytes > 0 && quota.allocated_bytes >= quota.max_size_bytes {
        say("warning: the store has reached its limit: writes fail until it is raised");
    }
    Ok(())
}

fn change(place: &Place, max_size_bytes: u64) -> Result<StoreStats, Failure> {
    let manager = place.write(WAIT_SHORT)?;
    manager.set_max_size_bytes(max_size_bytes)?;
    let stats = manager.stats()?;
    manager.close()?;
    Ok(stats)
}

fn line(quota: &Quota) -> String {
    let limit = match quota.max_size_bytes {
        0 => "no limit".to_owned(),
        bytes => format!("limit {}", Bytes(bytes)),
    };
    let free = quota
        .available_bytes
        .map_or_else(String::new, |bytes| format!(", {} free on the disk", Bytes(bytes)));
    format!("{limit}, {} occupied{free}", Bytes(quota.allocated_bytes))
}
