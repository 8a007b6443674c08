//! `events append`: records and lines become events.

use super::input::{self, Opened};
use super::pending::{End, Pending};
use super::{
    Done, Position, Record, checked, commit_all, handle_signals, interrupted, start_thread,
};
use crate::args::AppendArgs;
use crate::exit::{Exit, Failure};
use crate::input::{Line, Lines, Records};
use crate::output::say;
use crate::store::Place;
use forgeone_db::{NewEvent, RedbManager};
use std::io::{BufRead, BufReader};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Bytes that an event takes beside its texts.
const EVENT_BYTES: usize = 64;

impl Record for NewEvent {
    const NAME: &'static str = "events";

    fn topic(&self) -> &str {
        &self.event.topic
    }

    fn bytes(&self) -> usize {
        let event = &self.event;
        let metadata: usize =
            event.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        let marker = event.checkpoint_marker.as_ref().map_or(0, String::len);
        EVENT_BYTES + event.topic.len() + event.payload.len() + metadata + marker
    }

    async fn store(
        manager: &RedbManager,
        records: Vec<Self>,
    ) -> forgeone_db::Result<Vec<Position>> {
        let positions = manager.events().publish_opts(records).await?;
        let position =
            |at: &forgeone_db::EventPosition| Position { seq: at.seq, duplicate: at.duplicate };
        Ok(positions.iter().map(position).collect())
    }
}

pub(in crate::commands) fn run(place: &Place, args: AppendArgs) -> Result<ExitCode, Failure> {
    let records = match (args.topic, args.text) {
        (Some(topic), true) => Records::Text(checked(topic)?),
        (None, true) => return Err(Failure::usage("--text needs --topic")),
        (topic, false) => Records::Ndjson(topic.map(checked).transpose()?),
    };
    let opened = input::open(args.file.as_deref(), "events append")?;
    let progress = opened.progress();
    let Opened { file, is_stdin, .. } = opened;
    let manager = place.write(Duration::ZERO)?;
    let pending = Arc::new(Pending::new());
    let interrupt = Arc::clone(&pending);
    handle_signals(move || interrupt.interrupt())?;
    let filled = Arc::clone(&pending);
    start_thread(move || {
        let end = read(BufReader::with_capacity(256 << 10, file), &records, &filled);
        filled.end(end);
    })?;

    let mut output = place.output();
    let mut done = Done::new(NewEvent::NAME);
    let end = commit_all(&manager, &pending, progress, &mut output, &mut done)
        .map_err(|failure| failure.but(&done))?;
    manager.close().map_err(|error| Failure::from(error).but(&done))?;
    match end {
        End::Failed(failure) | End::FailedBehind(failure) => Err(failure.but(&done)),
        End::Interrupted if !is_stdin => Err(interrupted(&done)),
        End::Interrupted | End::Input => {
            say(&done);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Reads records until the input ends, one is none, or no more are wanted.
fn read(input: impl BufRead, records: &Records, pending: &Pending<NewEvent>) -> End {
    let mut lines = Lines::new(input, records.line_bytes_max());
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        number += 1;
        let failed = |why: &str| {
            End::Failed(
                Failure::new(Exit::Failure, format!("line {number}: {why}"))
                    .hint("mend the line and start again behind the last one that is stored"),
            )
        };
        match lines.next(&mut line) {
            Err(error) => return End::Failed(Failure::io("the input cannot be read", &error)),
            Ok(Line::End) => return End::Input,
            Ok(Line::TooLong) => {
                let bytes_max = records.line_bytes_max();
                return failed(&format!("the line has more than {bytes_max} bytes"));
            }
            Ok(Line::Read) => {}
        }
        if number == 1 {
            skip_mark(&mut line, records);
        }
        match records.parse(&line) {
            Err(why) => return failed(&why),
            Ok(None) => {}
            Ok(Some(event)) => {
                if !pending.push(event, (number, line.len() + 1)) {
                    return End::Interrupted;
                }
            }
        }
        if line.capacity() > (1 << 20) {
            line = Vec::new();
        }
    }
}

/// JSON may start with a byte order mark, which is no part of it.
fn skip_mark(line: &mut Vec<u8>, records: &Records) {
    if matches!(records, Records::Ndjson(_)) && line.starts_with(b"\xef\xbb\xbf") {
        line.drain(..3);
    }
}
