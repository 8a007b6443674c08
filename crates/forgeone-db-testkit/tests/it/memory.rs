//! A store that takes more memory than it was given is killed by the system one day, with
//! everything around it. Provoked by every kind of work at once at a tenth of the default, in a
//! process of its own whose most resident bytes are compared with an idle one's.

use std::process::Command;

#[test]
fn a_store_under_every_load_at_once_stays_within_its_memory() {
    let ended = Command::new(env!("CARGO_BIN_EXE_forgeone-db-testkit"))
        .args(["memory", "--case", "0"])
        .status()
        .unwrap();
    assert!(ended.success(), "the suite says why");
}
