//! Examples that nobody runs are wrong after the next change, and a command that the guide leaves
//! out is not found. Provoked by typing every example of `docs/guide` into a shell, page by page,
//! and by holding the pages beside `--help`: output and exit codes must be those that a page
//! prints, every command must be shown, every page and file that is linked must be there.

mod page;
mod shell;

use crate::support::{Home, run};
use page::{Block, Fence, Page, matches};
use shell::Shell;
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display())).unwrap()
}

/// The pages in the order of their names, which begin with their numbers.
fn pages() -> Vec<Page> {
    let mut paths: Vec<PathBuf> = fs::read_dir(repository().join("docs/guide"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            Page::parse(&name, &read(path)).unwrap()
        })
        .collect()
}

fn consoles(page: &Page) -> impl Iterator<Item = (&Block, i32)> {
    page.blocks.iter().filter_map(|block| match block.fence {
        Fence::Console { exit } => Some((block, exit)),
        _ => None,
    })
}

/// Everything on a page that is not as it says.
fn differences(page: &Page) -> Vec<String> {
    let mut shell = Shell::new();
    let mut found = Vec::new();
    for (block, exit) in consoles(page) {
        let last = block.commands.len().saturating_sub(1);
        for (number, command) in block.commands.iter().enumerate() {
            let wanted = if number == last { exit } else { 0 };
            let (code, output) = shell.run(&command.text);
            let lines: Vec<&str> = output.lines().collect();
            let expected: Vec<&str> = command.expected.iter().map(String::as_str).collect();
            if code != wanted || !(expected.is_empty() || matches(&expected, &lines)) {
                found.push(format!(
                    "{}:{}: $ {}\n-- exit code {code}, expected {wanted}\n-- expected output:\n{}\n\
                     -- actual output:\n{}\n",
                    page.name,
                    command.line,
                    command.text,
                    expected.join("\n"),
                    lines.join("\n")
                ));
            }
        }
    }
    found
}

#[test]
fn every_example_of_the_guide_prints_what_its_page_says() {
    let pages = pages();
    assert!(pages.iter().flat_map(consoles).count() > 0);
    // Pages share nothing, so they run side by side.
    let found: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> =
            pages.iter().map(|page| scope.spawn(move || differences(page))).collect();
        running.into_iter().flat_map(|page| page.join().unwrap()).collect()
    });
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_command_is_shown_in_the_guide() {
    let pages = pages();
    let typed: Vec<&str> = pages
        .iter()
        .flat_map(consoles)
        .flat_map(|(block, _)| &block.commands)
        .map(|command| command.text.as_str())
        .collect();
    let missing: Vec<String> = commands(&[])
        .iter()
        .filter(|command| !typed.iter().any(|text| page::calls(text, command)))
        .map(|command| command.join(" "))
        .collect();
    assert!(missing.is_empty(), "no example in docs/guide for: {}", missing.join(", "));
}

/// All commands below this one that have no others below them, as `--help` lists them.
fn commands(above: &[String]) -> Vec<Vec<String>> {
    let mut args: Vec<&str> = above.iter().map(String::as_str).collect();
    args.push("--help");
    let help = run(Home::empty().bare(&args), b"").ok().out;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names: Vec<&str> = listed
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .collect();
    if names.is_empty() {
        return vec![above.to_vec()];
    }
    names
        .iter()
        .flat_map(|name| {
            let mut command = above.to_vec();
            command.push((*name).to_owned());
            commands(&command)
        })
        .collect()
}

#[test]
fn every_page_is_linked_and_every_link_leads_somewhere() {
    let root = repository();
    let guide = root.join("docs/guide");
    let contents = read(&guide.join("README.md"));
    assert!(read(&root.join("README.md")).contains("(docs/guide/README.md)"));
    for page in pages() {
        let linked = page.name == "README.md" || contents.contains(&format!("({})", page.name));
        assert!(linked, "docs/guide/README.md does not link {}", page.name);
        for link in page::links(&read(&guide.join(&page.name))) {
            assert!(guide.join(&link).exists(), "{}: no file {link}", page.name);
        }
    }
}

#[test]
fn every_rust_example_of_the_guide_is_in_a_crate_s_documentation_tests() {
    let sources: Vec<String> = ["forgeone-db", "forgeone-db-tracing"]
        .map(|name| read(&repository().join(format!("crates/{name}/src/lib.rs"))))
        .into();
    for page in pages() {
        if page.blocks.iter().any(|block| block.fence == Fence::Rust) {
            let include = format!("include_str!(\"../../../docs/guide/{}\")", page.name);
            assert!(sources.iter().any(|source| source.contains(&include)), "{}", page.name);
        }
    }
}

#[test]
fn a_wrong_example_is_named_with_page_line_command_and_both_outputs() {
    let text = "# Page\n\n```console\n$ echo one\none\n$ export WORD=two; mkdir below; cd below\n$ \
                echo $WORD; pwd\ntwo\n[..]/below\n$ echo three\nfour\n```\n\n```console exit=3\n$ \
                exit 4\n```\n";
    let page = Page::parse("wrong.md", text).unwrap();
    let found = differences(&page);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(
        found[0],
        "wrong.md:10: $ echo three\n-- exit code 0, expected 0\n-- expected output:\nfour\n-- \
         actual output:\nthree\n"
    );
    assert!(found[1].starts_with("wrong.md:15: $ exit 4\n-- exit code 4, expected 3\n"));
}
