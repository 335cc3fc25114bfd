//! The book is true: its commands run and print what it shows, its links lead somewhere, and its
//! lists hold what the code has.
//!
//! In the book's fenced blocks:
//! - `toml,file=universe.toml` (or another language) writes a file;
//! - `console` holds commands behind `$ ` and what they print. A line `...` stands for any lines,
//!   `[..]` for any part of a line; commands without output may print anything;
//! - `console,exit=3` says with which status the block's last command ends;
//! - `console,needs-universe` uses what the demo universe has built, and is run where
//!   `JTWBUILD_DEMO_STORE` names its store (`tests/run book`);
//! - `console,needs-network` begins with an empty store, and is run in the same place.
//!
//! The blocks of one page are run in order, in one directory.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A page of the book, by its path from the repository's root.
struct Page {
    name: String,
    text: String,
}

fn pages() -> Vec<Page> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut paths = vec![repository().join("README.md"), repository().join("CONTRIBUTING.md")];
    walk(&repository().join("book/src"), &mut paths);
    paths.sort();
    let page = |path: PathBuf| Page {
        name: path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned(),
        text: fs::read_to_string(&path).unwrap(),
    };
    paths.into_iter().map(page).collect()
}

/// A fenced block: the words of its opening line, the line's number, and its text.
struct Block<'a> {
    words: Vec<&'a str>,
    line: usize,
    text: String,
}

impl Block<'_> {
    fn value(&self, key: &str) -> Option<&str> {
        self.words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        if let Some(words) = line.strip_prefix("```") {
            if !open {
                found.push(Block { words: words.split(',').collect(), line: index + 1, text: String::new() });
            }
            open = !open;
        } else if let Some(block) = found.last_mut().filter(|_| open) {
            block.text.push_str(line);
            block.text.push('\n');
        }
    }
    assert!(!open, "a block is not closed");
    found
}

/// One command of a block and the lines that it should print.
struct Step<'a> {
    command: String,
    expected: Vec<&'a str>,
}

fn steps(block: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), expected: Vec::new() });
            continue;
        }
        let step = steps.last_mut().expect("a console block begins with `$ `");
        match line.strip_prefix("> ") {
            Some(more) if step.expected.is_empty() => step.command.push_str(&format!("\n{more}")),
            _ => step.expected.push(line),
        }
    }
    steps
}

/// Whether `lines` are what `expected` says.
fn lines_match(expected: &[&str], lines: &[&str]) -> bool {
    match expected.split_first() {
        None => lines.is_empty(),
        Some((&"...", rest)) => (0..=lines.len()).any(|skipped| lines_match(rest, &lines[skipped..])),
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, lines)| line_matches(first, line) && lines_match(rest, lines)),
    }
}

fn line_matches(expected: &str, line: &str) -> bool {
    let line = line.trim_end();
    let parts: Vec<&str> = expected.trim_end().split("[..]").collect();
    let [first, middle @ .., last] = parts.as_slice() else { return expected.trim_end() == line };
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether a block is not for every machine.
fn is_demanding(block: &Block<'_>) -> bool {
    block.words.iter().any(|word| ["needs-universe", "needs-network"].contains(word))
}

/// Runs a page's blocks: all, or those that are for every machine.
fn run_page(page: &Page, demo_store: Option<&Path>) {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path().join("work");
    fs::create_dir(&here).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_jtwbuild")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let own_store = directory.path().join("store");
    for block in blocks(&page.text) {
        if let Some(name) = block.value("file") {
            let file = here.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, &block.text).unwrap();
        }
        if block.words[0] != "console" || (is_demanding(&block) && demo_store.is_none()) {
            continue;
        }
        let needs_universe = block.words.contains(&"needs-universe");
        let store = demo_store.filter(|_| needs_universe).unwrap_or(&own_store);
        let steps = steps(&block.text);
        for (index, step) in steps.iter().enumerate() {
            let at = format!("{}:{}: `{}`", page.name, block.line, step.command);
            let output = Command::new("bash")
                .args(["-euo", "pipefail", "-c", &format!("exec 2>&1\n{}", step.command)])
                .current_dir(&here)
                .env("PATH", &path)
                .env("JTWBUILD_STORE", store)
                .env("NO_COLOR", "1")
                .output()
                .unwrap();
            let printed = String::from_utf8_lossy(&output.stdout);
            println!("{at}\n{printed}");
            let status = match block.value("exit") {
                Some(status) if index + 1 == steps.len() => status.parse().unwrap(),
                _ => 0,
            };
            assert_eq!(output.status.code(), Some(status), "{at} printed:\n{printed}");
            let lines: Vec<&str> = printed.lines().collect();
            assert!(
                step.expected.is_empty() || lines_match(&step.expected, &lines),
                "{at} should print:\n{}\nand printed:\n{printed}",
                step.expected.join("\n")
            );
        }
    }
}

#[test]
fn commands_that_need_no_universe_do_what_the_book_says() {
    pages().iter().for_each(|page| run_page(page, None));
}

#[test]
#[ignore = "needs the demo universe: tests/run book"]
fn commands_that_build_do_what_the_book_says() {
    let store = std::env::var_os("JTWBUILD_DEMO_STORE").expect("JTWBUILD_DEMO_STORE names the store");
    let store = fs::canonicalize(store).expect("the store of the demo universe is there");
    let is_concerned = |page: &&Page| blocks(&page.text).iter().any(is_demanding);
    let pages = pages();
    let concerned: Vec<&Page> = pages.iter().filter(is_concerned).collect();
    assert!(concerned.len() > 2, "the tutorial is missing");
    concerned.iter().for_each(|page| run_page(page, Some(&store)));
}

#[test]
fn output_patterns_mean_what_the_book_says() {
    assert!(lines_match(&["a", "...", "z"], &["a", "b", "c", "z"]));
    assert!(lines_match(&["..."], &[]));
    assert!(!lines_match(&["a"], &["a", "b"]));
    assert!(!lines_match(&["a", "...", "z"], &["a", "b"]));
    assert!(line_matches("built [..] in [..] s", "built 3 nodes in 1.5 s"));
    assert!(!line_matches("built [..] in [..] s", "built 3 nodes in 1.5 min"));
    assert!(!line_matches("ab[..]bc", "abc"));
    let steps = steps("$ a \\\n> b\nout\n$ c\n");
    assert_eq!(steps[0].command, "a \\\nb");
    assert_eq!(steps[0].expected, ["out"]);
    assert_eq!(steps.len(), 2);
}

/// The targets of a page's links and images, outside of code blocks.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        }
        if in_block {
            continue;
        }
        for part in line.split("](").skip(1) {
            found.extend(part.split_once(')').map(|(target, _)| target.to_owned()));
        }
    }
    found
}

/// The name by which mdBook lets one jump to a heading.
fn anchor(heading: &str) -> String {
    let plain = heading.trim_start_matches('#').trim();
    let kept = plain.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn links_of_the_book_lead_somewhere() {
    let mut count = 0;
    for page in pages() {
        // A link to a page's own directory is the way in which GitHub and mdBook agree.
        let directory = repository().join(&page.name).parent().unwrap().to_owned();
        for link in links(&page.text) {
            if link.starts_with("https://") {
                continue;
            }
            count += 1;
            let (path, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { repository().join(&page.name) } else { directory.join(path) };
            assert!(target.exists(), "{}: `{link}` leads nowhere", page.name);
            if !fragment.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#')).map(anchor);
                assert!(
                    headings.any(|heading| heading == fragment),
                    "{}: `{link}`: no such heading",
                    page.name
                );
            }
        }
    }
    assert!(count > 20, "only {count} links");
}

#[test]
fn every_page_is_in_the_summary() {
    let summary = fs::read_to_string(repository().join("book/src/SUMMARY.md")).unwrap();
    let listed: BTreeSet<String> = links(&summary).into_iter().collect();
    let there: BTreeSet<String> = pages()
        .iter()
        .filter_map(|page| page.name.strip_prefix("book/src/"))
        .filter(|name| *name != "SUMMARY.md")
        .map(str::to_owned)
        .collect();
    assert_eq!(listed, there);
}

#[test]
fn every_dependency_has_its_line() {
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let names = |table: &str| manifest[table].as_table().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let used: BTreeSet<String> = names("dependencies").union(&names("dev-dependencies")).cloned().collect();
    let page = fs::read_to_string(repository().join("book/src/design/dependencies.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
    let described: BTreeSet<String> = rows
        .flat_map(|(names, _)| names.split(", "))
        .filter(|name| *name != "crate")
        .map(str::to_owned)
        .collect();
    assert_eq!(described, used);
}

const GENERATED: &str = "<!-- The rest is generated: UPDATE_BOOK=1 cargo test --test book reference -->\n";

/// What `jtwbuild ARGUMENTS --help` prints, as a section of the reference.
fn help(title: &str, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_jtwbuild"))
        .args(arguments)
        .arg("--help")
        .env("COLUMNS", "100")
        .env_remove("JTWBUILD_STORE")
        .env_remove("JTWBUILD_CACHE")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    format!("\n## `{title}`\n\n```text\n{lines}```\n")
}

/// The verbs that the program lists.
fn verbs(help: &str) -> Vec<&str> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    listed
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect()
}

#[test]
fn reference_of_the_command_line_is_what_the_program_says() {
    let overview = help("jtwbuild", &[]);
    let verbs = verbs(&overview);
    assert!(verbs.contains(&"realise") && verbs.contains(&"plan"), "{verbs:?}");
    let mut generated = overview.clone();
    for verb in verbs {
        let of_verb = help(&format!("jtwbuild {verb}"), &[verb]);
        generated.push_str(&of_verb);
        for below in self::verbs(&of_verb) {
            generated.push_str(&help(&format!("jtwbuild {verb} {below}"), &[verb, below]));
        }
    }
    let path = repository().join("book/src/reference/cli.md");
    let page = fs::read_to_string(&path).unwrap();
    let (head, found) = page.split_once(GENERATED).expect("the page has its marker");
    if std::env::var_os("UPDATE_BOOK").is_some() {
        fs::write(&path, format!("{head}{GENERATED}{generated}")).unwrap();
        return;
    }
    assert_eq!(found, generated, "{GENERATED}");
}

/// Codes as they stand in the sources: whole ones, and the last words that readers of files give
/// to their reports.
#[test]
fn every_error_code_is_in_the_reference() {
    fn walk(directory: &Path, found: &mut String) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if !path.ends_with("tests.rs") && !path.to_str().unwrap().contains("/tests/") {
                let text = fs::read_to_string(&path).unwrap();
                found.push_str(text.split("#[cfg(test)]").next().unwrap());
            }
        }
    }
    let mut sources = String::new();
    walk(&repository().join("src"), &mut sources);
    let is_code = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let mut codes = BTreeSet::new();
    for opening in ["problem(", "report(", "problems.add(", "error_at(", "code:"] {
        for rest in sources.split(opening).skip(1) {
            // The code is the first string among the first arguments.
            let before = rest.split('"').next().unwrap();
            let plain = before.chars().all(|c| c.is_alphanumeric() || "_.,* \n".contains(c));
            if let Some(code) = rest.split('"').nth(1).filter(|code| plain && is_code(code)) {
                codes.insert(code.to_owned());
            }
        }
    }
    for quoted in sources.split('"') {
        let parts: Vec<&str> = quoted.split("::").collect();
        if let ["jtwbuild", area, code] = parts.as_slice()
            && is_code(area)
            && is_code(code)
        {
            codes.insert(quoted.to_owned());
        }
    }
    assert!(codes.len() > 30, "{codes:?}");
    let page = fs::read_to_string(repository().join("book/src/reference/errors.md")).unwrap();
    let missing: Vec<&String> = codes
        .iter()
        .filter(|code| {
            let last = code.rsplit("::").next().unwrap();
            !page.contains(&format!("`{code}`")) && !page.contains(&format!("`{last}`"))
        })
        .collect();
    assert!(missing.is_empty(), "the reference lacks {missing:?}");
}
