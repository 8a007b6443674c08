//! Every byte of every file of a store is bent, sectors are erased, swapped and doubled, files are
//! cut, lengthened, emptied and removed (contract I1, I3, F3). Whatever the damage: each answer is
//! right or an error, nothing is left out without one, and no call panics, aborts or hangs, neither
//! when the store is opened for reading nor when it is opened for writing.

use crate::campaign::{self, Arguments, Counts, Suite};
use crate::disk::{self, STORE, SimDisk};
use crate::random::Random;
use crate::specimen::{Answers, Image, Scratch, Specimen, Verdict, check_kind, event, options};
use clap::Args;
use forgeone_db::{Error, OpenMode, RedbManager, StoreOptions, VerifyDepth};
use std::io;
use std::path::{Path, PathBuf};

/// Damages that one case tries.
const DAMAGES_OF_A_CASE: u64 = 32;
const SECTOR: usize = 512;

/// Which damages are tried.
#[derive(Debug, Args)]
pub(crate) struct BytesArguments {
    #[command(flatten)]
    arguments: Arguments,
    /// Bends every so-manieth byte; 1 is every byte
    #[arg(long, default_value_t = 1)]
    step: usize,
    /// Takes the files that a kill leaves, and not those of a clean close
    #[arg(long)]
    killed: bool,
    /// Keeps the store that is bent here, and takes it from here the next time
    #[arg(long, value_name = "DIRECTORY")]
    specimen: Option<PathBuf>,
}

/// Runs the suite.
///
/// # Errors
/// As a campaign; the store cannot be built.
pub(crate) fn run(mut arguments: BytesArguments) -> io::Result<bool> {
    // All processes bend the same store.
    let scratch = Scratch::new()?;
    if arguments.specimen.is_none() {
        arguments.arguments.tell("--specimen");
        arguments.arguments.tell(scratch.store());
        arguments.specimen = Some(scratch.store());
    }
    let suite = Bytes::new(&arguments).map_err(io::Error::other)?;
    let bytes: usize = suite.image.values().map(Vec::len).sum();
    eprintln!(
        "bytes: {} records in {} files of {bytes} bytes, {} damages",
        suite.answers.records(),
        suite.image.len(),
        suite.damages.len()
    );
    campaign::run(&suite, &arguments.arguments)
}

/// See the module.
#[derive(Debug)]
struct Bytes {
    image: Image,
    /// The image, as a disk takes it. Disks are in memory: a store is opened some hundred thousand
    /// times, and what a damage does to it does not depend on what holds the bytes.
    disk: disk::Image,
    answers: Answers,
    damages: Vec<Damage>,
    seed: u64,
}

/// What is done to a file, at a place in it.
#[derive(Debug, Clone)]
struct Damage {
    file: String,
    at: usize,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// One bit of a byte, which bit by the seed.
    Flip,
    /// A sector of zeros, or of ones.
    Fill(u8),
    /// Two sectors, the other by the seed, change places.
    Swap,
    /// A sector lies where another belongs.
    Double,
    /// The file ends here.
    Cut,
    /// Bytes behind the end.
    Lengthen,
    Empty,
    Remove,
}

impl Bytes {
    fn new(arguments: &BytesArguments) -> Result<Self, String> {
        let seed = arguments.arguments.seed();
        let specimen = match &arguments.specimen {
            Some(directory) => Specimen::kept(directory, seed)?,
            None => Specimen::build(seed)?,
        };
        let image = if arguments.killed { specimen.killed } else { specimen.closed };
        let damages = damages(&image, arguments.step.max(1));
        let disk = disk_of(&image).map_err(|error| error.to_string())?;
        let suite = Self { answers: specimen.answers, damages, image, disk, seed };
        suite.check_undamaged()?;
        Ok(suite)
    }

    /// Without damage every answer is right: what is wrong or an error later is so because of it.
    fn check_undamaged(&self) -> Result<(), String> {
        let verdict = self.read(&self.disk)?;
        if verdict.errors > 0 || verdict.right == 0 {
            return Err(format!("the undamaged store has answered {verdict:?}"));
        }
        self.write(&self.disk, &mut Random::of_case(self.seed, 0))
    }

    /// Tries one damage: reads, and then writes.
    fn try_one(&self, damage: &Damage, random: &mut Random) -> Result<Verdict, String> {
        let bent = self.apply(damage, random).map_err(|error| error.to_string())?;
        let read = self.read(&bent)?;
        if random.below(4) == 0 {
            self.write(&bent, random)?;
        }
        Ok(read)
    }

    /// The disk after a damage.
    fn apply(&self, damage: &Damage, random: &mut Random) -> io::Result<disk::Image> {
        let mut bent = self.disk.clone();
        let path = Path::new(STORE).join(&damage.file);
        match (damage.what, self.image.get(&damage.file)) {
            (What::Remove, _) | (_, None) => bent.remove(&path),
            (_, Some(bytes)) => {
                let mut bytes = bytes.clone();
                damage.bend(&mut bytes, random);
                bent.put(&path, &bytes)?;
            }
        }
        Ok(bent)
    }

    fn read(&self, image: &disk::Image) -> Result<Verdict, String> {
        let disk = SimDisk::holding(image.clone());
        let store = match RedbManager::open(on(&disk, self.seed).mode(OpenMode::Read)) {
            Ok(store) => store,
            Err(error) => return refused(&error),
        };
        let verdict = self.answers.compare(&store)?;
        if verdict.errors > 0 && verdict.right > 0 {
            let sound = store.verify(VerifyDepth::Standard, |_| {}).map(|report| report.is_sound());
            if matches!(sound, Ok(true)) {
                return Err("an answer was an error, and verify finds nothing".to_owned());
            }
        }
        Ok(verdict)
    }

    /// Opens for writing, appends, and asks again: here, and as another process that comes later.
    fn write(&self, image: &disk::Image, random: &mut Random) -> Result<(), String> {
        let disk = SimDisk::holding(image.clone());
        let store = match RedbManager::open(on(&disk, self.seed + 9)) {
            Ok(store) => store,
            Err(error) => return refused(&error).map(drop),
        };
        // To a topic that the answers know nothing of.
        let fresh = event("fresh", 1000, random);
        let stored = store.store_event(&fresh);
        if let Err(error) = &stored {
            check_kind(error)?;
        }
        let _ = self.answers.compare(&store)?;
        drop(store.close());
        match RedbManager::open(on(&disk, self.seed + 10).mode(OpenMode::Read)) {
            Err(error) => refused(&error).map(drop),
            Ok(again) => {
                if stored.is_ok() {
                    match again.get_event(fresh.id) {
                        Ok(found) if found.len() == 1 => {}
                        Ok(found) => return Err(format!("acknowledged, then {found:?}")),
                        Err(error) => check_kind(&error)?,
                    }
                }
                self.answers.compare(&again).map(drop)
            }
        }
    }
}

/// Files as a disk takes them.
fn disk_of(files: &Image) -> io::Result<disk::Image> {
    let mut image = disk::Image::default();
    for (name, bytes) in files {
        image.put(&Path::new(STORE).join(name), bytes)?;
    }
    Ok(image)
}

/// How the store on a disk is opened.
fn on(disk: &SimDisk, seed: u64) -> StoreOptions {
    options(Path::new(STORE), seed).disk(disk.shared())
}

/// A store that does not open answers nothing wrong.
fn refused(error: &Error) -> Result<Verdict, String> {
    check_kind(error).map_err(|wrong| format!("opening: {wrong}"))?;
    Ok(Verdict { right: 0, errors: 1 })
}

impl Suite for Bytes {
    fn name(&self) -> &'static str {
        "bytes"
    }

    fn measure(&self) -> &'static str {
        "damages"
    }

    fn cases(&self) -> Option<u64> {
        Some((self.damages.len() as u64).div_ceil(DAMAGES_OF_A_CASE))
    }

    fn is_isolated(&self) -> bool {
        true
    }

    fn case(&self, number: u64, mut random: Random) -> Result<Counts, String> {
        let first = usize::try_from(number * DAMAGES_OF_A_CASE).unwrap_or(usize::MAX);
        let mut counts = Counts::new();
        let damages = self.damages.iter().skip(first);
        for damage in damages.take(usize::try_from(DAMAGES_OF_A_CASE).unwrap_or(1)) {
            let verdict = self
                .try_one(damage, &mut random)
                .map_err(|wrong| format!("{damage:?}: {wrong}"))?;
            *counts.entry("damages").or_default() += 1;
            let outcome = match (verdict.right, verdict.errors) {
                (_, 0) => "without effect",
                (0, _) => "refused as a whole",
                _ => "contained",
            };
            *counts.entry(outcome).or_default() += 1;
        }
        Ok(counts)
    }
}

/// All damages of a store's files.
fn damages(image: &Image, step: usize) -> Vec<Damage> {
    let mut damages = Vec::new();
    for (file, bytes) in image {
        let mut push = |at, what| damages.push(Damage { file: file.clone(), at, what });
        // The head of a file says where everything else is: all of it, whatever the step.
        let bent = (0..bytes.len()).filter(|at| *at < SECTOR || at.is_multiple_of(step));
        bent.for_each(|at| push(at, What::Flip));
        for at in (0..bytes.len()).step_by(SECTOR) {
            for what in [What::Fill(0), What::Fill(0xFF), What::Swap, What::Double, What::Cut] {
                push(at, what);
            }
        }
        for what in [What::Lengthen, What::Empty, What::Remove] {
            push(0, what);
        }
    }
    damages
}

impl Damage {
    fn bend(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        let end = bytes.len().min(self.at + SECTOR);
        let sectors = (bytes.len() / SECTOR) as u64;
        let other = usize::try_from(random.below(sectors)).unwrap_or(0) * SECTOR;
        match self.what {
            What::Flip => {
                if let Some(byte) = bytes.get_mut(self.at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            What::Fill(value) => {
                bytes.get_mut(self.at..end).into_iter().for_each(|sector| sector.fill(value));
            }
            What::Swap => {
                for offset in 0..end - self.at {
                    if other + offset < bytes.len() {
                        bytes.swap(self.at + offset, other + offset);
                    }
                }
            }
            What::Double => {
                let sector = bytes.get(self.at..end).map(<[u8]>::to_vec).unwrap_or_default();
                let target = bytes.iter_mut().skip(other).zip(sector);
                target.for_each(|(byte, copied)| *byte = copied);
            }
            What::Cut => bytes.truncate(self.at),
            What::Lengthen => bytes.extend([0xA5; SECTOR + 1]),
            What::Empty => bytes.clear(),
            What::Remove => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, BytesArguments};
    use crate::campaign::Suite as _;
    use crate::random::Random;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: BytesArguments,
    }

    #[test]
    fn a_kept_specimen_comes_back_and_a_case_tries_its_damages() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("specimen");
        let line = ["bytes", "--step", "4096", "--specimen", path.to_str().unwrap()];
        let arguments = Line::parse_from(line).arguments;
        let [one, two] = [(); 2].map(|()| Bytes::new(&arguments).unwrap());
        assert!(one.image == two.image && one.damages.len() == two.damages.len());
        assert!(one.answers.records() > 500);
        let counts = one.case(0, Random::of_case(1, 0)).unwrap();
        assert_eq!(counts["damages"], super::DAMAGES_OF_A_CASE);
    }
}
