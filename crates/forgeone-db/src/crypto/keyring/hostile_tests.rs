//! A keyring is read before anything is trusted, so whoever can write files reaches this code with
//! bytes of their choice: bent, cut, spliced, forged with a checksum that fits. None may open with
//! other content, panic, or cost more than a bounded amount of work.

use super::slot::{SLOT_BYTES, Slot, SlotPlace};
use super::tests::{FixedEnvironment, PASSPHRASE, raw};
use super::{Keyring, choose, wrapped_generation};
use crate::crypto::kdf::KdfParams;
use crate::crypto::{DomainKey, Key, KeyId};
use bytes::Bytes;
use forgeone_db_engine::ErrorKind;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SLOTS_START: usize = 48;
const BODY_START: usize = 48 + 8 * SLOT_BYTES;

fn created() -> (Keyring, FixedEnvironment) {
    let environment = FixedEnvironment::default();
    (Keyring::create(Some(&raw()), &environment).unwrap(), environment)
}

/// The same bytes with a checksum that fits.
fn checksummed(mut bytes: Vec<u8>) -> Bytes {
    let end = bytes.len() - 32;
    let checksum = blake3::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(checksum.as_bytes());
    bytes.into()
}

fn open_kind(bytes: Bytes, key: Option<&Key>) -> ErrorKind {
    Keyring::open(bytes, key).expect_err("bent bytes must not open").kind()
}

/// Flips every bit of `original`; counts the answers.
fn flip_all(original: &Bytes, key: Option<&Key>, fix: bool) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    let checksum_start = original.len() - 32;
    for bit in 0..if fix { checksum_start } else { original.len() } * 8 {
        // The bits of what is sealed are alike: one of each byte, in turn, is enough.
        let (byte, place) = (bit / 8, bit % 8);
        if byte >= SLOTS_START + 2 * SLOT_BYTES && byte % 8 != place {
            continue;
        }
        let mut bent = original.to_vec();
        bent[byte] ^= 1 << place;
        let bent = if fix { checksummed(bent) } else { bent.into() };
        *kinds.entry(format!("{:?}", open_kind(bent, key))).or_default() += 1;
    }
    kinds
}

#[test]
fn every_flipped_bit_is_noticed_with_and_without_a_fitting_checksum() {
    let (keyring, environment) = created();
    let bytes = keyring.to_bytes();
    let kinds = flip_all(&bytes, Some(&raw()), false);
    assert_eq!(kinds.keys().collect::<Vec<_>>(), ["Corrupt"]);

    // Corrupt: the 64 bits of the magic, and the one after whose change the store says that it has
    // no encryption, which its generation belies. UpgradeRequired: the version. All else: WrongKey.
    let kinds = flip_all(&bytes, Some(&raw()), true);
    let few = ["Corrupt", "UpgradeRequired"].map(|kind| kinds[kind]);
    assert_eq!((few, kinds.len()), ([65, 16], 3));
    assert!(kinds["WrongKey"] > 6000, "{kinds:?}");

    let plain = Keyring::create(None, &environment).unwrap().to_bytes();
    let kinds = flip_all(&plain, None, false);
    assert_eq!(kinds.keys().collect::<Vec<_>>(), ["Corrupt"]);
    // WrongKey: the eight bits of the encryption flag, after which the store claims to have some.
    let kinds = flip_all(&plain, None, true);
    let few = ["UpgradeRequired", "WrongKey"].map(|kind| kinds[kind]);
    assert_eq!((few, kinds.len()), ([16, 8], 3));
}

#[test]
fn every_tampering_with_slots_reads_like_a_wrong_key() {
    let (keyring, _) = created();
    let wrong = Keyring::open(keyring.to_bytes(), Some(&Key::raw([0; 32]))).unwrap_err();
    for byte in SLOTS_START..BODY_START {
        let mut bent = keyring.to_bytes().to_vec();
        bent[byte] ^= 0x80;
        let error = Keyring::open(checksummed(bent), Some(&raw())).unwrap_err();
        assert_eq!(format!("{error:?}"), format!("{wrong:?}"), "byte {byte}");
    }
}

#[test]
fn every_truncation_and_extension_is_noticed() {
    let (keyring, _) = created();
    let bytes = keyring.to_bytes();
    for len in 0..bytes.len() {
        assert_eq!(open_kind(bytes.slice(..len), Some(&raw())), ErrorKind::Corrupt);
        if len >= 32 {
            let kind = open_kind(checksummed(bytes[..len].to_vec()), Some(&raw()));
            assert!(matches!(kind, ErrorKind::WrongKey | ErrorKind::Corrupt), "{len}: {kind:?}");
        }
    }
    for extra in [1, 16, 1000, 40_000] {
        let mut longer = bytes.to_vec();
        longer.resize(bytes.len() + extra, 0);
        let kind = open_kind(checksummed(longer.clone()), Some(&raw()));
        assert!(matches!(kind, ErrorKind::WrongKey | ErrorKind::Corrupt), "{extra}: {kind:?}");
        assert_eq!(open_kind(longer.into(), Some(&raw())), ErrorKind::Corrupt);
    }
}

/// Had the work been begun, these would ask for terabytes, and fail as `Unavailable` or never end.
#[test]
fn absurd_derivation_parameters_cost_no_work() {
    let environment = FixedEnvironment::default();
    let key = Key::passphrase(PASSPHRASE);
    let keyring = Keyring::create_opts(Some(&key), KdfParams::FLOOR, &environment).unwrap();
    let wrong = Keyring::open(keyring.to_bytes(), Some(&Key::passphrase("x"))).unwrap_err();
    for (field, value) in [
        (0, u32::MAX),
        (0, 1024 * 1024 + 1),
        (0, 8 * 1024 - 1),
        (0, 0),
        (1, u32::MAX),
        (1, 17),
        (1, 0),
        (2, u32::MAX),
        (2, 17),
        (2, 0),
        // Within the limits, but not what was sealed.
        (0, 8 * 1024 + 1),
        (1, 2),
        (2, 2),
    ] {
        let mut bent = keyring.to_bytes().to_vec();
        let start = SLOTS_START + 4 + 4 * field;
        bent[start..start + 4].copy_from_slice(&value.to_be_bytes());
        let error = Keyring::open(checksummed(bent), Some(&key)).unwrap_err();
        assert_eq!(format!("{error:?}"), format!("{wrong:?}"), "{field} {value}");
    }
}

#[test]
fn parts_of_two_keyrings_of_one_store_do_not_mix() {
    let (old, environment) = created();
    let new = old.ready(&environment).unwrap();
    let rotated = new.rotate(&environment).unwrap();
    let pairs = [(&old, &new), (&new, &rotated), (&rotated, &old)];
    for (head_of, body_of) in pairs.into_iter().flat_map(|(a, b)| [(a, b), (b, a)]) {
        let (head, body) = (head_of.to_bytes(), body_of.to_bytes());
        for cut in [SLOTS_START, SLOTS_START + SLOT_BYTES, BODY_START] {
            let spliced = [&head[..cut], &body[cut..]].concat();
            if spliced != head && spliced != body {
                assert_eq!(open_kind(checksummed(spliced), Some(&raw())), ErrorKind::WrongKey);
            }
        }
    }
}

#[test]
fn slots_do_not_move_and_do_not_come_back() {
    let (one, environment) = created();
    let two = one.add_slot(&Key::raw([1; 32]), "second", &environment).unwrap();
    let removed = two.remove_slot(1, &environment).unwrap();
    let slot =
        |number: usize| SLOTS_START + number * SLOT_BYTES..SLOTS_START + (number + 1) * SLOT_BYTES;

    let mut swapped = two.to_bytes().to_vec();
    swapped[slot(0)].copy_from_slice(&two.to_bytes()[slot(1)]);
    swapped[slot(1)].copy_from_slice(&two.to_bytes()[slot(0)]);
    let mut returned = removed.to_bytes().to_vec();
    returned[slot(1)].copy_from_slice(&two.to_bytes()[slot(1)]);
    for (bent, key) in
        [(&swapped, raw()), (&swapped, Key::raw([1; 32])), (&returned, Key::raw([1; 32]))]
    {
        assert_eq!(open_kind(checksummed(bent.clone()), Some(&key)), ErrorKind::WrongKey);
    }
}

/// An attacker has the files, so also the public key and salt of the owner's slot, and makes a
/// keyring of their own behind it: all is consistent, but the sealer can only be guessed.
#[test]
fn a_wrapping_key_sealed_by_a_stranger_does_not_open() {
    let (owner, environment) = created();
    let mut forged = Keyring::create(Some(&Key::raw([0x66; 32])), &environment).unwrap();
    forged.lineage = owner.lineage;
    let owner_slot = owner.slots[0].clone().unwrap();
    let stranger_slot = forged.slots[0].clone().unwrap();
    forged.slots[0] =
        Some(Slot { record: owner_slot.record.clone(), facts: stranger_slot.facts.clone() });
    forged.reseal_slots(&environment).unwrap();
    let forged_bytes = forged.clone().seal(&environment).unwrap().to_bytes();
    assert_eq!(open_kind(forged_bytes, Some(&raw())), ErrorKind::WrongKey);

    // The same with the sealer does open: it is the sealer that the line above rests on.
    forged.slots[0] = Some(owner_slot);
    forged.reseal_slots(&environment).unwrap();
    let known = forged.seal(&environment).unwrap().to_bytes();
    Keyring::open(known, Some(&raw())).unwrap();
}

#[test]
fn a_sealed_slot_is_bound_to_its_place() {
    let (keyring, _) = created();
    let record = &keyring.slots[0].as_ref().unwrap().record;
    let place = SlotPlace { lineage: keyring.lineage, number: 0, generation: 1 };
    let mut other_epoch = place;
    other_epoch.lineage.epoch = 2;
    let mut other_store = place;
    other_store.lineage.store_id[15] ^= 1;
    assert!(record.unlock(&raw(), place).unwrap().is_some());
    for wrong in [
        SlotPlace { number: 1, ..place },
        SlotPlace { generation: 2, ..place },
        other_epoch,
        other_store,
    ] {
        assert!(record.unlock(&raw(), wrong).unwrap().is_none());
    }
}

#[test]
fn every_bent_or_cut_wrapped_key_is_corrupt() {
    let (keyring, environment) = created();
    let topic = DomainKey::random(KeyId(1024), &environment).unwrap();
    let wrapped = keyring.wrap(&topic, &environment).unwrap();
    for bit in 0..wrapped.len() * 8 {
        let mut bent = wrapped.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        let kind = keyring.unwrap(&bent).unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::UpgradeRequired), "bit {bit}");
    }
    for len in 0..wrapped.len() {
        assert_eq!(keyring.unwrap(&wrapped[..len]).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    assert!(keyring.unwrap(&[&wrapped[..], &[0]].concat()).is_err());
}

proptest! {
    #[test]
    fn random_bytes_never_open(mut bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
        prop_assert_eq!(open_kind(bytes.clone().into(), Some(&raw())), ErrorKind::Corrupt);
        let (keyring, _) = created();
        prop_assert!(keyring.unwrap(&bytes).is_err());
        let _ = wrapped_generation(&bytes).is_ok();
        // The same behind the beginning and before the end of a keyring.
        bytes.splice(..0, *b"F1DBKEYR\0\x01");
        bytes.resize(bytes.len() + 32, 0);
        let bytes = checksummed(bytes);
        for key in [None, Some(&raw())] {
            let _ = open_kind(bytes.clone(), key);
        }
    }

    #[test]
    fn random_damage_behind_a_fitting_checksum_never_opens(
        start in 0usize..3072,
        patch in proptest::collection::vec(any::<u8>(), 1..300),
    ) {
        let (keyring, _) = created();
        let original = keyring.to_bytes();
        let mut bent = original.to_vec();
        let end = (start + patch.len()).min(bent.len() - 32);
        bent[start..end].copy_from_slice(&patch[..end - start]);
        prop_assume!(bent != original);
        let bent = checksummed(bent);
        // A reader who also has the older copy is told of the bent one, or does not count it.
        let chosen = choose(&[Some(original.clone()), Some(bent.clone())]);
        if let Ok(opened) = chosen.and_then(|chosen| chosen.open(Some(&raw()))) {
            prop_assert_eq!(opened.to_bytes(), original);
        }
        let _ = open_kind(bent, Some(&raw()));
    }
}
