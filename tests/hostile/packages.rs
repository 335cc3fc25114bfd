//! R78, R79: what a package says of itself in `.install` and META files.

use std::collections::BTreeSet;

use jtwbuild::effects::Effects;
use jtwbuild::findlib::parse::{MAX_DEPTH, MAX_LINE, MAX_SIZE};
use jtwbuild::findlib::{LibDir, Meta};
use jtwbuild::install::{InstallError, MAX_FILES, interpret};
use jtwbuild::jtw::{Analysis, Problem, Settings, analyse};
use jtwbuild::store::tree::{BlobHash, File, LinkTarget, Node, RelPath, Tree};

fn blob(text: &[u8]) -> File {
    let blob = BlobHash::from_bytes(*blake3::hash(text).as_bytes());
    File { blob, size: text.len() as u64, executable: false }
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

fn install(text: &str) -> Result<Tree, InstallError> {
    interpret(text.as_bytes(), "foo", &|path| Some(blob(path.to_string().as_bytes())))
}

const SECTIONS: [&str; 13] = [
    "lib",
    "lib_root",
    "libexec",
    "libexec_root",
    "bin",
    "sbin",
    "toplevel",
    "share",
    "share_root",
    "etc",
    "doc",
    "man",
    "stublibs",
];

#[test]
fn no_section_installs_outside_its_directory() {
    let destinations = [
        "..",
        "../x",
        "../../x",
        "a/../../x",
        "a/..",
        "a/../b",
        "./../x",
        "/x",
        "//x",
        "/etc/passwd",
        "a/../../../../etc/x",
        "../foobar/x",
        "../foo/x",
        "x/../../foo-bar/y",
        "",
        ".",
        "./",
        "./.",
    ];
    for section in SECTIONS {
        for to in destinations {
            let text = format!("{section}: [\"a\" {{\"{to}\"}}]");
            assert!(matches!(install(&text), Err(InstallError::Path { .. })), "{text}: {:?}", install(&text));
            let text = format!("{section}: [\"?{to}\"]");
            assert!(matches!(install(&text), Err(InstallError::Path { .. })), "{text}: {:?}", install(&text));
        }
        // Dots written as escapes are dots.
        for to in [r"\x2e\x2e/x", r"\046\046/x", r"\x2fetc/x", r"a\000b", r"\x2e."] {
            let text = format!("{section}: [\"a\" {{\"{to}\"}}]");
            assert!(matches!(install(&text), Err(InstallError::Path { .. })), "{text}");
        }
    }
    assert!(matches!(install("misc: [\"a\" {\"/etc/x\"}]"), Err(InstallError::Misc(1))));
    assert!(matches!(install("misc: [\"a\"]"), Err(InstallError::Misc(1))));
}

#[test]
fn names_that_look_alike_stay_apart() {
    let tree =
        install("lib: [\"a\"] lib_root: [\"a\" {\"foobar/a\"} \"b\" {\"foo-bar/b\"} \"c\" {\"fo/c\"}]")
            .unwrap();
    let files: Vec<String> = tree.files().iter().map(|(path, _)| path.to_string()).collect();
    assert_eq!(files, ["lib/fo/c", "lib/foo/a", "lib/foo-bar/b", "lib/foobar/a"]);
    // Backslashes, drive letters and odd letters are names like any other here.
    let odd = install(r#"lib: ["a" {"..\\..\\x"} "b" {"C:"} "c" {"\u{2025}/x"}]"#);
    assert!(
        odd.is_err() || odd.is_ok_and(|tree| tree.files().iter().all(|(path, _)| path.names().len() >= 3))
    );
}

#[test]
fn nothing_is_installed_through_a_link_of_the_packages_own() {
    // What `make install` left, and then the `.install` file: as the builder puts them together.
    for (link, target) in
        [("lib/foo", "/etc"), ("lib/foo", "../../.."), ("lib", "usr"), ("lib/foo/sub", "/tmp")]
    {
        let mut layer = Tree::default();
        layer.insert(&path(link), Node::Link(LinkTarget::new(target.as_bytes()).unwrap())).unwrap();
        let installed = install("lib: [\"a\" {\"sub/a\"}]").unwrap();
        let error = layer.clone().merge(&installed).unwrap_err().to_string();
        assert!(error.contains("as a link and as a directory"), "{error}");
        // Whichever comes first.
        let mut turned = installed;
        assert!(turned.merge(&layer).is_err());
    }
    // Of two sources for one name the later one stays; nothing lies below a file.
    let later = install("bin: [\"b\" {\"x\"}]").unwrap();
    assert_eq!(install("bin: [\"a\" {\"x\"} \"b\" {\"x\"}]").unwrap(), later);
    assert!(matches!(install("bin: [\"a\" {\"x\"} \"b\" {\"x/y\"}]"), Err(InstallError::Conflict { .. })));
}

#[test]
fn install_files_have_limits() {
    let many: String = (0..=MAX_FILES).map(|number| format!("\"a\" {{\"{number}\"}} ")).collect();
    assert!(matches!(install(&format!("lib: [{many}]")), Err(InstallError::TooManyFiles)));
    let deep = format!("lib: [\"a\" {{\"{}x\"}}]", "d/".repeat(100_000));
    assert!(install(&deep).is_err());
    for nested in ["[", "(*", "{", "\"\"\"", "lib:", "\\"] {
        assert!(install(&format!("lib: {}", nested.repeat(100_000))).is_err(), "{nested}");
    }
    let long = install(&format!("lib: [\"{}\"]", "../".repeat(100_000))).unwrap_err().to_string();
    assert!(long.len() < 1000, "{}", long.len());
}

fn analysed(files: &[(&str, &str)]) -> Analysis {
    let mut layer = Tree::default();
    let texts: Vec<(File, Vec<u8>)> =
        files.iter().map(|(_, text)| (blob(text.as_bytes()), text.as_bytes().to_vec())).collect();
    for ((at, _), (file, _)) in files.iter().zip(&texts) {
        layer.insert(&path(at), Node::File(*file)).unwrap();
    }
    let settings = Settings {
        effects: Effects::default(),
        js_of_ocaml: vec!["js_of_ocaml".into()],
        prefix: "/opt".into(),
        out: "/out".into(),
        ..Settings::default()
    };
    let read = |file: &File| {
        Ok(texts
            .iter()
            .find(|(known, _)| known.blob == file.blob)
            .map(|(_, text)| text.clone())
            .unwrap_or_default())
    };
    analyse("pkg", "1", &layer, &[], &read, &settings)
        .expect("what is wrong with a package is a problem of it")
}

/// The good library beside a bad one, which must not suffer.
const GOOD: [(&str, &str); 2] =
    [("lib/good/META", "archive(byte) = \"good.cma\""), ("lib/good/good.cma", "bytecode")];

#[track_caller]
fn problems(bad: &[(&str, &str)]) -> Vec<Problem> {
    let analysis = analysed(&[&GOOD, bad].concat());
    let commands = analysis.commands.iter().flatten();
    assert!(commands.clone().any(|word| word.ends_with("lib/good/good.cma")), "the good one goes on");
    for word in commands {
        assert!(!word.split('/').any(|part| part == "..") && !word.contains(['\n', '\0']), "{word}");
    }
    analysis.problems
}

#[test]
fn a_bad_meta_is_a_problem_of_its_package_and_the_rest_goes_on() {
    let deep = "package \"p\" (".repeat(MAX_DEPTH + 1) + &")".repeat(MAX_DEPTH + 1);
    let deeper = "package \"p\" (\n".repeat(60_000);
    let long = format!("a = \"{}\"", "x".repeat(MAX_LINE));
    let large = "# comment\n".repeat(MAX_SIZE / 10 + 1);
    for (what, text, words) in [
        ("an open string", "archive = \"a", "has no end"),
        ("an open package", "package \"p\" (", "expected"),
        ("a stray parenthesis", ")", "expected"),
        ("no value", "archive =", "expected"),
        ("a name with a dot", "package \"a.b\" ()", "without dots"),
        ("a name with a slash", "package \"../x\" ()", "without dots"),
        ("a name with a newline", "package \"a\nb\" ()", "without dots"),
        ("too deep", &deep, "nest deeper"),
        ("much too deep", &deeper, "nest deeper"),
        ("a long line", &long, "longer than"),
        ("a large file", &large, "more than"),
        ("a NUL", "archive = \"a\" \0", "expected"),
    ] {
        let found = problems(&[("lib/bad/META", text)]);
        let [Problem::Meta { path, reason }] = &found[..] else { panic!("{what}: {found:?}") };
        assert!(path == "lib/bad/META" && reason.contains(words), "{what}: {reason}");
        assert!(reason.len() < 300, "{what}: {} bytes", reason.len());
    }
}

#[test]
fn paths_that_leave_and_archives_that_are_missing_are_problems() {
    let bad = |text: &str| problems(&[("lib/bad/META", text), ("lib/bad/x.cma", "bytecode")]);
    for escape in [
        "..",
        "../..",
        "/etc",
        "../../..",
        "+../../..",
        "^/../..",
        "a/../../../x",
        "%2e%2e",
        "a?b",
        "a#b",
        "a\\\\b",
    ] {
        let escape_text = format!("directory = \"{escape}\"");
        let found = bad(&escape_text);
        let leaves = !matches!(escape, "..");
        let told =
            found.iter().any(|one| matches!(one, Problem::Directory { library, .. } if library == "bad"));
        assert_eq!(told, leaves, "{escape}: {found:?}");
    }
    for archive in
        ["gone.cma", "../x.cma", "../../etc/x.cma", "/etc/x.cma", "+x.cma", "x.cmxa", "x", "..", "x.cma/.."]
    {
        let found = bad(&format!("archive(byte) = \"{archive}\""));
        let told = found
            .iter()
            .any(|one| matches!(one, Problem::MissingArchive { archive: one, .. } if one == archive));
        assert!(told, "{archive}: {found:?}");
    }
    // However many there are, in however long a list.
    let gone: String = (0..60_000).map(|number| format!("archive(byte) += \"{number}.cma\"\n")).collect();
    let gone = &gone[..1_000_000];
    let found = bad(&gone[..=gone.rfind('\n').unwrap()]);
    assert!(found.len() > 100 && found.len() < 1000, "{}", found.len());
    for runtime in ["gone.js", "../../etc/x.js", "/etc/x.js", "+../../x.js"] {
        let found = bad(&format!("archive(byte) = \"x.cma\" jsoo_runtime = \"{runtime}\""));
        assert!(
            found.iter().any(|one| matches!(one, Problem::MissingRuntime { .. })),
            "{runtime}: {found:?}"
        );
    }
}

#[test]
fn circles_are_problems_and_end() {
    let found = problems(&[
        ("lib/a/META", "requires = \"b\""),
        ("lib/b/META", "requires = \"c b\" package \"p\" (requires = \"b.p\")"),
        ("lib/c/META", "requires = \"a\""),
    ]);
    assert!(found.iter().any(|one| matches!(one, Problem::Cycle { .. })), "{found:?}");
    // A long way round, far deeper than any stack.
    let mut metas: Vec<(String, String)> = Vec::new();
    for number in 0..3000 {
        let next = (number + 1) % 3000;
        metas.push((format!("lib/l{number}/META"), format!("requires = \"l{next}\"")));
    }
    let files: Vec<(&str, &str)> = metas.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let found = problems(&files);
    assert!(matches!(&found[..], [Problem::Cycle { libraries }] if libraries.len() == 3001));
}

#[test]
fn directories_with_names_that_no_url_holds_are_left_out_and_reported() {
    for name in ["%2e%2e", "a b", "a?b", "a#b", "..\\..\\x", "<script>", "a\"b", "a\nb", "\u{202e}x", "a%00"]
    {
        let found = problems(&[(&format!("lib/{name}/META"), "archive(byte) = \"x.cma\"")]);
        assert!(
            matches!(&found[..], [Problem::Meta { reason, .. }] if reason.contains("such a name")),
            "{name}: {found:?}"
        );
        let found = problems(&[(&format!("lib/META.{name}"), "")]);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
    }
}

#[test]
fn libraries_of_one_file_are_bounded_by_its_size() {
    let wide: String = (0..20_000).map(|number| format!("package \"p{number}\" ()\n")).collect();
    let meta = Meta::parse(wide.as_bytes()).unwrap();
    let at = LibDir::parse("x").unwrap();
    let names: BTreeSet<String> = meta.libraries("x", &at).into_iter().map(|one| one.name).collect();
    assert_eq!(names.len(), 20_001);
    // Directories add up no deeper than names may.
    let nested = "package \"p\" ( directory = \"a/b/c/d\" ".repeat(20) + &")".repeat(20);
    let meta = Meta::parse(nested.as_bytes()).unwrap();
    let libraries = meta.libraries("x", &at);
    assert!(libraries.iter().all(|one| one.directory.names().len() <= 64));
    assert!(libraries.iter().any(|one| !one.escapes.is_empty()));
}
