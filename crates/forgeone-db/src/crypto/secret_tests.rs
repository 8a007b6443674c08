//! A key file that is misread locks the owner out, and one that is quoted in an error gives the key
//! away: what is written comes back, anything else is `Invalid` and silent.

use super::{KEY_FILE_BYTES_MAX, Key, KeyFile, Secret};
use crate::environment::SystemEnvironment;
use forgeone_db_engine::ErrorKind;
use proptest::prelude::*;

fn passphrase_of(key: &Key) -> &str {
    match key.secret() {
        Secret::Passphrase(passphrase) => passphrase,
        Secret::Raw(_) => panic!("not a passphrase"),
    }
}

fn raw_of(key: &Key) -> [u8; 32] {
    match key.secret() {
        Secret::Raw(bytes) => **bytes,
        Secret::Passphrase(_) => panic!("not a raw key"),
    }
}

#[test]
fn a_raw_key_file_is_two_lines() {
    let file = KeyFile::new(&Key::raw([0xa5; 32])).unwrap();
    assert_eq!(file.text(), format!("forgeone-db key file v1 raw\n{}\n", "a5".repeat(32)));
    assert_eq!(raw_of(&Key::from_file_text(file.text()).unwrap()), [0xa5; 32]);
}

#[test]
fn generated_keys_differ_and_come_back() {
    let environment = SystemEnvironment::new();
    let [a, b] = [(); 2].map(|()| Key::generate(&environment).unwrap());
    assert_ne!(raw_of(&a), raw_of(&b));
    let file = KeyFile::new(&a).unwrap();
    assert_eq!(raw_of(&Key::from_file_text(file.text()).unwrap()), raw_of(&a));
}

#[test]
fn a_passphrase_keeps_its_spaces_and_not_its_line_end() {
    for end in ["", "\n", "\r\n", "\n\n"] {
        let text = format!("forgeone-db key file v1 passphrase\n two words {end}");
        assert_eq!(passphrase_of(&Key::from_file_text(&text).unwrap()), " two words ");
    }
}

#[test]
fn upper_case_hex_and_line_ends_of_other_systems_are_read() {
    let text = format!("forgeone-db key file v1 raw\r\n{}\r\n", "A5".repeat(32));
    assert_eq!(raw_of(&Key::from_file_text(&text).unwrap()), [0xa5; 32]);
}

#[test]
fn anything_else_is_invalid_and_not_repeated() {
    let raw = "forgeone-db key file v1 raw";
    let long = format!("{raw}\n{}", " ".repeat(KEY_FILE_BYTES_MAX));
    for text in [
        "",
        "sesame",
        "sesame\n",
        "forgeone-db key file v1\nsesame",
        "forgeone-db key file v2 raw\nsesame",
        "forgeone-db key file v1 passphrase",
        "forgeone-db key file v1 passphrase\n",
        "forgeone-db key file v1 passphrase\nsesame\nsesame\n",
        " forgeone-db key file v1 passphrase\nsesame",
        &format!("{raw}\nsesame"),
        &format!("{raw}\n{}", "5e".repeat(31)),
        &format!("{raw}\n{}g", "5e".repeat(31) + "5"),
        &format!("{raw}\n{}+5", "5e".repeat(31)),
        &format!("{raw}\n{}", "5e".repeat(33)),
        &long,
    ] {
        let error = Key::from_file_text(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        let printed = format!("{error} {error:?}");
        assert!(!printed.contains("sesame") && !printed.contains("5e5e"), "{printed}");
    }
    assert_eq!(Key::from_file_bytes(&[0xa5; 32]).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn passphrases_that_a_file_cannot_hold_are_refused() {
    for passphrase in ["", "two\nlines", "carriage\rreturn", &"x".repeat(1025)] {
        assert_eq!(
            KeyFile::new(&Key::passphrase(passphrase)).unwrap_err().kind(),
            ErrorKind::Invalid
        );
    }
    KeyFile::new(&Key::passphrase("x".repeat(1024))).unwrap();
}

proptest! {
    #[test]
    fn arbitrary_files_never_panic(bytes: Vec<u8>) {
        let _ = Key::from_file_bytes(&bytes).is_ok();
    }

    #[test]
    fn passphrases_come_back(passphrase in "[^\r\n]{1,64}") {
        let file = KeyFile::new(&Key::passphrase(passphrase.as_str())).unwrap();
        let key = Key::from_file_text(file.text()).unwrap();
        prop_assert_eq!(passphrase_of(&key), passphrase);
    }
}
