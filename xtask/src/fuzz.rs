//! `cargo xtask fuzz`: builds the fuzzer with coverage, on the stable compiler, and runs targets.
//!
//! The fuzzer is a workspace of its own in `fuzz/`. It starts from the committed inputs in
//! `fuzz/corpus/TARGET`; what it finds besides goes to `target/fuzz/corpus/TARGET` and is used by
//! the next run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

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
Usage: cargo xtask fuzz [TARGET] [--seconds N | --runs N] | --seeds

Without TARGET, every target one after the other, 30 s each. --seeds writes the inputs to start
from, taken from real stores, to fuzz/corpus.
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Request<'a> {
    target: Option<&'a str>,
    /// The option that ends a target's run.
    limit: String,
    seeds: bool,
}

fn request<'a>(words: &[&'a str]) -> Option<Request<'a>> {
    let mut request = Request { target: None, limit: "-max_total_time=30".into(), seeds: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--seeds" => request.seeds = true,
            "--seconds" => {
                request.limit = format!("-max_total_time={}", words.next()?.parse::<u64>().ok()?);
            }
            "--runs" => request.limit = format!("-runs={}", words.next()?.parse::<u64>().ok()?),
            option if option.starts_with('-') => return None,
            name if request.target.is_none() => request.target = Some(name),
            _ => return None,
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
    let chosen: Vec<&String> =
        names.iter().filter(|name| request.target.is_none_or(|wanted| wanted == *name)).collect();
    if chosen.is_empty() {
        println!("there is no such target; there are: {}", names.join(", "));
        return false;
    }
    println!("| target | executions | per second | coverage | features |");
    println!("| --- | --- | --- | --- | --- |");
    let mut sound = true;
    for name in chosen {
        sound &= fuzz(root, &program, name, &request.limit);
    }
    sound
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
    use super::{reached, request};

    #[test]
    fn a_request_names_a_target_and_a_limit_in_any_order() {
        let one = request(&["--runs", "5", "head"]).unwrap();
        assert_eq!((one.target, one.limit.as_str()), (Some("head"), "-runs=5"));
        assert!(request(&["head", "block"]).is_none() && request(&["--runs"]).is_none());
    }

    #[test]
    fn what_was_reached_is_read_from_the_last_lines() {
        let said = "#1 cov: 3 ft: 4 x\n#9 cov: 30 ft: 40 x\n\
                    stat::number_of_executed_units: 9\nstat::average_exec_per_sec:     2\n";
        assert_eq!(reached(said), ["9", "2", "30", "40"]);
    }
}
