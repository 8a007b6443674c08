//! `cargo xtask fuzz`: builds the fuzzer with coverage, on the stable compiler, and runs targets.
//!
//! The fuzzer is a workspace of its own in `fuzz/`. It starts from the committed inputs in
//! `fuzz/corpus/TARGET`; what it finds besides goes to `target/fuzz/corpus/TARGET` and is used by
//! the next run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

const PROGRAM: &str = "forgeone-db-fuzz";
const TARGET_FOLDER: &str = "target/fuzz";
/// What the fuzzer needs of the compiler: where the program has been, and what it compared.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Beyond these a target counts as broken.
const LIMITS: [&str; 2] = ["-rss_limit_mb=512", "-timeout=10"];

pub(crate) const USAGE: &str = "\
Usage: cargo xtask fuzz [TARGET ...] [--seconds N | --runs N] [--jobs N] | --seeds

Without TARGET, every target, 30 s each; as many at once as --jobs says, one for each core by
default. --seeds writes the inputs to start from, taken from real stores, to fuzz/corpus.
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Request<'a> {
    /// None is all of them.
    targets: Vec<&'a str>,
    /// The option that ends a target's run.
    limit: String,
    /// Targets at once; one for each core if nothing is said.
    jobs: Option<usize>,
    seeds: bool,
}

fn request<'a>(words: &[&'a str]) -> Option<Request<'a>> {
    let limit = "-max_total_time=30".into();
    let mut request = Request { targets: Vec::new(), limit, jobs: None, seeds: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--seeds" => request.seeds = true,
            "--seconds" => {
                request.limit = format!("-max_total_time={}", words.next()?.parse::<u64>().ok()?);
            }
            "--runs" => request.limit = format!("-runs={}", words.next()?.parse::<u64>().ok()?),
            "--jobs" => request.jobs = Some(words.next()?.parse().ok()?),
            option if option.starts_with('-') => return None,
            name => request.targets.push(name),
        }
    }
    Some(request)
}

/// Runs what `words` ask for. True if nothing was found.
pub(crate) fn run(root: &Path, words: &[&str]) -> bool {
    let Some(request) = request(words) else {
        eprint!("{USAGE}");
        return false;
    };
    let Some(program) = build(root) else { return false };
    if request.seeds {
        let corpus = root.join("fuzz/corpus");
        let status = Command::new(program).env("FORGEONE_FUZZ_SEEDS", corpus).status();
        return status.is_ok_and(|status| status.success());
    }
    let names = targets(&program);
    let wanted =
        |name: &&String| request.targets.is_empty() || request.targets.contains(&name.as_str());
    let chosen: Vec<&String> = names.iter().filter(wanted).collect();
    if chosen.is_empty() || chosen.len() < request.targets.len() {
        println!("there is no such target; there are: {}", names.join(", "));
        return false;
    }
    println!("| target | executions | per second | coverage | features |");
    println!("| --- | --- | --- | --- | --- |");
    let jobs = request.jobs.or_else(|| Some(thread::available_parallelism().ok()?.get()));
    fuzz_all(&chosen, jobs.unwrap_or(1), &|name| fuzz(root, &program, name, &request.limit))
}

/// Runs targets, so many at once, the next as soon as one ends. True if nothing was found.
fn fuzz_all(names: &[&String], jobs: usize, fuzz: &(impl Fn(&str) -> bool + Sync)) -> bool {
    let (next, sound) = (AtomicUsize::new(0), AtomicBool::new(true));
    let work = || {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !fuzz(name) {
                sound.store(false, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, names.len()) {
            scope.spawn(work);
        }
    });
    sound.into_inner()
}

/// The program, built. With a target named, so that build scripts are built without coverage.
fn build(root: &Path) -> Option<PathBuf> {
    let host = host()?;
    let manifest = "fuzz/Cargo.toml";
    let args = ["build", "--release", "--locked", "--manifest-path", manifest, "--target", &host];
    let args: Vec<&str> = args.into_iter().chain(["--target-dir", TARGET_FOLDER]).collect();
    let built = crate::ci::cargo(root, &args, &[("RUSTFLAGS", RUSTFLAGS)]);
    built.then(|| root.join(TARGET_FOLDER).join(host).join("release").join(PROGRAM))
}

fn host() -> Option<String> {
    let output = Command::new("rustc").arg("-vV").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}

/// Without a target chosen, the program says which there are.
fn targets(program: &Path) -> Vec<String> {
    let output = Command::new(program).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().map(str::to_owned).collect()
}

/// Runs one target and prints what it reached. True if nothing was found.
fn fuzz(root: &Path, program: &Path, name: &str, limit: &str) -> bool {
    let folder = root.join(TARGET_FOLDER);
    let (own, log) = (folder.join("corpus").join(name), folder.join(format!("{name}.log")));
    let found = folder.join("found");
    let committed = root.join("fuzz/corpus").join(name);
    match run_program((program, name), &[&own, &committed], limit, (&found, &log)) {
        Ok(status) => {
            let said = fs::read(&log).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            println!("| {name} | {} |", reached(&said).join(" | "));
            if !status.success() {
                tell(program, name, &said);
            }
            status.success()
        }
        Err(error) => {
            println!("{name} could not be run: {error}");
            false
        }
    }
}

fn run_program(
    (program, name): (&Path, &str),
    corpora: &[&Path],
    limit: &str,
    (found, log): (&Path, &Path),
) -> std::io::Result<ExitStatus> {
    fs::create_dir_all(found)?;
    for corpus in corpora {
        fs::create_dir_all(corpus)?;
    }
    let said = fs::File::create(log)?;
    Command::new(program)
        .args(corpora)
        .args([limit, "-print_final_stats=1"])
        .args(LIMITS)
        .arg(format!("-artifact_prefix={}/{name}-", found.display()))
        .env("FORGEONE_FUZZ_TARGET", name)
        .stdout(said.try_clone()?)
        .stderr(said)
        .status()
}

/// Executions, executions a second, coverage and features, as the fuzzer says them.
fn reached(said: &str) -> [String; 4] {
    let after = |label: &str| {
        let found = said.rsplit_once(label).map(|(_, rest)| rest.split_whitespace().next());
        found.flatten().unwrap_or("?").to_owned()
    };
    [
        after("stat::number_of_executed_units:"),
        after("stat::average_exec_per_sec:"),
        after(" cov: "),
        after(" ft: "),
    ]
}

/// What was found, and how to see it again.
fn tell(program: &Path, name: &str, said: &str) {
    let lines: Vec<&str> = said.lines().collect();
    let tail = lines.len().saturating_sub(40);
    println!("{}", lines.get(tail..).unwrap_or_default().join("\n"));
    if let Some((_, file)) = said.rsplit_once("Test unit written to ") {
        let file = file.lines().next().unwrap_or_default();
        println!("replay: FORGEONE_FUZZ_TARGET={name} {} {file}", program.display());
    }
}

#[cfg(test)]
mod tests {
    use super::{fuzz_all, reached, request};
    use std::sync::Mutex;

    #[test]
    fn a_request_names_a_target_and_a_limit_in_any_order() {
        let two = request(&["head", "--runs", "5", "block", "--jobs", "3"]).unwrap();
        assert_eq!(two.targets, ["head", "block"]);
        assert_eq!((two.limit.as_str(), two.jobs), ("-runs=5", Some(3)));
        assert!(request(&["--jobs", "x"]).is_none() && request(&["--runs"]).is_none());
    }

    #[test]
    fn every_target_is_run_once_and_one_finding_is_enough() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let names: Vec<&String> = names.iter().collect();
        for jobs in [1, 2, 9] {
            let run = Mutex::new(Vec::new());
            let sound = fuzz_all(&names, jobs, &|name: &str| {
                run.lock().unwrap().push(name.to_owned());
                name != "b"
            });
            let mut run = run.into_inner().unwrap();
            run.sort();
            assert_eq!((run.concat().as_str(), sound), ("abc", false));
        }
    }

    #[test]
    fn what_was_reached_is_read_from_the_last_lines() {
        let said = "#1 cov: 3 ft: 4 x\n#9 cov: 30 ft: 40 x\n\
                    stat::number_of_executed_units: 9\nstat::average_exec_per_sec:     2\n";
        assert_eq!(reached(said), ["9", "2", "30", "40"]);
    }
}
