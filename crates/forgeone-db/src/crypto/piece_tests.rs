//! Sealed units must open only in their own place, under their own key, unchanged.

use super::{Binding, DomainKey, KeyId, Lineage, PieceKey, PieceType};
use crate::codec::{Compression, Cursor};
use crate::environment::{Environment, SystemEnvironment, Task, Timestamp};
use forgeone_db_engine::{ErrorKind, Result};
use std::time::Duration;

const PLACE: Binding = Binding {
    lineage: Lineage { store_id: [7; 16], epoch: 1 },
    subject: 1024,
    first: 10,
    last: 19,
    compression: Compression::Zstd,
};

fn sealed(domain: &DomainKey) -> (Vec<u8>, Vec<u8>, super::Tag) {
    let key = PieceKey::create(domain, PieceType::Segment, &SystemEnvironment::new()).unwrap();
    let mut unit = b"ten records".to_vec();
    let tag = key.seal(3, &PLACE, &mut unit).unwrap();
    (key.prefix().to_vec(), unit, tag)
}

fn open(
    domain: &DomainKey,
    place: &Binding,
    (prefix, unit, tag): &(Vec<u8>, Vec<u8>, super::Tag),
) -> Result<Vec<u8>> {
    PieceKey::read(domain, PieceType::Segment, &mut Cursor::new(prefix))?.open(3, place, unit, tag)
}

fn domains() -> [DomainKey; 2] {
    [DomainKey::none(), DomainKey::new(KeyId(5), [9; 32])]
}

#[test]
fn a_unit_comes_back() {
    for domain in domains() {
        assert_eq!(open(&domain, &PLACE, &sealed(&domain)).unwrap(), b"ten records");
    }
}

#[test]
fn a_unit_does_not_open_in_another_place() {
    let places = [
        Binding { subject: 1025, ..PLACE },
        Binding { first: 9, ..PLACE },
        Binding { last: 20, ..PLACE },
        Binding { compression: Compression::None, ..PLACE },
        Binding { lineage: Lineage { epoch: 2, ..PLACE.lineage }, ..PLACE },
        Binding { lineage: Lineage { store_id: [8; 16], ..PLACE.lineage }, ..PLACE },
    ];
    for domain in domains() {
        for place in &places {
            let error = open(&domain, place, &sealed(&domain)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    for domain in domains() {
        let original = sealed(&domain);
        let lens = [original.0.len(), original.1.len(), original.2.len()];
        for bit in 0..lens.iter().sum::<usize>() * 8 {
            let mut bent = original.clone();
            let byte = bit / 8;
            if byte < lens[0] {
                bent.0[byte] ^= 1 << (bit % 8);
            } else if byte < lens[0] + lens[1] {
                bent.1[byte - lens[0]] ^= 1 << (bit % 8);
            } else {
                bent.2[byte - lens[0] - lens[1]] ^= 1 << (bit % 8);
            }
            let kind = open(&domain, &PLACE, &bent).unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::UpgradeRequired), "bit {bit}");
        }
    }
}

#[test]
fn a_checksum_is_not_taken_for_a_seal() {
    let plain = sealed(&DomainKey::none());
    let error = open(&DomainKey::new(KeyId::NONE, [9; 32]), &PLACE, &plain).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn two_pieces_never_share_a_key() {
    let domain = DomainKey::new(KeyId(5), [9; 32]);
    assert_ne!(sealed(&domain).1, sealed(&domain).1);
}

/// K: one key and one nonce never seal two units.
#[test]
fn units_of_one_piece_are_sealed_apart_and_open_under_their_own_number_alone() {
    for domain in domains() {
        let key = PieceKey::create(&domain, PieceType::Segment, &SystemEnvironment::new()).unwrap();
        let seal = |counter| {
            let mut unit = b"the same".to_vec();
            let tag = key.seal(counter, &PLACE, &mut unit).unwrap();
            (unit, tag)
        };
        let sealed: Vec<_> = (0..4).map(seal).collect();
        for (own, (unit, tag)) in (0..).zip(&sealed) {
            for counter in 0..4 {
                assert_eq!(key.open(counter, &PLACE, unit, tag).is_ok(), counter == own);
            }
            assert_eq!(sealed.iter().filter(|other| other.1 == *tag).count(), 1);
        }
    }
}

/// A generator that gives the same after each rewinding, as in machines resumed from one snapshot.
#[derive(Debug)]
struct Cloned;

impl Environment for Cloned {
    fn now(&self) -> Timestamp {
        Timestamp { seconds: 1, nanos: 0 }
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<()> {
        bytes.fill(0x5a);
        Ok(())
    }

    fn spawn(&self, name: &str, task: Box<dyn FnOnce() + Send>) -> Result<Task> {
        SystemEnvironment::new().spawn(name, task)
    }
}

/// contract K6: a generator that repeats costs no secret. Under one key stream, what two sealed texts
/// differ by would be what the texts differ by.
#[test]
fn a_generator_that_repeats_gives_no_two_texts_one_key_stream() {
    let domain = DomainKey::new(KeyId(5), [9; 32]);
    let seal = |text: &[u8]| {
        let key = PieceKey::create(&domain, PieceType::Segment, &Cloned).unwrap();
        let mut unit = text.to_vec();
        let tag = key.seal(3, &PLACE, &mut unit).unwrap();
        (key.prefix().to_vec(), unit, tag)
    };
    let texts = [[b'a'; 4096], [b'b'; 4096]];
    let [one, other] = texts.map(|text| seal(&text));
    assert_eq!(one.0, other.0, "the generator did not repeat");
    let same = one.1.iter().zip(&other.1).filter(|(a, b)| *a ^ *b == b'a' ^ b'b').count();
    assert!(same < 64, "{same} of 4096 bytes are under one key stream");
    assert_ne!(one.2, other.2);
    // All that is given away: that this was sealed before, here.
    assert_eq!(one, seal(&texts[0]));
}

#[test]
fn no_secret_is_printed() {
    let printed = format!("{:?}", DomainKey::new(KeyId(5), [0xab; 32]));
    assert!(!printed.contains("171") && !printed.contains("ab"));
}
