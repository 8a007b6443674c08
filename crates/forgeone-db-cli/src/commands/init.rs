//! `init`: making a store.

use crate::args::InitArgs;
use crate::exit::{Exit, Failure};
use crate::key_file::{discard_key_file, generate_key_file};
use crate::output::{Shown, path_text, quoted, say};
use crate::store::{Place, WAIT_SHORT, ask_new, can_ask};
use forgeone_db::redb::{DirectoryState, StoreDirectory};
use forgeone_db::{Error, ErrorKind, Key, OpenMode, RedbManager, StoreKeys, StoreOptions};
use serde::Serialize;
use std::borrow::Cow;
use std::path::Path;

#[derive(Serialize)]
struct Made<'a> {
    #[serde(serialize_with = "path_text")]
    directory: &'a Path,
    shard_count: u32,
    max_size_bytes: u64,
    encrypted: bool,
    key_file: Option<Cow<'a, str>>,
}

pub(super) fn run(place: &Place, args: &InitArgs) -> Result<(), Failure> {
    let key = new_key(place, args)?;
    let max_size_bytes = args.max_size_gb.unwrap_or(0) << 30;
    let encrypted = key.is_some();
    let options = place
        .bounded(StoreOptions::new(&place.directory))?
        .mode(OpenMode::Create)
        .key(key)
        .shard_count(args.shards)
        .max_size_bytes(max_size_bytes)
        .lock_wait(place.wait(WAIT_SHORT));
    let manager = RedbManager::open(options).map_err(|error| explain(place, args, error))?;
    manager.close()?;
    report(place, args, encrypted, max_size_bytes)
}

/// Why no store was made. A key that was made for it goes, unless the store was begun with it.
fn explain(place: &Place, args: &InitArgs, error: Error) -> Failure {
    let begun = !matches!(
        StoreDirectory::inspect(&place.directory),
        Ok(DirectoryState::Absent | DirectoryState::Empty | DirectoryState::Foreign)
    );
    match &args.generate_key {
        Some(file) if begun => {
            let word = quoted(&file.to_string_lossy());
            Failure::from(error).hint(format!(
                "what was begun needs the key in {}; repeat init with --key-file {word}",
                Shown(file)
            ))
        }
        Some(file) => {
            discard_key_file(file);
            error.into()
        }
        None if error.kind() == ErrorKind::WrongKey => Failure::from(error).hint(
            "a store was half made here with another key; give that one, or remove the directory",
        ),
        None => error.into(),
    }
}

fn report(
    place: &Place,
    args: &InitArgs,
    encrypted: bool,
    max_size_bytes: u64,
) -> Result<(), Failure> {
    let made = Made {
        directory: &place.directory,
        shard_count: args.shards,
        max_size_bytes,
        encrypted,
        key_file: args.generate_key.as_deref().map(Path::to_string_lossy),
    };
    let directory = Shown(&place.directory);
    let kind = if encrypted { "an encrypted" } else { "a plain" };
    let mut output = place.output();
    output
        .either(&made, format_args!("made {kind} store in {directory}, {} shards", args.shards))?;
    output.flush()?;
    if let Some(file) = &args.generate_key {
        say(format_args!(
            "the key is in {}; give it to later commands with --key-file {}",
            Shown(file),
            quoted(&file.to_string_lossy())
        ));
    }
    if encrypted {
        say(
            "keep the key, and a copy of it elsewhere: a lost key is lost data, and nothing can bring it back",
        );
    } else {
        say("the store is not encrypted: whoever can read its files can read its events");
    }
    Ok(())
}

fn new_key(place: &Place, args: &InitArgs) -> Result<Option<Key>, Failure> {
    if let Some(file) = &args.generate_key {
        // Nothing is left behind where no store can be made anyway.
        require_free(place, file)?;
        return generate_key_file(file).map(Some);
    }
    let named = place.named_key()?;
    if args.no_encryption {
        return match named {
            None => Ok(None),
            Some(_) => Err(Failure::usage("--no-encryption, but a key is given as well")
                .hint("leave out --key-file, and unset FORGEONE_DB_KEY_FILE and FORGEONE_DB_KEY")),
        };
    }
    if named.is_some() {
        return Ok(named);
    }
    if !can_ask() {
        return Err(Failure::new(Exit::Key, "no key was given for the new store").hint(
            "make one with --generate-key FILE, or give --key-file FILE, FORGEONE_DB_KEY_FILE or a \
             passphrase in FORGEONE_DB_KEY, or choose --no-encryption",
        ));
    }
    ask_new().map(Some)
}

/// Refuses a directory that holds something already, and a key inside the store.
fn require_free(place: &Place, file: &Path) -> Result<(), Failure> {
    let absolute = |path| std::path::absolute(path).ok();
    if let (Some(file), Some(directory)) = (absolute(file), absolute(&place.directory))
        && file.starts_with(&directory)
    {
        return Err(Failure::usage("the key would lie inside the store that it opens")
            .hint("name a file outside the store's directory"));
    }
    match StoreKeys::read(&place.directory, None) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        _ => Err(Failure::new(
            Exit::Conflict,
            format!("there is a store already in {}", Shown(&place.directory)),
        )
        .hint("use it, or name another directory with --dir; if it is half made, repeat init with --key-file")),
    }
}
