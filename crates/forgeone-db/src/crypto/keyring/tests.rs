//! A keyring that cannot be opened loses the store, and one that opens for anybody else gives it
//! away: every slot opens it, no other key does, and changes leave both true. The stored bytes are
//! pinned by files made with fixed randomness.

use super::slot::{SLOT_BYTES, SLOT_COUNT};
use super::{Keyring, Phase, SlotKind, choose, wrapped_generation};
use crate::crypto::kdf::KdfParams;
use crate::crypto::{CursorKey, DomainKey, Key, KeyFile, KeyId, Lineage};
use crate::environment::{Environment, Task, Timestamp};
use bytes::Bytes;
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(super) const RAW: [u8; 32] = [0xa5; 32];
pub(super) const PASSPHRASE: &str = "correct horse battery staple";
const NOW: Timestamp = Timestamp { seconds: 1_767_323_045, nanos: 6 };

/// Randomness that is the same in every run: BLAKE3 of a counter.
#[derive(Debug, Default)]
pub(super) struct FixedEnvironment(AtomicU64);

impl Environment for FixedEnvironment {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<()> {
        let call = self.0.fetch_add(1, Ordering::Relaxed);
        blake3::Hasher::new().update(&call.to_be_bytes()).finalize_xof().fill(bytes);
        Ok(())
    }

    fn spawn(&self, _: &str, _: Box<dyn FnOnce() + Send>) -> Result<Task> {
        Err(Error::new(ErrorKind::Unavailable, "no threads"))
    }
}

pub(super) fn raw() -> Key {
    Key::raw(RAW)
}

fn other_raw() -> Key {
    Key::raw([0x5a; 32])
}

fn reopen(keyring: &Keyring, key: &Key) -> Result<Keyring> {
    Keyring::open(keyring.to_bytes(), Some(key))
}

/// Everything about a keyring that opening must bring back.
fn state(keyring: &Keyring) -> String {
    let keys: Vec<_> = keyring.system_keys().map(|key| (key.id(), key.secret().copied())).collect();
    let previous = keyring.previous.as_ref().map(|key| (key.id(), key.secret().copied()));
    format!(
        "{:?}",
        (
            (keyring.number(), keyring.phase(), keyring.lineage(), keyring.former_lineages()),
            (keyring.generation(), keyring.wrapping.secret(), previous, keys),
            (keyring.slots(), keyring.is_encrypted(), keyring.to_bytes()),
        )
    )
}

#[test]
fn a_raw_key_opens_what_it_created() {
    let environment = FixedEnvironment::default();
    let keyring = Keyring::create(Some(&raw()), &environment).unwrap();
    assert_eq!((keyring.number(), keyring.phase()), (1, Phase::Creating));
    assert_eq!(keyring.system_key().id(), KeyId::SYSTEM);
    let opened = reopen(&keyring, &raw()).unwrap();
    assert_eq!(state(&opened), state(&keyring));
    assert_eq!(opened.opened_by(), Some(0));
    let ready = opened.ready(&environment).unwrap();
    assert_eq!((ready.number(), ready.phase()), (2, Phase::Ready));
    assert_eq!(state(&reopen(&ready, &raw()).unwrap()), state(&ready));
}

#[test]
fn a_passphrase_opens_what_it_created_with_its_stored_parameters() {
    let environment = FixedEnvironment::default();
    let params = KdfParams { passes: 2, lanes: 2, ..KdfParams::FLOOR };
    let key = Key::passphrase(PASSPHRASE);
    let keyring = Keyring::create_opts(Some(&key), params, &environment).unwrap();
    let opened = reopen(&keyring, &key).unwrap();
    assert_eq!(opened.slots()[0].kind, SlotKind::Passphrase(params));
    assert_eq!(state(&opened), state(&keyring));
}

#[test]
fn a_store_without_encryption_opens_without_a_key_only() {
    let environment = FixedEnvironment::default();
    let keyring = Keyring::create(None, &environment).unwrap();
    assert!(keyring.slots().is_empty() && keyring.system_key().secret().is_none());
    let opened = Keyring::open(keyring.to_bytes(), None).unwrap();
    assert_eq!(state(&opened), state(&keyring));
    for refused in [
        Keyring::open(keyring.to_bytes(), Some(&raw())),
        opened.add_slot(&raw(), "mine", &environment),
        opened.rotate(&environment),
        opened.rotate_system(KeyId(7), &environment),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[test]
fn every_wrong_key_gives_the_same_error_and_no_key_says_so() {
    let environment = FixedEnvironment::default();
    let keyring = Keyring::create(Some(&raw()), &environment).unwrap();
    let both = keyring
        .add_slot_opts((&Key::passphrase(PASSPHRASE), KdfParams::FLOOR), "two", &environment)
        .unwrap();
    let mut texts = Vec::new();
    for key in [other_raw(), Key::passphrase("wrong"), Key::passphrase("")] {
        let error = reopen(&both, &key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongKey);
        texts.push(format!("{error:?}"));
    }
    texts.dedup();
    assert_eq!(texts.len(), 1);
    let error = Keyring::open(both.to_bytes(), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongKey);
    assert!(error.to_string().contains("a key is needed"), "{error}");
}

#[test]
fn every_slot_opens_until_it_is_removed_and_the_last_one_stays() {
    let environment = FixedEnvironment::default();
    let mut keyring = Keyring::create(Some(&Key::raw([0; 32])), &environment).unwrap();
    for number in 1..SLOT_COUNT {
        keyring = keyring.add_slot(&Key::raw([number; 32]), "another", &environment).unwrap();
        assert_eq!(keyring.number(), u64::from(number) + 1);
    }
    let full = keyring.add_slot(&Key::raw([9; 32]), "ninth", &environment).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Conflict);
    for number in 0..SLOT_COUNT {
        let opened = reopen(&keyring, &Key::raw([number; 32])).unwrap();
        assert_eq!(opened.opened_by(), Some(number));
        assert_eq!(state(&opened), state(&keyring));
    }
    for number in 0..SLOT_COUNT - 1 {
        keyring = keyring.remove_slot(number, &environment).unwrap();
        let kind = reopen(&keyring, &Key::raw([number; 32])).unwrap_err().kind();
        assert_eq!(kind, ErrorKind::WrongKey);
        let gone = keyring.remove_slot(number, &environment).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
    }
    let last = keyring.remove_slot(SLOT_COUNT - 1, &environment).unwrap_err();
    assert_eq!(last.kind(), ErrorKind::Conflict);
    assert_eq!(keyring.remove_slot(200, &environment).unwrap_err().kind(), ErrorKind::NotFound);
    let opened = reopen(&keyring, &Key::raw([SLOT_COUNT - 1; 32])).unwrap();
    let refilled = opened.add_slot(&raw(), "", &environment).unwrap();
    assert_eq!(refilled.slots().iter().map(|slot| slot.number).collect::<Vec<_>>(), [0, 7]);
}

#[test]
fn bad_labels_and_secrets_are_invalid() {
    let environment = FixedEnvironment::default();
    let keyring = Keyring::create(Some(&raw()), &environment).unwrap();
    let absurd = KdfParams { memory_kib: u32::MAX, ..KdfParams::FLOOR };
    let long = "x".repeat(1025);
    for refused in [
        keyring.add_slot(&raw(), &"x".repeat(65), &environment),
        keyring.add_slot(&raw(), "two\nlines", &environment),
        keyring.add_slot(&Key::passphrase(""), "empty", &environment),
        keyring.add_slot(&Key::passphrase(long.as_str()), "long", &environment),
        keyring.add_slot_opts((&Key::passphrase("x"), absurd), "absurd", &environment),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
    let label = "\u{e9}".repeat(32);
    let named = keyring.add_slot(&other_raw(), &label, &environment).unwrap();
    let opened = reopen(&named, &raw()).unwrap();
    assert_eq!(opened.slots()[1].label, label);
    assert_eq!(opened.slots()[1].created_at, NOW);
}

#[test]
fn rotation_needs_one_secret_and_keeps_all_slots() {
    let environment = FixedEnvironment::default();
    let created = Keyring::create(Some(&raw()), &environment).unwrap();
    let created = created.add_slot(&other_raw(), "other", &environment).unwrap();
    let topic = DomainKey::random(KeyId(1024), &environment).unwrap();
    let wrapped_before = created.wrap(&topic, &environment).unwrap();

    let rotated = reopen(&created, &raw()).unwrap().rotate(&environment).unwrap();
    assert_eq!((rotated.generation(), rotated.previous_generation()), (2, Some(1)));
    assert_eq!(rotated.rotate(&environment).unwrap_err().kind(), ErrorKind::Conflict);
    for key in [raw(), other_raw()] {
        let opened = reopen(&rotated, &key).unwrap();
        assert_eq!(state(&opened), state(&rotated));
        assert_eq!(opened.unwrap(&wrapped_before).unwrap().secret(), topic.secret());
    }
    let wrapped_after = rotated.wrap(&topic, &environment).unwrap();
    assert_eq!(wrapped_generation(&wrapped_before).unwrap(), Some(1));
    assert_eq!(wrapped_generation(&wrapped_after).unwrap(), Some(2));

    let done = rotated.forget_previous(&environment).unwrap();
    let opened = reopen(&done, &other_raw()).unwrap();
    assert_eq!(state(&opened), state(&done));
    assert_eq!(opened.unwrap(&wrapped_after).unwrap().secret(), topic.secret());
    assert_eq!(opened.unwrap(&wrapped_before).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn former_system_keys_and_lineages_are_kept() {
    let environment = FixedEnvironment::default();
    let created = Keyring::create(Some(&raw()), &environment).unwrap();
    let topic = DomainKey::random(KeyId(1024), &environment).unwrap();
    let wrapped = created.wrap(&topic, &environment).unwrap();
    let rotated = created.rotate_system(KeyId(7), &environment).unwrap();
    let taken = rotated.rotate_system(KeyId::SYSTEM, &environment).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Conflict);

    let (old, new) = (created.lineage(), Lineage { epoch: 2, ..created.lineage() });
    let restored = rotated.descend(new, 500, &environment).unwrap();
    let opened = reopen(&restored, &raw()).unwrap();
    assert_eq!(state(&opened), state(&restored));
    assert_eq!(opened.system_key().id(), KeyId(7));
    let ids: Vec<_> = opened.system_keys().map(DomainKey::id).collect();
    assert_eq!(ids, [KeyId(7), KeyId::SYSTEM]);
    assert_eq!(opened.lineage(), new);
    assert!(opened.accepts(new, u64::MAX) && opened.accepts(old, 500));
    assert!(!opened.accepts(old, 501) && !opened.accepts(Lineage { epoch: 3, ..old }, 1));
    assert_eq!(opened.unwrap(&wrapped).unwrap().secret(), topic.secret());
    for used in [old, new] {
        let refused = opened.descend(used, 600, &environment).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
    }
}

#[test]
fn wrapped_keys_fit_only_their_own_kind_of_store() {
    let environment = FixedEnvironment::default();
    let sealed = Keyring::create(Some(&raw()), &environment).unwrap();
    let plain = Keyring::create(None, &environment).unwrap();
    let marker = plain.wrap(&DomainKey::none(), &environment).unwrap();
    assert_eq!(marker, [0]);
    assert_eq!(wrapped_generation(&marker).unwrap(), None);
    assert!(plain.unwrap(&marker).unwrap().secret().is_none());
    assert!(sealed.wrap(&DomainKey::none(), &environment).is_err());
    assert!(plain.wrap(sealed.system_key(), &environment).is_err());
    let wrapped = sealed.wrap(sealed.system_key(), &environment).unwrap();
    let other = Keyring::create(Some(&raw()), &environment).unwrap();
    for refused in [
        sealed.unwrap(&marker),
        plain.unwrap(&wrapped),
        plain.unwrap(&[0, 0]),
        other.unwrap(&wrapped),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn the_highest_valid_number_counts() {
    let environment = FixedEnvironment::default();
    let first = Keyring::create(Some(&raw()), &environment).unwrap();
    let second = first.ready(&environment).unwrap();
    let [one, two] = [&first, &second].map(Keyring::to_bytes);
    let broken = one.slice(1..);
    let number = |copies: &[Option<Bytes>]| choose(copies).map(|chosen| chosen.number());
    assert_eq!(number(&[Some(one.clone()), Some(two.clone())]).unwrap(), 2);
    assert_eq!(number(&[Some(two.clone()), Some(one.clone())]).unwrap(), 2);
    assert_eq!(number(&[Some(two.clone()), Some(two.clone())]).unwrap(), 2);
    assert_eq!(number(&[None, Some(one.clone())]).unwrap(), 1);
    assert_eq!(number(&[Some(broken.clone()), Some(one)]).unwrap(), 1);
    assert_eq!(number(&[Some(broken), None]).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(number(&[Some(Bytes::new()), None]).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(number(&[None, None]).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(number(&[]).unwrap_err().kind(), ErrorKind::NotFound);
    let fork = first.add_slot(&other_raw(), "fork", &environment).unwrap().to_bytes();
    assert_eq!(number(&[Some(two.clone()), Some(fork)]).unwrap_err().kind(), ErrorKind::WrongKey);
    let chosen = choose(&[Some(two)]).unwrap();
    assert!(chosen.is_encrypted() && chosen.phase() == Phase::Ready);
}

#[test]
fn no_secret_is_printed_by_any_type_or_error() {
    let environment = FixedEnvironment::default();
    let keyring = Keyring::create(Some(&raw()), &environment).unwrap();
    let phrase = Key::passphrase(PASSPHRASE);
    let keyring =
        keyring.add_slot_opts((&phrase, KdfParams::FLOOR), "second", &environment).unwrap();
    let keyring = keyring.rotate(&environment).unwrap();
    let slot = keyring.slots[0].as_ref().unwrap();
    let token_key = CursorKey::derive(keyring.system_key(), &[1; 16]).unwrap();
    let printed = [
        format!("{:?} {:?} {keyring:?} {token_key:?}", raw(), phrase),
        format!("{:?} {:?}", KeyFile::new(&raw()).unwrap(), KeyFile::new(&phrase).unwrap()),
        format!("{:?} {:?}", keyring.system_key(), keyring.wrapping),
        format!("{:?} {:?}", choose(&[Some(keyring.to_bytes())]).unwrap(), keyring.slots()),
        format!("{:?} {:?}", slot.record, reopen(&keyring, &other_raw()).unwrap_err()),
        format!("{:?}", Keyring::open(keyring.to_bytes(), None).unwrap_err()),
        format!("{:?}", Key::from_file_text(PASSPHRASE).unwrap_err()),
    ]
    .join("\n")
    .to_lowercase();
    let secrets = [&RAW]
        .into_iter()
        .chain(keyring.system_key().secret())
        .chain(keyring.wrapping.secret())
        .chain(keyring.previous.as_ref().and_then(DomainKey::secret));
    for secret in secrets {
        let hex = blake3::Hash::from_bytes(*secret).to_hex();
        let decimal = format!("{:?}", &secret[..4]);
        let text = format!("{:?}", Bytes::copy_from_slice(&secret[..4])).to_lowercase();
        let [decimal, text] = [decimal, text].map(|list| list[1..list.len() - 1].to_owned());
        for shape in [&hex[..8], &decimal, text.trim_matches('"')] {
            assert!(!printed.contains(shape), "{shape}");
        }
    }
    assert!(!printed.contains("horse"));
}

fn golden() -> [(&'static str, Vec<u8>, &'static [u8]); 5] {
    let environment = FixedEnvironment::default();
    let sealed = Keyring::create(Some(&raw()), &environment).unwrap();
    let wrapped = sealed.wrap(&DomainKey::new(KeyId(1024), [7; 32]), &environment).unwrap();
    let phrase = Key::passphrase(PASSPHRASE);
    let many = Keyring::create_opts(Some(&phrase), KdfParams::FLOOR, &environment).unwrap();
    let many = many.add_slot(&raw(), "a service", &environment).unwrap();
    let many = many.rotate(&environment).unwrap();
    let many = many.rotate_system(KeyId(7), &environment).unwrap();
    let lineage = Lineage { epoch: 2, ..many.lineage() };
    let many = many.descend(lineage, 500, &environment).unwrap().ready(&environment).unwrap();
    let plain = Keyring::create(None, &environment).unwrap();
    let store_id = sealed.lineage().store_id;
    let token = CursorKey::derive(sealed.system_key(), &store_id).unwrap().seal(b"17").unwrap();
    [
        ("raw", sealed.to_bytes().to_vec(), include_bytes!("golden/v1_raw.bin")),
        ("many", many.to_bytes().to_vec(), include_bytes!("golden/v1_many.bin")),
        ("plain", plain.to_bytes().to_vec(), include_bytes!("golden/v1_plain.bin")),
        ("wrapped", wrapped, include_bytes!("golden/v1_wrapped.bin")),
        ("token", token.into_bytes(), include_bytes!("golden/v1_token.txt")),
    ]
}

/// The format must not change by accident: a difference here needs a new format version.
#[test]
fn the_layout_is_the_one_that_is_pinned() {
    for (name, made, pinned) in golden() {
        assert_eq!(made, pinned, "{name}");
    }
}

#[test]
fn files_of_version_1_open_for_ever() {
    let many = Bytes::from_static(include_bytes!("golden/v1_many.bin"));
    for key in [raw(), Key::passphrase(PASSPHRASE)] {
        let opened = Keyring::open(many.clone(), Some(&key)).unwrap();
        assert_eq!((opened.number(), opened.phase()), (6, Phase::Ready));
        assert_eq!((opened.generation(), opened.previous_generation()), (2, Some(1)));
        assert_eq!(opened.former_lineages()[0].stamp_last, 500);
        let labels: Vec<_> = opened.slots().into_iter().map(|slot| slot.label).collect();
        assert_eq!(labels, ["first", "a service"]);
    }
    let plain = Bytes::from_static(include_bytes!("golden/v1_plain.bin"));
    Keyring::open(plain, None).unwrap();
    let sealed = Bytes::from_static(include_bytes!("golden/v1_raw.bin"));
    let sealed = Keyring::open(sealed, Some(&raw())).unwrap();
    let topic = sealed.unwrap(include_bytes!("golden/v1_wrapped.bin")).unwrap();
    assert_eq!((topic.id(), topic.secret()), (KeyId(1024), Some(&[7; 32])));
    let token_key = CursorKey::derive(sealed.system_key(), &sealed.lineage().store_id).unwrap();
    assert_eq!(token_key.open(include_str!("golden/v1_token.txt")).unwrap(), b"17");
}

/// The offsets that `docs/format.md` draws.
#[test]
fn the_fields_are_where_the_format_says() {
    let [(_, raw_file, _), (_, many, _), (_, plain, _), (_, wrapped, _), _] = golden();
    assert_eq!([raw_file.len(), many.len(), plain.len(), wrapped.len()], [3104, 3172, 184, 164]);
    assert_eq!(&raw_file[..16], b"F1DBKEYR\0\x01\x01\x01\0\0\0\x01");
    assert_eq!(&many[..16], b"F1DBKEYR\0\x01\x01\x02\0\0\0\x02");
    assert_eq!(&plain[..16], b"F1DBKEYR\0\x01\0\x01\0\0\0\0");
    assert_eq!(many[16..24], 6u64.to_be_bytes());
    assert_eq!(many[40..44], 2u32.to_be_bytes());
    for (file, body) in [(&raw_file, 1008u32), (&many, 1076), (&plain, 72)] {
        assert_eq!(file[44..48], body.to_be_bytes());
        let (content, checksum) = file.split_at(file.len() - 32);
        assert_eq!(blake3::hash(content).as_bytes(), checksum);
    }
    let slots: Vec<_> = many[48..].chunks(SLOT_BYTES).take(8).collect();
    assert_eq!(slots[0][..16], [1, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
    assert_eq!(slots[1][..16], [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(slots[1][112..128], [1, 1, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    assert!(slots[2..].concat().iter().all(|byte| *byte == 0));
    assert_eq!(many[1968..1984], [1, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!(plain[48..64], [1, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(wrapped[..8], [1, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(wrapped[8..24], raw_file[24..40]);
    assert_eq!(wrapped[28..36], 1024u64.to_be_bytes());
    assert_eq!(wrapped[36..40], [1, 1, 0, 9]);
}
