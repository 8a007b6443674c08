//! A page of the guide: its fenced blocks, and how an expected output is compared.

/// A page, as far as it can be run.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) name: String,
    pub(super) blocks: Vec<Block>,
}

/// A fenced block. Only those of a console have commands.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) fence: Fence,
    pub(super) commands: Vec<Typed>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fence {
    /// Run; the last command ends with this code, the others with 0.
    Console { exit: i32 },
    /// Run as documentation tests of a crate.
    Rust,
    /// Only read.
    Shown,
}

/// A command and what it prints; nothing means that its output is not looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) expected: Vec<String>,
}

type Numbered<'a> = (usize, &'a str);

impl Page {
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut blocks = Vec::new();
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        while let Some((number, line)) = lines.next() {
            let at = |what: String| format!("{name}:{number}: {what}");
            let Some(tag) = line.trim_start().strip_prefix("```") else { continue };
            if line.starts_with(' ') {
                return Err(at("an indented block is not run".to_owned()));
            }
            let fence = fence(tag).map_err(at)?;
            let mut body = Vec::new();
            loop {
                match lines.next() {
                    Some((_, "```")) => break,
                    Some(one) => body.push(one),
                    None => return Err(at("the block does not end".to_owned())),
                }
            }
            let console = matches!(fence, Fence::Console { .. });
            let commands = if console { commands(&body).map_err(at)? } else { Vec::new() };
            blocks.push(Block { fence, commands });
        }
        Ok(Self { name: name.to_owned(), blocks })
    }
}

fn fence(tag: &str) -> Result<Fence, String> {
    match tag {
        "console" => Ok(Fence::Console { exit: 0 }),
        "rust" | "rust,no_run" => Ok(Fence::Rust),
        "text" | "json" => Ok(Fence::Shown),
        _ => tag
            .strip_prefix("console exit=")
            .and_then(|code| code.parse().ok())
            .map(|exit| Fence::Console { exit })
            .ok_or_else(|| {
                format!("blocks are console, console exit=N, rust, text or json: {tag}")
            }),
    }
}

fn commands(body: &[Numbered<'_>]) -> Result<Vec<Typed>, String> {
    let mut found: Vec<Typed> = Vec::new();
    let mut rest = body.iter();
    while let Some((number, line)) = rest.next() {
        if let Some(command) = line.strip_prefix("$ ") {
            let text = whole(command, &mut rest);
            found.push(Typed { line: *number, text, expected: Vec::new() });
        } else if let Some(last) = found.last_mut() {
            last.expected.push((*line).to_owned());
        } else {
            return Err(format!("line {number} is an output without a command"));
        }
    }
    if found.is_empty() { Err("a console without a command".to_owned()) } else { Ok(found) }
}

/// A command with the lines that continue it and the documents that stand in it.
fn whole<'a>(first: &str, rest: &mut impl Iterator<Item = &'a Numbered<'a>>) -> String {
    let mut text = first.to_owned();
    while text.ends_with('\\') {
        let Some((_, line)) = rest.next() else { break };
        text.push('\n');
        text.push_str(line);
    }
    if let Some((_, after)) = text.split_once("<<") {
        let end: String = after
            .trim_start_matches('\'')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        for (_, line) in rest {
            text.push('\n');
            text.push_str(line);
            if *line == end {
                break;
            }
        }
    }
    text
}

/// Whether lines are the expected ones: `...` alone stands for any lines, `[..]` for any text.
pub(super) fn matches(expected: &[&str], actual: &[&str]) -> bool {
    match expected.split_first() {
        None => actual.is_empty(),
        Some((&"...", rest)) => (0..=actual.len()).any(|skip| matches(rest, &actual[skip..])),
        Some((line, rest)) => actual
            .split_first()
            .is_some_and(|(first, others)| line_matches(line, first) && matches(rest, others)),
    }
}

fn line_matches(expected: &str, actual: &str) -> bool {
    // Editors and reviewers do not see blanks at the end of a line.
    let (expected, actual) = (expected.trim_end(), actual.trim_end());
    let Some((start, rest)) = expected.split_once("[..]") else { return expected == actual };
    actual.strip_prefix(start).is_some_and(|left| {
        left.char_indices()
            .map(|(at, _)| at)
            .chain([left.len()])
            .any(|at| line_matches(rest, &left[at..]))
    })
}

/// Whether a text that is typed calls this command, whatever options stand before it.
pub(super) fn calls(text: &str, command: &[String]) -> bool {
    let words: Vec<&str> = text.split([' ', '\n', '\t', ')', '(', '`', '"', '\'', ';']).collect();
    words.split(|word| matches!(*word, "|" | "&&" | "||")).any(|one| {
        let program = one.iter().position(|word| *word == "forgeone-db");
        program.is_some_and(|at| one[at..].windows(command.len()).any(|words| words == command))
    })
}

/// The files that a page links, without those of other hosts.
pub(super) fn links(text: &str) -> Vec<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link.split('#').next().unwrap_or_default().to_owned())
        .filter(|link| !link.is_empty() && !link.contains("://"))
        .collect()
}

#[test]
fn commands_take_their_continuations_and_documents_with_them() {
    let text =
        "```console exit=5\n$ one \\\n  two\nout\n...\n$ cat <<'EOF' | wc\n$ a\nEOF\n1\n```\n";
    let page = Page::parse("p.md", text).unwrap();
    assert_eq!(page.blocks[0].fence, Fence::Console { exit: 5 });
    let typed = |line, text: &str, expected: &[&str]| Typed {
        line,
        text: text.to_owned(),
        expected: expected.iter().map(|&one| one.to_owned()).collect(),
    };
    assert_eq!(
        page.blocks[0].commands,
        [
            typed(2, "one \\\n  two", &["out", "..."]),
            typed(6, "cat <<'EOF' | wc\n$ a\nEOF", &["1"])
        ]
    );
}

#[test]
fn blocks_that_nobody_runs_are_refused() {
    for text in ["```sh\n```\n", "```\n```\n", " ```console\n", "```console\nout\n```\n"] {
        assert!(Page::parse("p.md", text).unwrap_err().starts_with("p.md:1: "), "{text}");
    }
    assert!(Page::parse("p.md", "```console\n$ one\n").is_err());
}

#[test]
fn dots_stand_for_lines_and_for_parts_of_one() {
    assert!(matches(&["a", "...", "d"], &["a", "b", "c", "d"]));
    assert!(matches(&["a", "...", "d"], &["a", "d"]));
    assert!(!matches(&["a", "...", "d"], &["a", "b"]));
    assert!(!matches(&["a"], &["a", "b"]));
    assert!(matches(&["x [..] y[..]"], &["x 1 y y2"]));
    assert!(!matches(&["x [..] y"], &["x 1 y2"]));
}

#[test]
fn a_command_is_called_only_by_its_whole_name() {
    let events_get = ["events".to_owned(), "get".to_owned()];
    assert!(calls("cat x | forgeone-db --json events get 1", &events_get));
    assert!(!calls("forgeone-db events query | grep get", &events_get));
    assert!(!calls("events get", &events_get));
}
