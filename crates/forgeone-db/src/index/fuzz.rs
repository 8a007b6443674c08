//! The decoders of runs, for the fuzzer: each gets what stands behind the seal that guards it.

use super::directory::Directory;

use super::FilterKey;
use super::filter::{Filter, FilterBuilder, FilterSeed};
use super::page::{Page, PageBuilder};
use std::sync::Arc;

/// The directory of a run: `bytes of all units u32 | directory`.
pub(crate) fn directory(data: &[u8]) -> bool {
    let Some((units, bytes)) = data.split_first_chunk() else { return false };
    Directory::read(bytes, u32::from_be_bytes(*units).into()).is_ok()
}

/// A page, walked from its start and looked up in: `length of a key u8 | key | page`.
pub(crate) fn page(data: &[u8]) -> bool {
    let Some((len, rest)) = data.split_first() else { return false };
    let Some((wanted, bytes)) = rest.split_at_checked((*len).into()) else { return false };
    let Ok(page) = Page::new(Arc::new(bytes.to_vec())) else { return false };
    let walked = walk(&page);
    let found = page.get(wanted).is_ok();
    walked.is_some() && found
}

/// The number of entries; `None` if one of them is malformed.
fn walk(page: &Page) -> Option<usize> {
    let (mut at, mut key, mut entries) = (page.block_start(0).ok()?, Vec::new(), 0);
    while at < page.entries_end() {
        let place = page.entry(at, &mut key).ok()?;
        assert!(place.next > at, "an entry takes no bytes, so the page would never end");
        at = place.next;
        entries += 1;
    }
    Some(entries)
}

/// A filter, asked for one key: `hash u64 | filter`.
pub(crate) fn filter(data: &[u8]) -> bool {
    let Some((hash, bytes)) = data.split_first_chunk() else { return false };
    Filter::new(bytes).is_ok_and(|filter| filter.may_contain(u64::from_be_bytes(*hash)))
}

/// A page and a filter of real keys.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut page = PageBuilder::default();
    let mut filter = FilterBuilder::new(FilterKey::Whole, FilterSeed([3; 32]));
    let mut seeds = Vec::new();
    for number in 0..40_u32 {
        let key = format!("key {number:04}");
        let value = (number % 5 > 0).then_some(key.as_bytes());
        if page.push(key.as_bytes(), value).is_err() {
            return seeds;
        }
        drop(filter.push(key.as_bytes()));
    }
    seeds.push(("run_page", [&b"\x08key 0007"[..], &page.take().bytes].concat()));
    let filter = filter.take().map_or_else(Vec::new, |filter| filter.bytes);
    seeds.push(("filter", [&[0; 8], &filter[..]].concat()));
    seeds
}
