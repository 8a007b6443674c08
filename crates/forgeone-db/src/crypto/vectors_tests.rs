//! Published test vectors (Wycheproof) through the modules that seal, derive and exchange here: a
//! slip in how a library is called would otherwise be consistent with itself and go unseen. The
//! number of vectors is asserted, so that none is left out in silence.

use super::aead::AeadKey;
use super::exchange::shared_secret;
use super::kdf::expand;
use super::piece::Tag;
use wycheproof::TestResult;

#[test]
fn aes_256_gcm_siv() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcmSiv).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    let groups = set
        .test_groups
        .iter()
        .filter(|group| (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128));
    for test in groups.flat_map(|group| &group.tests) {
        let key = AeadKey::new(test.key[..].try_into().unwrap()).unwrap();
        let nonce = test.nonce[..].try_into().unwrap();
        let tag: Tag = test.tag[..].try_into().unwrap();
        let opened = key.open(nonce, &test.aad, &test.ct, &tag);
        let mut sealed = test.pt.to_vec();
        let made = key.seal(nonce, &test.aad, &mut sealed).unwrap();
        if test.result == TestResult::Valid {
            valid += 1;
            assert_eq!(opened.unwrap(), test.pt[..], "{}", test.tc_id);
            assert_eq!((&sealed[..], made), (&test.ct[..], tag), "{}", test.tc_id);
        } else {
            invalid += 1;
            assert!(opened.is_err(), "{}", test.tc_id);
            assert!(sealed != test.ct[..] || made != tag, "{}", test.tc_id);
        }
    }
    assert_eq!((valid, invalid), (69, 34));
}

#[test]
fn hkdf_sha256() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut out = vec![0; test.size];
        // In two parts, as it is called here.
        let (info, more) = test.info.split_at(test.info.len() / 2);
        let derived = expand(&test.salt, &test.ikm, &[info, more], &mut out);
        if test.result == TestResult::Valid {
            valid += 1;
            derived.unwrap();
            assert_eq!(out, test.okm[..], "{}", test.tc_id);
        } else {
            invalid += 1;
            assert!(derived.is_err(), "{}", test.tc_id);
        }
    }
    assert_eq!((valid, invalid), (83, 3));
}

/// "Acceptable" vectors are public keys that are not canonical or lie on the twist, and points of
/// low order. The former must give the stated result, the latter, whose result is zero, none.
#[test]
fn x25519() {
    let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).unwrap();
    let (mut agreed, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let secret: [u8; 32] = test.private_key[..].try_into().unwrap();
        let public: [u8; 32] = test.public_key[..].try_into().unwrap();
        assert!(!test.result.must_fail(), "{}", test.tc_id);
        if let Some(shared) = shared_secret(&secret, &public) {
            agreed += 1;
            assert_eq!(&shared[..], &test.shared_secret[..], "{}", test.tc_id);
        } else {
            refused += 1;
            assert!(test.shared_secret.iter().all(|byte| *byte == 0), "{}", test.tc_id);
        }
    }
    assert_eq!((agreed, refused), (487, 31));
}
