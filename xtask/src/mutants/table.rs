//! The mistakes, and which tests are to notice each.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// A program with tests or suites in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Program {
    /// The unit tests of the engines' contract.
    EngineLib,
    /// The unit tests of the library.
    Lib,
    /// The integration tests of the library.
    It,
    /// The integration tests of the command line, which start it as a process.
    Cli,
    /// The suites of the test kit.
    Testkit,
    /// The hand-over between callers and the committer under a model checker.
    Loom,
}

impl Program {
    /// Those that cargo builds as tests.
    pub(super) const ALL: [Self; 4] = [Self::EngineLib, Self::Lib, Self::It, Self::Cli];

    pub(super) const fn package(self) -> &'static str {
        match self {
            Self::EngineLib => "forgeone-db-engine",
            Self::Lib | Self::It => "forgeone-db",
            Self::Cli => "forgeone-db-cli",
            Self::Testkit => "forgeone-db-testkit",
            Self::Loom => "forgeone-db-interleavings",
        }
    }

    /// Where it is run.
    pub(super) fn folder(self) -> String {
        match self {
            Self::Loom => "interleavings".to_owned(),
            _ => format!("crates/{}", self.package()),
        }
    }

    /// The file it is made from.
    pub(super) const fn source(self) -> &'static str {
        match self {
            Self::EngineLib => "crates/forgeone-db-engine/src/lib.rs",
            Self::Lib => "crates/forgeone-db/src/lib.rs",
            Self::It => "crates/forgeone-db/tests/it/main.rs",
            Self::Cli => "crates/forgeone-db-cli/tests/it/main.rs",
            Self::Testkit => "crates/forgeone-db-testkit/src/main.rs",
            Self::Loom => "interleavings/src/main.rs",
        }
    }
}

/// Tests of one program, by a part of their names; for the test kit a suite with its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Probe {
    pub(super) program: Program,
    filter: &'static str,
}

impl Probe {
    pub(super) fn args(&self) -> Vec<&'static str> {
        match self.program {
            Program::Testkit => self.filter.split(' ').collect(),
            _ if self.filter.is_empty() => Vec::new(),
            _ => vec![self.filter],
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.program.package(), self.program, self.filter)
    }
}

/// A deliberate mistake.
pub(super) struct Mutant {
    /// What `mutant!` is given in the sources.
    pub(super) name: &'static str,
    pub(super) mistake: &'static str,
    pub(super) probes: &'static [Probe],
}

const fn engine(filter: &'static str) -> Probe {
    Probe { program: Program::EngineLib, filter }
}

const fn lib(filter: &'static str) -> Probe {
    Probe { program: Program::Lib, filter }
}

const fn it(filter: &'static str) -> Probe {
    Probe { program: Program::It, filter }
}

const fn cli(filter: &'static str) -> Probe {
    Probe { program: Program::Cli, filter }
}

const fn testkit(suite: &'static str) -> Probe {
    Probe { program: Program::Testkit, filter: suite }
}

/// Every interleaving of a few threads.
const LOOM: Probe = Probe { program: Program::Loom, filter: "" };

/// Power losses at every operation of the disk.
const CRASH: Probe = testkit("crash --size 2000 --jobs 2");

const fn mutant(name: &'static str, mistake: &'static str, probes: &'static [Probe]) -> Mutant {
    Mutant { name, mistake, probes }
}

/// What a mistake meets that none of its own tests has noticed. Only a failure counts here: the
/// whole of a suite may take longer than a probe may.
pub(super) const WIDER: &[Probe] =
    &[engine(""), lib(""), it(""), cli("kill"), testkit("appends --size 200 --jobs 2")];

/// Every mistake, by what it breaks. Each promise is that of the contract in brackets.
pub(super) const MUTANTS: &[Mutant] = &[
    // Durability and outcomes (O1, D1 to D3, F1).
    mutant(
        "answer-before-the-commit",
        "callers are told of success before the commit has returned",
        &[it("faults::every_commit_may")],
    ),
    mutant(
        "ignore-a-failed-commit",
        "a commit that the engine has refused counts as made",
        &[it("faults::every_commit_may")],
    ),
    mutant(
        "ignore-a-failed-sync",
        "redb's failure to write or sync is taken for success",
        &[lib("redb::tests::full")],
    ),
    mutant(
        "commit-below-the-promised-durability",
        "the log asks the engine for less than the store's level",
        &[it("promises::")],
    ),
    mutant(
        "forget-poison",
        "writes go on after one of unknown outcome",
        &[engine("poisoned::"), it("faults::every_commit_may")],
    ),
    mutant(
        "trust-the-cache-after-a-failure",
        "a file that was not closed is read as the system's cache shows it",
        &[lib("redb::tests::cache")],
    ),
    // Order and atomicity (S1 to S3, O2).
    mutant(
        "reuse-a-sequence-number",
        "a group begins with the number of the record before it",
        &[it("events::")],
    ),
    mutant(
        "lose-the-tail-of-a-batch",
        "the last record of a batch is acknowledged and not stored",
        &[it("events::")],
    ),
    mutant(
        "count-a-duplicate-as-new",
        "a record that was there is reported as new",
        &[it("model::a_store_does")],
    ),
    mutant(
        "store-a-duplicate-again",
        "the same id and content becomes a second record",
        &[it("model::a_store_does")],
    ),
    mutant(
        "take-a-conflict-for-a-duplicate",
        "other content under a known id is answered as if it were the same",
        &[it("model::a_store_does"), it("one_callers_conflict")],
    ),
    mutant(
        "skip-the-precondition-on-the-head",
        "a second writer overwrites the first instead of being fenced",
        &[it("promises::")],
    ),
    mutant(
        "compare-and-set-without-comparing",
        "a setting is changed whatever its version",
        &[it("system::a_lost_compare_and_set")],
    ),
    mutant(
        "begin-anew-after-a-removal",
        "a setting that was removed begins again with version 1",
        &[it("system::a_removed_setting")],
    ),
    // The hand-over between callers and the committer (D1, D3).
    mutant(
        "wake-before-there-is-news",
        "whoever waits is woken before what it waits for can be seen",
        &[LOOM],
    ),
    mutant("lose-a-request-in-the-queue", "the second request of a group is dropped", &[LOOM]),
    // Subscriptions (W1, W6) and queries (I3).
    mutant(
        "drop-a-record-between-catching-up-and-live",
        "a subscription that waited skips a record",
        &[it("promises::")],
    ),
    mutant(
        "repeat-a-record-on-resuming",
        "a token leads back before what was delivered",
        &[it("promises::")],
    ),
    mutant(
        "lose-what-is-buffered-on-resuming",
        "a token leads past what waits in the buffer",
        &[it("promises::")],
    ),
    mutant(
        "leave-out-late-records",
        "a query by time does not look for records that came late",
        &[it("model::a_store_does")],
    ),
    // Crashes and sealing (C1).
    mutant(
        "drop-blocks-before-the-manifest",
        "the log is cut before what replaces it is live",
        &[it("faults::every_commit_may")],
    ),
    // Authenticity (I1, R1, K1).
    mutant(
        "skip-the-tag",
        "sealed bytes are opened without checking their tag",
        &[lib("crypto::piece::")],
    ),
    mutant(
        "skip-the-checksum",
        "in a store without a key, checksums are not compared",
        &[lib("crypto::piece::")],
    ),
    mutant("empty-associated-data", "a unit is not bound to its place", &[lib("crypto::piece::")]),
    mutant(
        "reuse-the-salt-of-a-piece",
        "every piece of a domain has the same key",
        &[lib("crypto::piece::")],
    ),
    mutant(
        "reuse-the-nonce-of-a-unit",
        "every unit of a piece has the same nonce",
        &[lib("crypto::piece::")],
    ),
    mutant(
        "skip-the-key-commitment",
        "a piece opens under a key that did not seal it",
        &[lib("crypto::piece::")],
    ),
    mutant(
        "read-a-newer-format-all-the-same",
        "the format version of a piece is not looked at",
        &[lib("crypto::piece::")],
    ),
    mutant(
        "skip-the-tag-of-a-token",
        "a cursor that nobody here has made is followed",
        &[lib("crypto::token::")],
    ),
    // Absence and going back (I3, R1).
    mutant(
        "accept-another-section",
        "a section may be another than its block names",
        &[it("promises::")],
    ),
    mutant(
        "believe-a-garbled-read",
        "what was garbled on its way from the medium is given up for lost",
        &[it("garbled::")],
    ),
    mutant(
        "append-behind-what-may-come-right",
        "records are stored behind lost ones that may come right again",
        &[it("holes::")],
    ),
    mutant(
        "search-past-what-is-lost",
        "a search by time does not tell records whose times are lost",
        &[it("holes::")],
    ),
    mutant(
        "deny-what-may-be-lost",
        "an id that no index has is said to be nowhere, beside records whose ids are lost",
        &[it("holes::")],
    ),
    mutant(
        "give-up-the-key-of-what-is-lost",
        "a change of keys gives up the key of what was set aside",
        &[it("holes::")],
    ),
    mutant("forget-what-is-lost", "a loss is named until it is sealed", &[it("holes::")]),
    mutant("skip-the-chain-of-blocks", "blocks need not follow one another", &[it("promises::")]),
    mutant(
        "accept-a-log-without-its-newest-blocks",
        "a log may end before its head",
        &[it("tamper::an_engine_that_lies")],
    ),
    mutant(
        "take-a-missing-head-for-an-empty-log",
        "a database without its head counts as new",
        &[it("promises::")],
    ),
    mutant(
        "skip-the-witnesses",
        "nobody compares how far the databases have seen each other",
        &[it("witness::")],
    ),
    mutant(
        "accept-an-older-keyring",
        "a keyring from before the newest data is used",
        &[it("an_older_keyring")],
    ),
    mutant(
        "follow-a-log-that-went-back",
        "an open reader takes an older head for a newer one",
        &[it("promises::")],
    ),
    // What only a power cut shows (D1, C1, K4).
    mutant("skip-the-sync-of-a-commit", "redb's files are never synced", &[CRASH]),
    mutant(
        "skip-the-sync-of-the-directory",
        "names in the store's directory are never synced",
        &[CRASH],
    ),
    mutant(
        "skip-the-sync-of-a-small-file",
        "a keyring is renamed into place before it is synced",
        &[CRASH],
    ),
];

/// The names of all mistakes in the sources.
pub(super) fn names_in_sources(root: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut folders = vec![root.join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path)?;
                let calls = text.split("mutant!(\"").skip(1);
                names.extend(
                    calls.filter_map(|call| call.split_once('"')).map(|(name, _)| name.to_owned()),
                );
            }
        }
    }
    Ok(names)
}
