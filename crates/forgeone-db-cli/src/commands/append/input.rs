//! What is read: a file, or standard input, until a signal asks to end.

use crate::exit::{Exit, Failure};
use crate::output::Shown;
use crate::progress::Progress;
use rustix::event::{PollFd, PollFlags, poll};
use std::fs::File;
use std::io::{self, IsTerminal as _, PipeReader, Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::path::Path;

/// An input that is open.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) is_stdin: bool,
    /// What to call it in an error.
    name: String,
    /// Its bytes, if it is a regular file.
    bytes: Option<u64>,
}

/// Opens a file, or standard input for `-` and nothing. `command` is what an example calls.
pub(super) fn open(file: Option<&Path>, command: &str) -> Result<Opened, Failure> {
    let Some(path) = file.filter(|file| *file != Path::new("-")) else {
        let name = "standard input".to_owned();
        let failed = |error| Failure::io("standard input cannot be read", &error);
        let file: File = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?.into();
        let bytes = regular_bytes(&file).map_err(failed)?;
        return Ok(Opened { file, is_stdin: true, name, bytes });
    };
    let name = Shown(path).to_string();
    let failed = |error| Failure::io(format_args!("{name} cannot be read"), &error);
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(Failure::usage(format!("{name} is a directory")).hint(format!(
            "name a file; a shell writes them all as: cat DIR/* | forgeone-db {command}"
        )));
    }
    let bytes = regular_bytes(&file).map_err(failed)?;
    Ok(Opened { file, is_stdin: false, name, bytes })
}

fn regular_bytes(file: &File) -> io::Result<Option<u64>> {
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then_some(metadata.len()))
}

impl Opened {
    /// A bar for a file. On a terminal, the acknowledgements are progress enough.
    pub(super) fn progress(&self) -> Option<Progress> {
        let shown = !self.is_stdin && self.bytes.is_some() && !io::stdout().is_terminal();
        shown.then(|| Progress::bytes("storing", self.bytes))
    }
}

/// What reading came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// This many bytes, at least one.
    Bytes(usize),
    /// There are no more.
    End,
    /// A signal asked to end.
    Interrupted,
}

/// Input that a signal ends also where nothing comes, as in a pipe.
#[derive(Debug)]
pub(super) struct Input {
    file: File,
    name: String,
    /// Becomes readable when no more is wanted.
    wake: PipeReader,
    /// How far a regular file has been read.
    position: Option<u64>,
    /// Whether the file said that it is empty, as files do that the system makes when they are read.
    opened_empty: bool,
}

impl Input {
    pub(super) fn new(opened: Opened, wake: PipeReader) -> Result<Self, Failure> {
        let Opened { mut file, name, bytes, .. } = opened;
        let position = bytes.map(|_| file.stream_position()).transpose();
        let position =
            position.map_err(|error| Failure::io(format_args!("{name} cannot be read"), &error))?;
        Ok(Self { file, name, wake, position, opened_empty: bytes == Some(0) })
    }

    /// Waits for bytes, the end, or a signal.
    ///
    /// # Errors
    /// Those of the input; also when a file is shorter at its end than what was read of it.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<Arrival, Failure> {
        let read = loop {
            match self.wait().and_then(|wanted| match wanted {
                Wanted::More => self.file.read(buffer).map(Some),
                Wanted::NoMore => Ok(None),
            }) {
                Err(error) if may_pass(error.kind()) => {}
                read => break read,
            }
        };
        let failed = |error| Failure::io(format_args!("{} cannot be read", self.name), &error);
        match read.map_err(failed)? {
            None => Ok(Arrival::Interrupted),
            Some(0) => self.check_length().map(|()| Arrival::End),
            Some(bytes) => {
                self.position = self.position.map(|position| position + bytes as u64);
                Ok(Arrival::Bytes(bytes))
            }
        }
    }

    fn wait(&self) -> io::Result<Wanted> {
        let mut polled =
            [PollFd::new(&self.wake, PollFlags::IN), PollFd::new(&self.file, PollFlags::IN)];
        poll(&mut polled, None)?;
        let [wake, _] = &polled;
        Ok(if wake.revents().is_empty() { Wanted::More } else { Wanted::NoMore })
    }

    fn check_length(&self) -> Result<(), Failure> {
        let Some(position) = self.position else { return Ok(()) };
        let failed = |error| Failure::io(format_args!("{} cannot be read", self.name), &error);
        let bytes = self.file.metadata().map_err(failed)?.len();
        if bytes >= position || (bytes == 0 && self.opened_empty) {
            return Ok(());
        }
        let message = format!(
            "{} was cut to {bytes} bytes while it was read, which had come to byte {position}",
            self.name
        );
        Err(Failure::new(Exit::Failure, message)
            .hint("what it holds now is not stored; read it again as an input of its own"))
    }
}

/// Whether to read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    More,
    NoMore,
}

/// Whether a read is to be tried again: another program may have set the input to not wait.
fn may_pass(error: io::ErrorKind) -> bool {
    matches!(error, io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}
