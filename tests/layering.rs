//! Holds `src/` to its layout: who may use whom, and what only some files may do.
//!
//! The crate is one crate; this test stands where a workspace would have crate boundaries.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Who may use whom, lowest layer first: a module may use itself, what its line lists, and
/// nothing else of the crate. Where a part of a module is lower than the rest (the tree *types*
/// of the store, the templates of recipes), the part has its own line, and whoever may use the
/// module may use the part. A line may only name modules of the lines above it, so the table
/// cannot have a cycle.
///
/// What the table keeps apart:
/// - reading (`universe`, `recipe`, `package`, `findlib`, `install`, `solve`) knows no store
///   beyond the types of trees, no sandbox, no clock, no network, no environment;
/// - `derivation` and `plan` do no input or output: equal input gives equal bytes. What they take
///   from the machine is hashed by `pins` before;
/// - `realise` knows no terminal, no TOML and no namespaces: it defines the traits that the
///   sandbox, the fetchers and the progress display fill in. `builder` is the one place where
///   derivations meet sandbox and network;
/// - `sandbox` and `fetch` know no plan; `store` knows nothing above it, and no OCaml;
/// - only the command line (`cli`) knows everything, and nobody knows the command line.
const MAY_USE: &[(&str, &[&str])] = &[
    ("bytes", &[]),
    ("legible", &[]),
    ("look", &["bytes"]),
    ("diagnostic", &[]),
    ("toml_reader", &["diagnostic"]),
    ("name", &["diagnostic", "toml_reader"]),
    ("path", &["diagnostic", "toml_reader"]),
    ("version", &["diagnostic", "toml_reader"]),
    ("source", &["path"]),
    ("effects", &[]),
    ("moment", &[]),
    ("ocaml", &[]),
    ("explain", &["legible", "moment", "ocaml"]),
    ("store::key", &[]),
    ("store::tree", &[]),
    ("findlib", &["store::tree"]),
    ("install", &["store::tree"]),
    ("request", &["store::tree"]),
    ("outcome", &[]),
    ("store", &["bytes", "source", "outcome", "store::key", "store::tree"]),
    ("statement", &["diagnostic", "toml_reader", "store", "store::key", "store::tree"]),
    ("recipe::template", &["toml_reader", "name", "path"]),
    ("recipe::overlay", &["toml_reader", "diagnostic", "name"]),
    ("recipe::values", &["toml_reader", "name", "path", "source", "request", "recipe::template"]),
    (
        "package",
        &[
            "toml_reader",
            "diagnostic",
            "name",
            "path",
            "version",
            "source",
            "recipe::template",
            "recipe::values",
            "recipe::overlay",
        ],
    ),
    ("recipe", &["toml_reader", "diagnostic", "name", "path", "version", "source", "request", "package"]),
    ("opam", &["diagnostic", "name", "path", "version", "source", "package", "store::tree"]),
    ("lock", &["toml_reader", "diagnostic", "name", "path", "version", "source"]),
    ("pins", &["name", "path", "source", "outcome", "recipe", "lock", "store"]),
    (
        "universe",
        &[
            "effects",
            "toml_reader",
            "diagnostic",
            "name",
            "path",
            "version",
            "source",
            "request",
            "package",
            "recipe",
        ],
    ),
    ("solution", &["name", "path", "version", "source", "store::tree", "recipe::values", "package"]),
    ("solve", &["diagnostic", "name", "version", "package", "lock", "universe", "solution"]),
    ("derivation", &["effects", "name", "version", "source", "request", "store::key", "store::tree"]),
    (
        "plan",
        &[
            "diagnostic",
            "name",
            "path",
            "version",
            "source",
            "request",
            "store::key",
            "store::tree",
            "recipe",
            "package",
            "lock",
            "pins",
            "universe",
            "opam",
            "solution",
            "derivation",
        ],
    ),
    ("memo", &["bytes", "look", "source", "store", "store::tree", "derivation", "plan"]),
    ("fetch", &["bytes", "legible", "diagnostic", "source", "version", "outcome", "store"]),
    (
        "repository",
        &[
            "bytes",
            "legible",
            "diagnostic",
            "name",
            "version",
            "source",
            "outcome",
            "package",
            "opam",
            "store",
            "fetch",
        ],
    ),
    (
        "releases",
        &[
            "diagnostic",
            "name",
            "opam",
            "path",
            "pins",
            "recipe",
            "recipe::values",
            "repository",
            "solution",
            "solve",
            "source",
            "universe",
            "version",
        ],
    ),
    ("proof", &["request", "derivation", "plan", "store", "store::tree"]),
    ("sandbox", &["legible", "request", "outcome", "store"]),
    ("realise", &["source", "request", "outcome", "derivation", "plan", "store"]),
    ("jtw", &["effects", "findlib", "install", "name", "version", "source", "outcome", "plan", "store"]),
    ("compress", &["store", "store::tree"]),
    ("assemble", &["compress", "effects", "name", "version", "outcome", "findlib", "jtw", "plan", "store"]),
    (
        "switch",
        &[
            "bytes",
            "look",
            "diagnostic",
            "effects",
            "store::tree",
            "findlib",
            "store",
            "recipe::overlay",
            "jtw",
            "assemble",
        ],
    ),
    ("publish", &["outcome", "store", "jtw", "assemble", "compress"]),
    (
        "inspect",
        &[
            "legible",
            "ocaml",
            "explain",
            "source",
            "outcome",
            "lock",
            "store",
            "solution",
            "derivation",
            "plan",
            "assemble",
            "compress",
        ],
    ),
    ("audit", &["legible", "outcome", "explain", "derivation", "store", "realise", "inspect"]),
    (
        "builder",
        &[
            "source",
            "diagnostic",
            "path",
            "version",
            "findlib",
            "opam",
            "install",
            "request",
            "outcome",
            "derivation",
            "pins",
            "store",
            "fetch",
            "sandbox",
            "realise",
            "jtw",
            "compress",
            "assemble",
            "audit",
        ],
    ),
    ("serve", &["store", "publish", "compress"]),
    ("doctor", &["request", "outcome", "store", "fetch", "sandbox"]),
    (
        "cli",
        &[
            "legible",
            "moment",
            "explain",
            "toml_reader",
            "diagnostic",
            "name",
            "path",
            "version",
            "source",
            "findlib",
            "install",
            "request",
            "outcome",
            "package",
            "recipe",
            "lock",
            "pins",
            "universe",
            "opam",
            "solution",
            "releases",
            "solve",
            "derivation",
            "plan",
            "store",
            "fetch",
            "inspect",
            "audit",
            "repository",
            "sandbox",
            "memo",
            "realise",
            "effects",
            "jtw",
            "compress",
            "assemble",
            "switch",
            "builder",
            "publish",
            "serve",
            "doctor",
            "statement",
            "proof",
        ],
    ),
];

/// Things that only the listed files (or directories, ending in `/`) may write down. The words
/// are looked for in code without comments, as whole words.
const ONLY_IN: &[(&str, &[&str])] = &[
    // In serve: words of the Content-Security-Policy.
    ("unsafe", &["src/sandbox/namespaces.rs", "src/serve/headers.rs"]),
    // In cli: a terminal that does not show what is typed, and a whole process group that is ended.
    (
        "nix",
        &[
            "src/sandbox.rs",
            "src/sandbox/",
            "src/store/disk.rs",
            "src/store/disk/",
            "src/cli/passphrase.rs",
            "src/cli/audit/diffoscope.rs",
        ],
    ),
    ("libc", &["src/sandbox.rs", "src/sandbox/", "src/store/disk.rs", "src/store/disk/"]),
    // Git needs the network and the user's ssh keys, which no sandbox has: the file says what it may do.
    // An installed OCaml is used as it is, and may be on a machine that has no sandbox.
    // Diffoscope is the user's own, and runs when he asks for it.
    ("process::Command", &["src/fetch/git.rs", "src/switch/program.rs", "src/cli/audit/diffoscope.rs"]),
    ("println!", &["src/cli.rs", "src/cli/"]),
    ("print!", &["src/cli.rs", "src/cli/"]),
    ("eprintln!", &["src/cli.rs", "src/cli/"]),
    ("eprint!", &["src/cli.rs", "src/cli/"]),
    ("process::exit", &["src/main.rs", "src/cli.rs", "src/cli/"]),
    ("clap", &["src/main.rs", "src/cli.rs", "src/cli/"]),
    ("miette", &["src/cli.rs", "src/cli/"]),
    ("indicatif", &["src/cli.rs", "src/cli/"]),
    ("anyhow", &[]),
    ("env::var", &["src/cli.rs", "src/cli/", "src/fetch/mirror.rs"]),
    ("env::var_os", &["src/cli.rs", "src/cli/", "src/fetch/git.rs"]),
    // The wall clock may jump: what waits or measures uses `Instant`. It is asked for what is shown
    // to people (`started` of layers, locks and roots, the age of a file), for the dates of signed
    // indexes, for what changed since a run began, and for a seed of delays.
    (
        "SystemTime",
        &[
            "src/cli/audit/page.rs",
            "src/cli/batch.rs",
            "src/cli/load.rs",
            "src/cli/load/libraries.rs",
            "src/cli/load/opam.rs",
            "src/cli/realise.rs",
            "src/cli/statement/import.rs",
            "src/cli/statement/leave.rs",
            "src/fetch/debian.rs",
            "src/fetch/debian/catalogue.rs",
            "src/fetch/debian/release.rs",
            "src/fetch/debian/suite.rs",
            "src/fetch/http.rs",
            "src/fetch/signature.rs",
            "src/look.rs",
            "src/memo/watched.rs",
            "src/realise/decide.rs",
            "src/repository/directory.rs",
            "src/store/gc/measure.rs",
            "src/store/history.rs",
            "src/store/lock.rs",
            "src/store/roots.rs",
            "src/switch/cache.rs",
            "src/switch/looked.rs",
        ],
    ),
    ("todo!", &[]),
    ("unimplemented!", &[]),
];

/// Below `src/store`, only the door to the disk may write these down: what goes past it is neither
/// flushed nor tested as the rest is.
const ONLY_IN_THE_DOOR: &[&str] = &["fs", "OpenOptions", "File::open", "File::create", "File::options"];

/// What the verbs for an installed OCaml are made of, which is to work wherever Rust does: of the crate
/// below them they use the types of trees and pure functions.
const PORTABLE: &[&str] = &["src/switch.rs", "src/switch/", "src/findlib.rs", "src/findlib/", "src/bytes.rs"];

/// Words of systems that not everybody has.
const ONLY_ON_SOME: &[&str] =
    &["nix", "libc", "os::unix", "os::linux", "store::disk", "Store", "Directory", "crate::sandbox"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "manager", "common", "misc"];

const LONGEST: usize = 500;

/// What the header of a longer file must say, with the reason.
const LONGER_BECAUSE: &str = "longer than 500 lines";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One file below `src/`: its path from the repository's root, and its text.
struct Source {
    path: String,
    text: String,
}

fn sources() -> Vec<Source> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&repository().join("src"), &mut paths);
    paths.sort();
    assert!(paths.len() > 10, "the sources were not found");
    paths
        .into_iter()
        .map(|path| Source {
            text: fs::read_to_string(&path).unwrap(),
            path: path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned(),
        })
        .collect()
}

/// The text of the file without its comments, string contents and unit tests.
fn code(text: &str) -> String {
    let mut lines = Vec::new();
    let mut rest = text.lines().peekable();
    while let Some(line) = rest.next() {
        if line == "#[cfg(test)]" && rest.peek().is_some_and(|next| next.contains('{')) {
            break;
        }
        let mut kept = String::new();
        let mut characters = line.chars().peekable();
        let mut in_string = false;
        while let Some(character) = characters.next() {
            match character {
                '\\' if in_string => drop(characters.next()),
                '\'' if !in_string && characters.peek() == Some(&'"') => drop(characters.next()),
                '"' => in_string = !in_string,
                '/' if !in_string && characters.peek() == Some(&'/') => break,
                _ if in_string => {}
                other => kept.push(other),
            }
        }
        lines.push(kept);
    }
    lines.join("\n")
}

/// Every path of the crate that the code names: `crate::store::{tree::Tree, Store}` gives
/// `store::tree::Tree` and `store::Store`.
fn crate_paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|character| character.is_alphanumeric() || character == '_') {
            continue;
        }
        expand(&mut code[at + prefix.len()..].chars().peekable(), "", &mut paths);
    }
    paths
}

/// Reads one use tree from `text` and adds its paths, each after `prefix`.
fn expand(text: &mut std::iter::Peekable<std::str::Chars<'_>>, prefix: &str, paths: &mut Vec<String>) {
    let mut path = prefix.to_owned();
    while let Some(&next) = text.peek() {
        match next {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | ':' => {
                path.push(next);
                text.next();
            }
            '{' => {
                text.next();
                loop {
                    while text.next_if(|next| next.is_whitespace() || *next == ',').is_some() {}
                    if text.next_if_eq(&'}').is_some() {
                        return;
                    }
                    let before = paths.len();
                    expand(text, &path, paths);
                    assert!(paths.len() > before && text.peek().is_some(), "unreadable group after `{path}`");
                    // `as name`
                    while text.next_if(|next| !matches!(next, ',' | '}')).is_some() {}
                }
            }
            _ => break,
        }
    }
    paths.push(path.trim_end_matches(':').to_owned());
}

/// The line of the table that a path (`store::tree::Tree`) belongs to: the longest that fits.
fn line_of(path: &str) -> Option<&'static str> {
    MAY_USE
        .iter()
        .map(|(module, _)| *module)
        .filter(|module| {
            path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
        .max_by_key(|module| module.len())
}

/// The module path of a file: `src/store/disk.rs` is `store::disk`.
fn module_of(file: &str) -> String {
    file.trim_start_matches("src/").trim_end_matches(".rs").replace('/', "::")
}

fn is_root(file: &str) -> bool {
    matches!(file, "src/lib.rs" | "src/main.rs")
}

/// Whether a file below `src/` holds unit tests only, which may do what tests may.
fn is_test(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.ends_with("/fixture.rs") || file.contains("/tests/")
}

fn whole_word(code: &str, word: &str) -> bool {
    let part_of_name = |character: char| character.is_alphanumeric() || character == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        // `clap::Parser`, not `self.clap` and not `overclap`
        !before.is_some_and(|before| part_of_name(before) || before == '.')
            && !after.is_some_and(|after| part_of_name(after) && !word.ends_with('!'))
    })
}

fn report(complaints: &BTreeSet<String>) {
    let list: Vec<_> = complaints.iter().map(String::as_str).collect();
    assert!(list.is_empty(), "{} place(s) break the layout:\n  {}", list.len(), list.join("\n  "));
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let table: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let mut complaints = BTreeSet::new();
    for source in sources().iter().filter(|source| !is_root(&source.path) && !is_test(&source.path)) {
        let Some(line) = line_of(&module_of(&source.path)) else {
            complaints.insert(format!("{}: the table has no line for this module", source.path));
            continue;
        };
        let code = code(&source.text);
        for path in crate_paths(&code) {
            let Some(used) = line_of(&path) else {
                complaints.insert(format!("{}: the table has no line for `crate::{path}`", source.path));
                continue;
            };
            let part_of = |whole: &str| used == whole || used.starts_with(&format!("{whole}::"));
            if !part_of(line) && !table[line].iter().any(|allowed| part_of(allowed)) {
                complaints.insert(format!("{}: `{line}` may not use `{path}`", source.path));
            }
        }
        if code.contains("super::super::") {
            complaints.insert(format!("{}: say `crate::` instead of `super::super::`", source.path));
        }
        let at_the_root = !source.path["src/".len()..].contains('/');
        if at_the_root && code.lines().any(|line| line.starts_with("use super::")) {
            complaints.insert(format!("{}: say `crate::` instead of `super::`", source.path));
        }
    }
    report(&complaints);
}

#[test]
fn the_table_has_no_cycle_and_no_repeated_line() {
    let mut above: Vec<&str> = Vec::new();
    for (module, allowed) in MAY_USE {
        assert!(!above.contains(module), "`{module}` has two lines");
        for used in *allowed {
            assert!(above.contains(used), "`{module}` names `{used}`, which has no line above it");
        }
        above.push(module);
    }
}

#[test]
fn some_things_are_only_done_in_the_files_that_may() {
    let mut complaints = BTreeSet::new();
    for source in sources().into_iter().filter(|source| !is_test(&source.path)) {
        let code = code(&source.text);
        for (word, allowed) in ONLY_IN {
            let may = allowed.iter().any(|place| {
                source.path == *place || (place.ends_with('/') && source.path.starts_with(place))
            });
            if !may && whole_word(&code, word) {
                complaints.insert(format!("{}: `{word}`", source.path));
            }
        }
        let at_the_door = source.path.starts_with("src/store/disk");
        if module_of(&source.path).starts_with("store") && !at_the_door {
            // Traits about metadata that the door has given.
            let code = code.replace("os::unix::fs", "");
            for word in ONLY_IN_THE_DOOR.iter().filter(|word| whole_word(&code, word)) {
                complaints.insert(format!("{}: `{word}` past the door to the disk", source.path));
            }
        }
    }
    report(&complaints);
}

#[test]
fn the_verbs_for_an_installed_ocaml_are_portable() {
    let mut complaints = BTreeSet::new();
    for source in sources().into_iter().filter(|source| !is_test(&source.path)) {
        let is_portable = PORTABLE
            .iter()
            .any(|place| source.path == *place || (place.ends_with('/') && source.path.starts_with(place)));
        let code = code(&source.text);
        for word in ONLY_ON_SOME.iter().filter(|word| is_portable && whole_word(&code, word)) {
            complaints.insert(format!("{}: `{word}`", source.path));
        }
    }
    report(&complaints);
}

#[test]
fn every_file_says_what_it_is_for_and_is_short_or_says_why_not() {
    let mut complaints = BTreeSet::new();
    for Source { path, text } in sources() {
        if !text.starts_with("//! ") {
            complaints.insert(format!("{path}: does not begin with `//! ` and what the file is for"));
        }
        let header: Vec<_> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let length = text.lines().count();
        if length > LONGEST && !header.join(" ").contains(LONGER_BECAUSE) {
            complaints.insert(format!("{path}: {length} lines, and no `{LONGER_BECAUSE} because` above"));
        }
    }
    report(&complaints);
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let mut complaints = BTreeSet::new();
    for source in sources() {
        let module = module_of(&source.path);
        let words: Vec<_> = module.split(['_', ':']).collect();
        if let Some(empty) = words.iter().find(|word| EMPTY_NAMES.contains(word)) {
            complaints.insert(format!("{}: `{empty}` says nothing", source.path));
        }
    }
    report(&complaints);
}

/// Where packages come from is a setting of the machine. A host name in a recipe, a test or the
/// book would be used by somebody's build some day, so none is written down.
#[test]
fn no_tracked_file_names_a_package_registry() {
    // In pieces, because this file is tracked too.
    let hosts = [
        concat!("deb.", "debian", ".org"),
        concat!("ftp.", "debian", ".org"),
        concat!("security.", "debian", ".org"),
        concat!("snapshot.", "debian", ".org"),
        concat!("archive.", "ubuntu", ".com"),
        concat!("registry.", "npmjs", ".org"),
        concat!("registry.", "yarnpkg", ".com"),
        concat!("crates", ".io/api"),
        concat!("index.", "crates", ".io"),
        concat!("static.", "crates", ".io"),
        concat!("py", "pi.org"),
        concat!("files.python", "hosted.org"),
        concat!("proxy.", "golang", ".org"),
    ];
    let mut complaints = BTreeSet::new();
    for path in tracked_files() {
        let Ok(bytes) = fs::read(repository().join(&path)) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        for host in hosts {
            if text.contains(host) {
                complaints.insert(format!("{path}: names the registry host `{host}`"));
            }
        }
    }
    report(&complaints);
}

/// The repository's own files: what git would list, without asking git, which a source archive
/// does not have.
fn tracked_files() -> Vec<String> {
    fn walk(directory: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            let name = path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned();
            let kind = entry.file_type().unwrap();
            let made = ["target", "store", "site", "universe.lock", "book/book", ".git"]
                .contains(&name.as_str())
                || entry.file_name() == "node_modules";
            if kind.is_dir() && !made {
                walk(&path, found);
            } else if kind.is_file() && !made {
                found.push(name);
            }
        }
    }
    let mut found = vec!["store/README.md".to_owned()];
    walk(repository(), &mut found);
    assert!(found.iter().any(|name| name == "Cargo.toml"));
    found
}

#[test]
fn the_reader_of_sources_sees_what_it_should() {
    let text = "use crate::store::{self, tree::{Tree, Node as N}, Store};\n// crate::cli\nlet a = \"crate::b\"; crate::plan::go();\n#[cfg(test)]\nmod tests { use crate::cli; }\n";
    let found = crate_paths(&code(text));
    let expected = ["store::self", "store::tree::Tree", "store::tree::Node", "store::Store", "plan::go"];
    assert_eq!(found, expected);
    assert_eq!(line_of("store::tree::Tree"), Some("store::tree"));
    assert_eq!(line_of("store::Store"), Some("store"));
    assert_eq!(line_of("storehouse"), None);
    assert!(whole_word("fn f() { println!(\"\") }", "println!"));
    assert!(whole_word("use std::process::Command;", "process::Command"));
    assert!(!whole_word("eprintln!()", "println!"));
    assert!(!whole_word("#![allow(unsafe_code)]", "unsafe"));
}
