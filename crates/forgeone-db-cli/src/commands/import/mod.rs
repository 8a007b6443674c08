//! `import`: storing what `export` wrote, once, however often it is repeated.
//!
//! A file is read twice: nothing of a broken one is stored. A pipe can be read once only.

mod compare;
mod store;
mod tally;

use crate::args::ImportArgs;
use crate::exit::Failure;
use crate::output::{Shown, say};
use crate::progress::Progress;
use crate::store::{Place, WAIT_SHORT};
use crate::transfer::{Counts, ExportReader, Numbered};
use compare::Compare;
use forgeone_db::TopicPattern;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek as _, SeekFrom};
use std::os::fd::AsFd as _;
use std::path::Path;
use store::Store;
use tally::Tally;

/// Records and bytes of a commit at most.
const COMMIT_RECORDS_MAX: usize = 1_000;
const COMMIT_BYTES_MAX: usize = 4 << 20;
/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 << 10;

pub(super) fn run(place: &Place, args: &ImportArgs) -> Result<(), Failure> {
    let source = Source::open(args.file.as_deref())?;
    if args.check {
        let counts = source.check()?;
        let mut output = place.output();
        output.either(&counts, format_args!("whole and unchanged: {counts}"))?;
        output.flush()?;
        return Ok(());
    }
    // Opened first: a wrong key is told before a long check.
    let manager = if args.dry_run { place.read()? } else { place.write(WAIT_SHORT)? };
    if source.regular.is_some() {
        source.check()?;
    } else if !args.dry_run {
        say("the input is no file, so it is stored while it is checked: all up to a broken line");
    }
    let mut tally = Tally::new(args.on_conflict, args.dry_run);
    let imported = if args.dry_run {
        let mut compare = Compare::new(&manager, &mut tally);
        source.read("comparing", &args.topics, |batch| compare.batch(batch))
    } else {
        let mut store = Store::new(&manager, &mut tally);
        source.read("importing", &args.topics, |batch| store.batch(batch))
    };
    imported.map_err(|failure| failure.but(&tally))?;
    manager.close().map_err(|error| Failure::from(error).but(&tally))?;
    tally.print(&mut place.output())
}

/// What an export is read from.
struct Source {
    file: File,
    /// Where it starts and how many bytes it has, if it can be read twice.
    regular: Option<(u64, u64)>,
}

impl Source {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            let file = io::stdin().as_fd().try_clone_to_owned().map(File::from);
            let source = file.and_then(Self::new);
            return source.map_err(|error| Failure::io("standard input cannot be read", &error));
        };
        let failed = |error| Failure::io(format_args!("{} cannot be read", Shown(path)), &error);
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(Failure::usage(format!("{} is a directory", Shown(path))));
        }
        Self::new(file).map_err(failed)
    }

    fn new(mut file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let regular = if metadata.is_file() {
            let start = file.stream_position()?;
            Some((start, metadata.len().saturating_sub(start)))
        } else {
            None
        };
        Ok(Self { file, regular })
    }

    /// Reads from the beginning, if there was something before.
    fn input(&self) -> Result<impl BufRead, Failure> {
        let mut file = &self.file;
        if let Some((start, _)) = self.regular {
            file.seek(SeekFrom::Start(start))
                .map_err(|error| Failure::io("the export cannot be read again", &error))?;
        }
        Ok(BufReader::with_capacity(BUFFER_BYTES, file))
    }

    /// Reads all of it, and nothing else.
    fn check(&self) -> Result<Counts, Failure> {
        let mut export = ExportReader::start(self.input()?)?;
        let mut progress = self.progress("checking");
        while let Some(Numbered { bytes, .. }) = export.next()? {
            advance(&mut progress, bytes);
        }
        Ok(export.counts())
    }

    /// Hands everything of these topics on, or everything, in commits of what goes together.
    fn read(
        &self,
        what: &'static str,
        topics: &[TopicPattern],
        mut batch: impl FnMut(Vec<Numbered>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut export = ExportReader::start(self.input()?)?;
        let mut progress = self.progress(what);
        let (mut waiting, mut waiting_bytes) = (Vec::<Numbered>::new(), 0);
        while let Some(next) = export.next()? {
            advance(&mut progress, next.bytes);
            if !is_wanted(&next, topics) {
                continue;
            }
            let full = waiting.len() >= COMMIT_RECORDS_MAX
                || waiting_bytes + next.bytes > COMMIT_BYTES_MAX
                || waiting.first().is_some_and(|first| !first.item.goes_with(&next.item));
            if full && !waiting.is_empty() {
                batch(std::mem::take(&mut waiting))?;
                waiting_bytes = 0;
            }
            waiting_bytes += next.bytes;
            waiting.push(next);
        }
        if waiting.is_empty() { Ok(()) } else { batch(waiting) }
    }

    fn progress(&self, what: &'static str) -> Progress {
        Progress::bytes(what, self.regular.map(|(_, bytes)| bytes))
    }
}

fn advance(progress: &mut Progress, bytes: usize) {
    progress.advance(bytes as u64);
}

fn is_wanted(next: &Numbered, topics: &[TopicPattern]) -> bool {
    topics.is_empty()
        || next.item.topic().is_some_and(|topic| topics.iter().any(|one| one.matches(topic)))
}
