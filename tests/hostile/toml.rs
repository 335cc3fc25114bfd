//! R76: hostile TOML, as a universe, a package recipe, a base's recipe and a lock.

use std::path::Path;
use std::time::{Duration, Instant};

use jtwbuild::diagnostic::{Problem, SourceError, SourceFile};
use jtwbuild::lock::Lock;
use jtwbuild::name::{PackageName, RecipeName};
use jtwbuild::package::PackageRecipe;
use jtwbuild::recipe::overlay::{Recipes, RecipesError};
use jtwbuild::recipe::{BaseRecipe, RecipeError};
use jtwbuild::universe::{Universe, UniverseError};
use jtwbuild::version::Version;

use super::scene::directory;

/// No file takes longer, even on a busy machine and in a debug build.
const PATIENCE: Duration = Duration::from_secs(60);

const KINDS: [&str; 4] = ["universe", "package", "base", "lock"];

/// Reads `text` as one kind of document: nothing, or what is wrong with it.
fn read(kind: &str, text: &str) -> Option<SourceError> {
    let file = SourceFile::new(format!("{kind}.toml"), text);
    let begun = Instant::now();
    let error = match kind {
        "universe" => match Universe::load(&written(text).path().join("base/x.toml")) {
            Ok(_) => None,
            Err(UniverseError::Source(mut errors)) => Some(errors.remove(0)),
            Err(UniverseError::File(error)) => Some(unread(&file, &error)),
        },
        "package" => {
            let (name, version) = (PackageName::new("x").unwrap(), Version::new("1").unwrap());
            PackageRecipe::parse(&file, &name, &version, Some(Path::new("/r"))).err()
        }
        "base" => {
            let directory = written(text);
            let recipes = Recipes::with_overrides(&[directory.path().to_owned()]).unwrap();
            match BaseRecipe::load(&recipes, &RecipeName::new("x").unwrap()) {
                Ok(_) => None,
                Err(RecipeError::Source(error)) => Some(error),
                Err(RecipeError::File(error)) => Some(unread(&file, &error)),
            }
        }
        _ => Lock::read(&file).err(),
    };
    assert!(begun.elapsed() < PATIENCE, "{kind}: {:?}", begun.elapsed());
    error
}

/// A file that was not even read.
fn unread(file: &SourceFile, error: &RecipesError) -> SourceError {
    assert!(matches!(error, RecipesError::TooBig { .. }), "{error}");
    let code = "jtwbuild::file::too-big".into();
    let (message, label) = (error.to_string(), String::new());
    SourceError::new(file, vec![Problem { code, message, span: 0..0, label, help: None }])
}

fn written(text: &str) -> tempfile::TempDir {
    let directory = directory();
    std::fs::create_dir(directory.path().join("base")).unwrap();
    std::fs::write(directory.path().join("base/x.toml"), text).unwrap();
    directory
}

/// What every kind of document says to `text`: a code, and a place in the text.
#[track_caller]
fn refused(what: &str, text: &str, code: &str) {
    for kind in KINDS {
        let error = read(kind, text).unwrap_or_else(|| panic!("{kind} takes {what}"));
        let codes: Vec<&str> = error.problems.iter().map(|problem| problem.code.as_str()).collect();
        assert!(codes.iter().any(|one| one.ends_with(code)), "{kind}, {what}: {codes:?}");
        for problem in &error.problems {
            assert!(error.text.get(problem.span.clone()).is_some(), "{kind}, {what}: {problem:?}");
        }
    }
}

#[test]
fn nesting_of_every_kind_is_refused_without_recursion() {
    for depth in [100, 10_000, 100_000] {
        refused("arrays", &format!("a = {}", "[".repeat(depth)), "");
        refused("closed arrays", &format!("a = {}{}", "[".repeat(depth), "]".repeat(depth)), "");
        refused("inline tables", &format!("a = {}1{}", "{a=".repeat(depth), "}".repeat(depth)), "");
        refused("mixed", &format!("a = {}1{}", "[{a=".repeat(depth), "}]".repeat(depth)), "");
        refused("a dotted key", &format!("a{} = 1", ".a".repeat(depth)), "");
        refused("a dotted header", &format!("[a{}]", ".a".repeat(depth)), "");
        refused("a dotted array", &format!("[[a{}]]", ".a".repeat(depth)), "");
        refused("a dotted key in a table", &format!("a = {{ a{} = 1 }}", ".a".repeat(depth)), "");
    }
}

#[test]
fn files_of_any_size_are_refused_or_read_in_bounded_time() {
    // The limit holds before anything is parsed, and for a file before it is read.
    let large = "#".repeat(17 << 20);
    refused("20 MB", &large, "too-big");
    let sparse = directory();
    let path = sparse.path().join("universe.toml");
    std::fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    let error = Universe::load(&path).unwrap_err().to_string();
    assert!(error.contains("more than 16 MiB"), "{error}");
    // Just below it: many of everything.
    let below = |line: &dyn Fn(usize) -> String| -> String { (0..10_000).map(line).collect() };
    refused("many keys", &below(&|number| format!("k{number} = {number}\n")), "unknown-key");
    refused("many tables", &below(&|number| format!("[t{number}]\n")), "unknown-key");
    refused("many arrays of tables", &below(&|_| "[[nodes]]\n".into()), "unknown-key");
    refused("one key many times", &below(&|_| "name = \"x\"\n".into()), "syntax");
    refused("one table many times", &below(&|_| "[base]\n".into()), "syntax");
    refused("many errors", &below(&|_| "= = =\n".into()), "syntax");
    refused("one long string", &format!("name = \"{}\"", "x".repeat(4 << 20)), "");
    refused("one long key", &format!("{} = 1", "x".repeat(4 << 20)), "unknown-key");
    refused("one long line of errors", &"\"".repeat(1 << 20), "syntax");
    refused("many brackets", &"[".repeat(1 << 20), "syntax");
}

#[test]
fn many_problems_of_one_file_are_shown_in_part() {
    let text: String = (0..5000).map(|number| format!("key{number} = 1\n")).collect();
    let error = read("lock", &text).unwrap();
    assert!(error.problems.len() <= 100 && error.omitted > 4000);
    assert!(error.to_string().len() < 100_000);
}

#[test]
fn values_of_the_wrong_form_are_refused_at_their_place() {
    refused("a duplicate key", "name = \"a\"\nname = \"b\"", "syntax");
    refused("a duplicate table", "[base]\n[base]", "syntax");
    refused("a table over a value", "name = \"a\"\n[name]\nx = 1", "syntax");
    refused("a NUL", "name = \"a\0b\"", "syntax");
    refused("a control character", "name = \"a\u{7}b\"", "syntax");
    refused("half a surrogate", "name = \"\\ud800\"", "syntax");
    refused("an open string", "name = \"a", "syntax");
    refused("an open long string", "name = \"\"\"a", "syntax");
    refused("nothing after the sign", "name =", "syntax");
    refused("a stray carriage return", "name = \"a\"\r# x", "syntax");
    for number in
        ["99999999999999999999999999", "1e999999999", "0xffffffffffffffffffff", "+-1", "1__0", "007"]
    {
        refused(number, &format!("format = {number}\nname = {number}\ndescription = {number}"), "");
    }
    for (kind, text, codes) in [
        ("universe", "name = 1", "wrong-type"),
        ("universe", "name = \"x\"\npackages = 7", "wrong-type"),
        ("universe", "name = \"x\"\npackages = \"fmt\"", "unknown-word"),
        ("universe", "name = \"x\"\nnode = 1", "wrong-type"),
        ("universe", "name = \"../x\"", "name"),
        ("universe", "name = \"x\"\npackages = [\"../fmt\"]\ncompiler = \"ocaml.5\"", "name"),
        ("universe", "name = \"x\"\noutput = { dir = \"../out\" }", "path"),
        ("universe", "name = \"x\"\noutput = { dir = \"/out\" }", "path"),
        ("universe", "name = \"x\"\n[[include]]\npath = \"../other.toml\"", "path"),
        ("universe", "name = \"x\"\n[[include]]\npath = \"/etc/passwd\"", "path"),
        ("universe", "name = \"x\\u0000\"", "nul"),
        ("lock", "format = 2", "format"),
        ("lock", "format = -1", "out-of-range"),
        ("lock", "format = 18446744073709551616", "out-of-range"),
        ("lock", "format = 1.0", "wrong-type"),
        ("lock", "format = 1\n[base.\"../x\"]", "name"),
        ("lock", "format = 1\n[[package]]\nname = \"../x\"\nversion = \"1\"", "name"),
        ("lock", "format = 1\n[[package]]\nname = \"x\"\nversion = \"../1\"", "version"),
        ("base", "prefix = \"/a/../b\"", "path"),
        ("base", "packages = []", "empty-list"),
        ("base", "suite = \"a b\"", "not-a-word"),
        ("base", "suite = \"--option\"", "not-a-word"),
        ("base", "setup = \"sh -c x\"", "wrong-type"),
        ("package", "description = \"a\\nb\"", "not-a-line"),
        ("package", "depends = [\"-rf\"]", "name"),
    ] {
        let error = read(kind, text).unwrap_or_else(|| panic!("{kind} takes {text}"));
        let found = error.problems.iter().find(|problem| problem.code.ends_with(&format!("::{codes}")));
        assert!(found.is_some(), "{kind} {text}: {:?}", error.problems);
    }
}

#[test]
fn unknown_keys_are_errors_with_a_guess() {
    for (kind, text, guess) in [
        ("universe", "name = \"x\"\npackagse = []", "`packages`"),
        ("universe", "name = \"x\"\n[bas]\nrecipe = \"x\"", "`base`"),
        ("base", "suit = \"x\"", "`suite`"),
        ("lock", "formt = 1", "`format`"),
        ("package", "descripton = \"x\"", "`description`"),
    ] {
        let error = read(kind, text).unwrap();
        let problem = error.problems.iter().find(|problem| problem.code.ends_with("unknown-key")).unwrap();
        let help = problem.help.as_deref().unwrap_or_default();
        assert!(help.contains("did you mean") && help.contains(guess), "{kind} {text}: {help}");
    }
}

#[test]
fn line_ends_and_a_mark_of_byte_order_change_nothing() {
    let plain = "name = \"x\"\ncompiler = \"ocaml.5.4.1\"\n";
    assert_eq!(read("universe", plain), None);
    assert_eq!(read("universe", &plain.replace('\n', "\r\n")), None);
    assert_eq!(read("universe", &format!("\u{feff}{plain}")), None);
    refused("two marks", "\u{feff}\u{feff}name = \"x\"", "syntax");
    // Places are right all the same.
    let wrong = "name = \"x\"\ncompiler = \"ocaml.5.4.1\"\nwrong = 1\n";
    for text in [wrong.to_owned(), wrong.replace('\n', "\r\n"), format!("\u{feff}{wrong}")] {
        let error = read("universe", &text).unwrap();
        assert_eq!(&error.text[error.problems[0].span.clone()], "wrong");
    }
}

#[test]
fn files_that_include_themselves_or_are_no_files_are_refused() {
    let place = directory();
    let write = |name: &str, text: &str| std::fs::write(place.path().join(name), text).unwrap();
    write("universe.toml", "name = \"x\"\n[[include]]\npath = \"universe.toml\"\n");
    let own = Universe::load(&place.path().join("universe.toml")).unwrap_err().to_string();
    assert!(own.contains("unknown key") || own.contains("missing"), "{own}");
    write("a.toml", "name = \"x\"\n[[include]]\npath = \"b.toml\"\n");
    write("b.toml", "[[include]]\npath = \"a.toml\"\n");
    assert!(Universe::load(&place.path().join("a.toml")).unwrap_err().to_string().contains("unknown key"));
    for include in ["missing.toml", "directory"] {
        std::fs::create_dir_all(place.path().join("directory")).unwrap();
        write("c.toml", &format!("name = \"x\"\n[[include]]\npath = \"{include}\"\n"));
        assert!(Universe::load(&place.path().join("c.toml")).is_err(), "{include}");
    }
    for bytes in [&b"name = \"\xff\""[..], b"\xff\xfen\0a\0", b"\0"] {
        std::fs::write(place.path().join("d.toml"), bytes).unwrap();
        assert!(Universe::load(&place.path().join("d.toml")).is_err());
    }
    // A device or a pipe never ends.
    assert!(Universe::load(Path::new("/dev/zero")).is_err());
}
