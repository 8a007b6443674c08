//! What the capability says, measured.

use super::*;
use std::fs;

/// Bytes that a file grows by, for each of 64 values of this size, redb's slack of up to a half
/// included.
fn bytes_per_value(key_bytes: usize, value_bytes: usize) -> u64 {
    let place = store();
    let engine = writer(place.path());
    let mut batch = Batch::new(database("system"));
    for number in 0..64_u8 {
        let mut key = vec![0; key_bytes];
        key[0] = number;
        batch.put(&table("t"), key, vec![number; value_bytes]);
    }
    now(engine.commit(batch, Durability::Sync)).unwrap();
    close(&engine);
    fs::metadata(place.path().join("system.redb")).unwrap().len() / 64
}

#[test]
fn values_of_the_preferred_size_fit_into_64_kib_and_a_byte_more_spills() {
    let preferred = writer(store().path()).capability().value_bytes_preferred as usize;
    assert!(bytes_per_value(32, preferred) < 110_000);
    assert!(bytes_per_value(32, preferred + 1) > 150_000);
    assert!(bytes_per_value(12, 65_512) < 110_000);
    assert!(bytes_per_value(12, 65_513) > 150_000);
}

#[test]
fn the_largest_value_is_stored_and_read() {
    let place = store();
    let engine = writer(place.path());
    let limit = usize::try_from(engine.capability().value_bytes_max).unwrap();
    put(&engine, "system", &[9; 1024], &vec![5; limit]).unwrap();
    assert_eq!(get(&engine, "system", &[9; 1024]).unwrap().unwrap().len(), limit);
}
