//! `export`: the content of a store as lines of JSON.

use crate::args::{ExportArgs, ExportKind};
use crate::exit::{Exit, Failure};
use crate::interrupt::interruption;
use crate::new_file::{Existing, NewFile};
use crate::output::{Shown, path_text, say};
use crate::store::Place;
use crate::time;
use crate::transfer::{EXPORT_VERSION, ExportWriter, Footer, Header, Line, TopicLine, TopicOf};
use forgeone_db::{RedbManager, StartFrom, TopicInfo, TopicPattern};
use futures::channel::oneshot;
use serde::Serialize;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Why an export is not whole.
enum Stop {
    Interrupted,
    Output(io::Error),
    Store(forgeone_db::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<forgeone_db::Error> for Stop {
    fn from(error: forgeone_db::Error) -> Self {
        Self::Store(error)
    }
}

/// What was written to a file.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(serialize_with = "path_text")]
    file: PathBuf,
    #[serde(flatten)]
    footer: &'a Footer,
}

pub(super) fn run(place: &Place, args: &ExportArgs) -> Result<(), Failure> {
    let wanted = Wanted::new(args);
    let manager = place.read()?;
    match args.file.as_deref().filter(|file| *file != Path::new("-")) {
        None => to_output(&manager, &wanted),
        Some(path) => {
            let existing = if args.force { Existing::Replace } else { Existing::Keep };
            // First: an interruption must find somebody who removes what is half written.
            let interrupted = interruption()?;
            let file = NewFile::create(path, existing)?;
            let footer = to_file(&manager, &wanted, interrupted, (&file, path))?;
            file.finish()?;
            warn();
            let mut output = place.output();
            let line = format!("{}: {}, blake3 {}", Shown(path), footer.counts, footer.blake3);
            output.either(&Told { file: path.to_owned(), footer: &footer }, line)?;
            output.flush()?;
            Ok(())
        }
    }
}

fn warn() {
    say("the export is not encrypted: whoever can read it can read what was exported");
}

fn to_output(manager: &RedbManager, wanted: &Wanted<'_>) -> Result<(), Failure> {
    let output = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    match export(manager, wanted, output, || false) {
        Ok(footer) => {
            warn();
            say(format_args!("exported {}", footer.counts));
            Ok(())
        }
        // As for every command: whoever stops reading has what it wanted.
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(stop) => Err(explain(stop, "standard output")),
    }
}

fn to_file(
    manager: &RedbManager,
    wanted: &Wanted<'_>,
    mut interrupted: oneshot::Receiver<()>,
    (file, path): (&NewFile, &Path),
) -> Result<Footer, Failure> {
    let output = BufWriter::with_capacity(BUFFER_BYTES, file.file());
    export(manager, wanted, output, || matches!(interrupted.try_recv(), Ok(Some(()))))
        .map_err(|stop| explain(stop, Shown(path)))
}

fn explain(stop: Stop, output: impl std::fmt::Display) -> Failure {
    match stop {
        Stop::Store(error) => error.into(),
        Stop::Output(error) => Failure::io(format_args!("{output} cannot be written"), &error),
        Stop::Interrupted => Failure::new(Exit::Failure, "interrupted; no file was made")
            .hint("export again: there is no export in parts"),
    }
}

/// What is to be exported.
struct Wanted<'a> {
    topics: &'a [TopicPattern],
    kinds: Vec<ExportKind>,
}

impl<'a> Wanted<'a> {
    fn new(args: &'a ExportArgs) -> Self {
        let kinds: &[ExportKind] = match (args.kinds.as_slice(), args.topics.as_slice()) {
            ([], []) => {
                &[ExportKind::Events, ExportKind::Logs, ExportKind::Settings, ExportKind::Metadata]
            }
            ([], _) => &[ExportKind::Events, ExportKind::Logs],
            (kinds, _) => kinds,
        };
        Self { topics: &args.topics, kinds: kinds.to_vec() }
    }

    fn has(&self, kind: ExportKind) -> bool {
        self.kinds.contains(&kind)
    }

    /// The topics that are wanted, by name.
    fn lines(&self, of: TopicOf, mut topics: Vec<TopicInfo>) -> Vec<TopicLine> {
        topics.retain(|topic| {
            self.topics.is_empty() || self.topics.iter().any(|one| one.matches(&topic.topic))
        });
        topics.sort_unstable_by(|one, other| one.topic.cmp(&other.topic));
        topics.into_iter().map(|topic| TopicLine::new(of, topic)).collect()
    }
}

/// Writes everything that is wanted: of each topic what was there when the export began, settings
/// and metadata as they are when their turn comes.
fn export(
    manager: &RedbManager,
    wanted: &Wanted<'_>,
    output: impl Write,
    mut stop: impl FnMut() -> bool,
) -> Result<Footer, Stop> {
    let all = TopicPattern::all();
    let mut topics = Vec::new();
    if wanted.has(ExportKind::Events) {
        topics.extend(wanted.lines(TopicOf::Events, manager.topics(&all)?));
    }
    if wanted.has(ExportKind::Logs) {
        topics.extend(wanted.lines(TopicOf::Logs, manager.log_topics(&all)?));
    }
    let header = Header {
        forgeone_db_export: EXPORT_VERSION,
        store: manager.database().id(),
        created_at: time::now(),
    };
    let mut export = ExportWriter::start(output, &header)?;
    let mut put = |line: Line<'_>| {
        if stop() {
            return Err(Stop::Interrupted);
        }
        Ok(export.line(line)?)
    };
    for topic in &topics {
        put(Line::Topic(topic))?;
    }
    for topic in topics.iter().filter(|topic| topic.count > 0) {
        match topic.of {
            TopicOf::Events => events(manager, topic, &mut put)?,
            TopicOf::Logs => logs(manager, topic, &mut put)?,
        }
    }
    if wanted.has(ExportKind::Settings) {
        for setting in manager.list_settings("") {
            put(Line::Setting(&setting?))?;
        }
    }
    if wanted.has(ExportKind::Metadata) {
        for entry in manager.list_metadata("") {
            put(Line::Metadata(&entry?))?;
        }
    }
    Ok(export.finish()?)
}

fn events(
    manager: &RedbManager,
    topic: &TopicLine,
    put: &mut impl FnMut(Line<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    for event in manager.replay(&TopicPattern::exact(&topic.topic)?, StartFrom::Oldest)? {
        let event = event?;
        put(Line::Event(&event))?;
        if event.seq >= topic.last_seq {
            break;
        }
    }
    Ok(())
}

fn logs(
    manager: &RedbManager,
    topic: &TopicLine,
    put: &mut impl FnMut(Line<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    for entry in manager.replay_logs(&TopicPattern::exact(&topic.topic)?, StartFrom::Oldest)? {
        let entry = entry?;
        put(Line::Log(&entry))?;
        if entry.seq >= topic.last_seq {
            break;
        }
    }
    Ok(())
}
