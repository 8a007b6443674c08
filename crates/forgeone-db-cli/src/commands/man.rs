//! `man`: the help of every command as manual pages.

use crate::args::{Args, ManArgs};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Shown};
use crate::store::Place;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use serde_json::json;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// What every page begins with, and nothing else does.
const MARK: &str = ".\\\" Made by forgeone-db; `forgeone-db man DIR` replaces this file.\n";

/// A page and the name of its file.
struct Page {
    name: String,
    text: Vec<u8>,
}

pub(super) fn run(place: &Place, args: &ManArgs) -> Result<(), Failure> {
    let mut root = Args::command().disable_help_subcommand(true);
    root.build();
    let mut output = place.output();
    match &args.directory {
        None => {
            let page = page(&root).map_err(|error| unrendered(&error))?;
            output.line(String::from_utf8_lossy(&page.text).trim_end())?;
        }
        Some(directory) => {
            let mut pages = Vec::new();
            collect(&root, &mut pages).map_err(|error| unrendered(&error))?;
            write_all(directory, &pages, &mut output)?;
        }
    }
    output.flush()?;
    Ok(())
}

fn unrendered(error: &io::Error) -> Failure {
    Failure::io("a manual page cannot be made", error)
}

/// The pages of a command and of all below it.
fn collect(command: &Command, pages: &mut Vec<Page>) -> io::Result<()> {
    pages.push(page(command)?);
    let mut below = command.get_subcommands().filter(|command| !command.is_hide_set());
    below.try_for_each(|command| collect(command, pages))
}

fn page(command: &Command) -> io::Result<Page> {
    let man = Man::new(command.clone()).source(concat!("forgeone-db ", env!("CARGO_PKG_VERSION")));
    let man = man.manual("ForgeOne DB");
    let mut text = MARK.as_bytes().to_vec();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    if let Some(help) = command.get_after_long_help() {
        sections(&help.to_string()).to_writer(&mut text)?;
    }
    Ok(Page { name: man.get_filename(), text })
}

/// What stands below the options in a help text, under the headings that manuals have.
fn sections(help: &str) -> Roff {
    let mut roff = Roff::new();
    let mut coded = false;
    for line in help.lines() {
        match line {
            "Exit codes:" => {
                roff.control("SH", ["EXIT STATUS"]);
                coded = true;
            }
            "Examples:" | "Example:" | "Start with:" => {
                heading(&mut roff, "EXAMPLES");
                coded = false;
            }
            _ if line.trim().is_empty() => {}
            _ if coded && is_code(line) => code(&mut roff, line.trim()),
            _ => {
                if coded {
                    heading(&mut roff, "NOTES");
                    coded = false;
                }
                roff.text([roman(line.trim())]);
            }
        }
    }
    roff
}

/// Begins a section whose lines stay as they are.
fn heading(roff: &mut Roff, title: &str) {
    roff.control("fi", []);
    roff.control("SH", [title]);
    roff.control("nf", []);
}

/// Whether a line of the list of exit codes has one, or goes on with the one before it.
fn is_code(line: &str) -> bool {
    line.starts_with("      ")
        || line.trim_start().starts_with(|first: char| first.is_ascii_digit())
            && line.starts_with(' ')
}

/// An exit code with what it means, or more of what the one before it means.
fn code(roff: &mut Roff, line: &str) {
    match line.split_once("  ") {
        Some((code, meaning)) if code.bytes().all(|byte| byte.is_ascii_digit()) => {
            roff.control("TP", ["4"]);
            roff.text([bold(code)]);
            roff.text([roman(meaning)]);
        }
        _ => {
            roff.text([roman(line)]);
        }
    }
}

/// Writes the pages, or none if a file that is no page has the name of one.
fn write_all(directory: &Path, pages: &[Page], output: &mut Output) -> Result<(), Failure> {
    let failed = |path: &Path, error: &io::Error| Failure::io(Shown(path), error);
    fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    let paths: Vec<PathBuf> = pages.iter().map(|page| directory.join(&page.name)).collect();
    for path in &paths {
        if !is_free(path).map_err(|error| failed(path, &error))? {
            let message = format!("{} is there and was not made by forgeone-db", Shown(path));
            return Err(Failure::new(Exit::Conflict, message)
                .hint("move it away, or name another directory; nothing was written"));
        }
    }
    for (path, page) in paths.iter().zip(pages) {
        replace(path, &page.text).map_err(|error| failed(path, &error))?;
        // If nobody reads the names, the pages are wanted all the same.
        output.either(&json!({"file": path.to_string_lossy()}), Shown(path))?;
    }
    Ok(())
}

/// Whether nothing lies at `path`, or a page that was made before.
fn is_free(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Ok(metadata) if !metadata.is_file() => return Ok(false),
        Ok(_) => {}
        Err(error) => return Err(error),
    }
    let mut start = Vec::new();
    File::open(path)?.take(MARK.len() as u64).read_to_end(&mut start)?;
    Ok(start == MARK.as_bytes())
}

/// Replaces a page as a whole: whoever opens it meanwhile sees the old one or the new one.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let written = File::create(&temporary).and_then(|mut file| file.write_all(text));
    let replaced = written.and_then(|()| fs::rename(&temporary, path));
    if replaced.is_err() {
        // Nothing of value is in it, and the error at hand says more.
        drop(fs::remove_file(&temporary));
    }
    replaced
}
