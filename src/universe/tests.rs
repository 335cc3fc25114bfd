//! Tests of reading a universe: what is taken, and the exact texts for what is not.

use std::collections::BTreeMap;
use std::path::Path;

use insta::assert_snapshot;

use super::*;
use crate::diagnostic::golden;
use crate::recipe::values::PackageSource;
use crate::source::git::{Commit, Reference};
use crate::source::{LocalPath, Place};
use crate::universe::node::{NodeSource, Run};

/// Reads `text` as a universe in `/u` whose includes are `files`.
fn parse_with(text: &str, files: &[(&str, &str)]) -> Result<Universe, UniverseError> {
    let files: BTreeMap<&str, &str> = files.iter().copied().collect();
    Universe::parse(SourceFile::new("universe.toml", text), Path::new("/u"), |path| {
        let Some(text) = files.get(path.as_str()) else {
            let (path, source) = (path.as_str().into(), std::io::ErrorKind::NotFound.into());
            return Err(RecipesError::Unreadable { path, source });
        };
        Ok(SourceFile::new(path.to_string(), text))
    })
}

fn parse(text: &str) -> Universe {
    parse_with(text, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn problems_with(text: &str, files: &[(&str, &str)]) -> String {
    match parse_with(text, files) {
        Ok(_) => panic!("the universe was taken"),
        Err(UniverseError::Source(errors)) => errors.iter().map(golden).collect(),
        Err(UniverseError::File(error)) => error.to_string(),
    }
}

fn problems(text: &str) -> String {
    problems_with(text, &[])
}

#[test]
fn a_site_is_compressed_as_the_universe_says() {
    let compress = |text: &str| parse(&format!("name = \"x\"\nnode = []\n[output]\n{text}")).compress;
    assert_eq!(compress(""), Compress::Fast);
    assert_eq!(compress("compress = \"fast\""), Compress::Fast);
    assert_eq!(compress("compress = \"best\""), Compress::Best);
    assert_eq!(compress("compress = \"none\""), Compress::None);
    assert_snapshot!(problems("name = \"x\"\nnode = []\n[output]\ncompress = \"zip\""));
}

#[test]
fn everything_that_a_universe_can_say_is_read() {
    let universe = parse(
        r#"
        name = "demo"
        compiler = "ocaml.5.4.1"
        packages = ["fmt", "cmdliner >= 1.3 & < 2", "fmt = 0.9.0"]
        effects = "double-translation"
        [base]
        recipe = "small"
        suite = "trixie"
        mirror = "file:///srv/mirror"
        expired-release = "refuse"
        [tools]
        path = "../my-worker"
        [output]
        dir = "public/site"
        compress = "best"
        "#,
    );
    assert_eq!(universe.name.as_str(), "demo");
    assert_eq!(universe.compiler.unwrap().to_string(), "ocaml = 5.4.1");
    let packages: Vec<String> = universe.packages.iter().map(ToString::to_string).collect();
    assert_eq!(packages, ["fmt", "cmdliner >= 1.3 & < 2", "fmt = 0.9.0"]);
    let text = &universe.files[0].text;
    assert_eq!(&text[universe.packages[1].span.range()], "\"cmdliner >= 1.3 & < 2\"");
    assert_eq!(universe.effects, Effects::DoubleTranslation);
    assert_eq!(universe.base.recipe.as_str(), "small");
    assert_eq!(universe.base.suite.as_deref(), Some("trixie"));
    assert_eq!(universe.base.mirror.as_deref(), Some("file:///srv/mirror"));
    assert_eq!(universe.base.expired_release, ExpiredRelease::Refuse);
    assert!(
        matches!(universe.tools.source, ToolsSource::Path { path, .. } if path == Path::new("../my-worker"))
    );
    assert_eq!(universe.output.as_str(), "public/site");
}

#[test]
fn what_a_universe_leaves_out_has_a_default() {
    let universe = parse("name = \"a\"\ncompiler = \"ocaml\"");
    assert_eq!(universe.effects.as_str(), "disabled");
    assert_eq!(universe.base.recipe.as_str(), "ocaml");
    assert_eq!(universe.base.expired_release, ExpiredRelease::Warn);
    assert_eq!(universe.tools.source, ToolsSource::BuiltIn);
    assert_eq!(universe.output.as_str(), "site");
}

#[test]
fn everything_that_a_node_can_say_is_read() {
    let hash = "0".repeat(64);
    let universe = parse(&format!(
        r#"
        name = "demo"
        [[node]]
        name = "hello"
        inputs = ["other"]
        source = "src/hello.txt"
        base = "busybox"
        script = "echo hi > $out/value"
        outputs = ["value", "more/values"]
        env = {{ A = "b ${{x}}" }}
        timeout = 60
        memory = "512M"
        [[node]]
        name = "other"
        archive = {{ sha256 = "{hash}", strip = 2, places = [{{ url = "https://example.org/a" }}, {{ path = "a.tar" }}] }}
        command = ["prog", "arg"]
        memory = 1048576
        "#
    ));
    let [hello, other] = universe.nodes.as_slice() else { panic!("two nodes") };
    assert_eq!(hello.inputs.iter().map(|input| input.node).collect::<Vec<_>>(), [1]);
    assert_eq!(&universe.files[0].text[hello.inputs[0].span.range()], "\"other\"");
    assert!(matches!(&hello.source, NodeSource::Local { path, .. } if path.as_str() == "src/hello.txt"));
    assert_eq!(hello.base.as_ref().unwrap().0.as_str(), "busybox");
    assert_eq!(hello.run, Run::Script("echo hi > $out/value".into()));
    assert_eq!(hello.outputs.iter().map(RelativePath::as_str).collect::<Vec<_>>(), ["value", "more/values"]);
    assert_eq!(hello.env["A"], "b ${x}");
    assert_eq!((hello.timeout, hello.memory), (Some(60), Some(512 << 20)));

    let NodeSource::Archive { archive, .. } = &other.source else { panic!("an archive") };
    assert_eq!(archive.strip, Some(2));
    let places = [
        Place::Url("https://example.org/a".into()),
        Place::Path(LocalPath { written: "a.tar".into(), directory: "/u".into() }),
    ];
    assert_eq!(archive.archive.places, places);
    assert_eq!(other.run, Run::Command(vec!["prog".into(), "arg".into()]));
    assert_eq!(other.memory, Some(1 << 20));
    assert!(other.outputs.is_empty());
}

#[test]
fn included_nodes_join_and_their_paths_start_at_their_own_file() {
    let universe = parse_with(
        r#"
        name = "demo"
        [[include]]
        path = "deep/graph.toml"
        [[node]]
        name = "top"
        script = ""
        inputs = ["below"]
        "#,
        &[("deep/graph.toml", "[[node]]\nname = \"below\"\nscript = \"\"\nsource = \"x\"")],
    )
    .unwrap();
    assert_eq!(universe.files.len(), 2);
    let [top, below] = universe.nodes.as_slice() else { panic!("two nodes") };
    assert_eq!(top.inputs[0].node, 1);
    assert_eq!(below.span.file, 1);
    assert!(matches!(&below.source, NodeSource::Local { path, .. } if path.as_str() == "deep/x"));
}

#[test]
fn a_byte_order_mark_and_carriage_returns_change_nothing() {
    let text = "name = \"a\"\n[[node]]\nname = \"n\"\nscript = '''\necho 1\necho 2\n'''\n";
    let plain = parse(text);
    let other = parse(&format!("\u{feff}{}", text.replace('\n', "\r\n")));
    assert_eq!(plain.nodes[0].run, other.nodes[0].run);
    assert_eq!(plain.nodes[0].run, Run::Script("echo 1\necho 2\n".into()));
    let problem = problems("\u{feff}name = \"a\"\r\npakages = []\r\nnode = []\r\n");
    assert!(problem.starts_with("universe.toml:2:1 "), "{problem}");
}

#[test]
fn broken_toml() {
    assert_snapshot!(problems("name = \"demo\npackages = [\"fmt\"\ncompiler = = \"ocaml\"\n"));
}

#[test]
fn a_key_given_twice() {
    assert_snapshot!(problems("name = \"a\"\nname = \"b\"\n"));
}

#[test]
fn unknown_keys() {
    assert_snapshot!(problems(
        "name = \"demo\"\ncompiler = \"ocaml\"\npakages = []\nzzz = 1\n[output]\npath = \"x\"\n[[node]]\nname = \"n\"\nscrpt = \"\"\n"
    ));
}

#[test]
fn wrong_types_and_values() {
    assert_snapshot!(problems(
        r#"name = 3
compiler = "ocaml @ 5"
packages = ["fmt", 7, "Fmt/x", "cmdliner >= 1.3 &", "re ~> 2"]
effects = "cpss"
base = "ocaml"
output = { dir = "../out" }
[[node]]
name = ".."
script = "a\u0000b"
timeout = 0
memory = "1.5G"
outputs = []
env = { "A-B" = "x", C = 1 }
[[node]]
name = "two"
script = ""
command = []
source = "/etc/passwd"
[[node]]
name = "three"
command = []
timeout = 99999999999999999999999
"#
    ));
}

#[test]
fn bad_archives_and_places() {
    assert_snapshot!(problems(
        r#"name = "a"
[[node]]
name = "n"
script = ""
archive = { sha256 = "abc", places = [] }
[[node]]
name = "m"
script = ""
archive = { sha256 = "0000000000000000000000000000000000000000000000000000000000000000", strip = 99, places = [
  { url = "ftp://x" }, { url = "https://x", path = "y" }, { debian = "../x" }, {},
] }
"#
    ));
}

#[test]
fn missing_keys() {
    assert_snapshot!(problems(
        "packages = [\"fmt\"]\n[[node]]\nname = \"n\"\n[[node]]\nscript = \"\"\n[tools]\n"
    ));
}

#[test]
fn nothing_asked_for() {
    assert_snapshot!(problems("name = \"demo\"\n"));
}

#[test]
fn a_node_defined_twice_and_inputs_that_are_not_nodes() {
    assert_snapshot!(problems_with(
        r#"name = "demo"
[[include]]
path = "graph.toml"
[[node]]
name = "hello"
inputs = ["helo", "quite-different", "other", "other"]
[[node]]
name = "hello"
script = ""
"#,
        &[("graph.toml", "[[node]]\nname = \"other\"\nscript = \"\"\ninputs = [\"othr\"]\n")]
    ));
}

#[test]
fn bad_includes() {
    assert_snapshot!(problems_with(
        r#"name = "demo"
[[include]]
path = "nowhere.toml"
[[include]]
path = "loop.toml"
[[include]]
path = "broken.toml"
"#,
        &[
            ("loop.toml", "[[include]]\npath = \"loop.toml\"\n[[node]]\nname = \"a\"\nscript = \"\"\n"),
            ("broken.toml", "a =")
        ]
    ));
    assert_snapshot!(
        "includes that are refused before they are read",
        problems("name = \"a\"\ninclude = [{ path = \"../x\" }, { path = \"a\" }, { path = \"./a\" }]\n")
    );
}

#[test]
fn nesting_of_any_depth_is_refused_without_harm() {
    let deep = 200_000;
    for text in [format!("x{} = 1\n", ".x".repeat(deep)), format!("[x{}]\n", ".x".repeat(deep))] {
        assert!(problems(&format!("name = \"a\"\n{text}")).contains("jtwbuild::universe::syntax"));
    }
    // What the TOML parser allows for each kind of nesting, multiplied.
    let open = format!("{{ x{} = ", ".x".repeat(70));
    let text = format!("name = \"a\"\nx = {}1{}", open.repeat(70), "}".repeat(70));
    assert!(problems(&text).contains("nested more than 32 deep"));
    for open in ["[", "{ x = "] {
        let text = format!("name = \"a\"\nx = {}", open.repeat(deep));
        assert!(problems(&text).contains("jtwbuild::universe::syntax"));
    }
}

#[test]
fn a_file_that_is_too_big_is_refused() {
    let text = format!("name = \"a\"\n#{}", "x".repeat(16 << 20));
    assert_snapshot!(problems(&text).lines().next().unwrap());
}

#[test]
fn files_are_read_from_disk_and_what_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("universe.toml");
    assert!(matches!(Universe::load(&path), Err(UniverseError::File(RecipesError::Unreadable { .. }))));
    std::fs::write(&path, b"name = \"\xff\"").unwrap();
    assert!(matches!(Universe::load(&path), Err(UniverseError::File(RecipesError::NotText { .. }))));
    std::fs::write(&path, "name = \"a\"\ninclude = [{ path = \"g.toml\" }]").unwrap();
    std::fs::write(directory.path().join("g.toml"), "[[node]]\nname = \"n\"\nscript = \"\"").unwrap();
    let universe = Universe::load(&path).unwrap();
    assert_eq!(universe.nodes.len(), 1);
    assert_eq!(universe.directory, directory.path());
}

#[test]
fn packages_of_libraries_are_asked_of_the_debian_suite_if_there_is_one() {
    let text = "name = \"a\"\ncompiler = \"ocaml\"\npackages = [\"libfmt-ocaml-dev\", \"fmt\"]\n";
    let names =
        |packages: &[Requirement]| packages.iter().map(|one| one.name.to_string()).collect::<Vec<_>>();
    let without = parse(text);
    assert_eq!(names(&without.packages), ["libfmt-ocaml-dev", "fmt"]);
    assert_eq!(names(&without.repositories.libraries), [""; 0]);
    let with = parse(&format!("{text}[[repository]]\ndebian = \"forky\"\n"));
    assert_eq!(names(&with.packages), ["fmt"]);
    assert_eq!(names(&with.repositories.libraries), ["libfmt-ocaml-dev"]);
    let all = "name = \"a\"\ncompiler = \"ocaml\"\npackages = \"all\"\n[[repository]]\ndebian = \"forky\"\n";
    assert!(parse(all).repositories.latest.is_some());
    let bad = format!(
        "solve = \"each\"\n{text}[[repository]]\ndebian = \"forky\"\n[[repository]]\ndebian = \"sid\"\n"
    );
    assert_snapshot!(problems(&bad));
}

#[test]
fn git_sources_are_read_alike_wherever_they_stand() {
    let rev = "0123456789abcdef0123456789ABCDEF01234567";
    let universe = parse(&format!(
        r#"
        name = "demo"
        compiler = "ocaml"
        packages = ["fmt"]
        [[repository]]
        opam = "repo"
        [tools]
        git = "git+https://example.org/worker.git"
        branch = "main"
        subdir = "src/worker"
        [source.fmt."0.9.0"]
        git = "ssh://git@example.org/fmt"
        rev = "{rev}"
        submodules = false
        [source.re."1"]
        git = "https://example.org/re"
        tag = "v1"
        [[node]]
        name = "n"
        source = {{ git = "file:///srv/n" }}
        script = ""
        "#
    ));
    let ToolsSource::Git(tools) = &universe.tools.source else { panic!("a git source") };
    assert_eq!(tools.url.as_str(), "https://example.org/worker.git");
    assert_eq!(tools.reference, Reference::Branch("main".into()));
    assert_eq!(tools.subdir.as_ref().map(RelativePath::as_str), Some("src/worker"));
    assert!(tools.submodules);
    let text = &universe.files[0].text;
    assert_eq!(&text[tools.url_span.clone()], "\"git+https://example.org/worker.git\"");
    assert_eq!(&text[tools.reference_span.clone()], "\"main\"");
    let mut substitutions = universe.repositories.substitutions.values();
    let mut substitution = || match &substitutions.next().unwrap().source {
        Some(PackageSource::Git(source)) => source.clone(),
        other => panic!("a git source, not {other:?}"),
    };
    let (fmt, re) = (substitution(), substitution());
    assert_eq!(fmt.reference, Reference::Rev(Commit::new(rev).unwrap()));
    assert!(!fmt.submodules && fmt.question().is_none());
    assert_eq!(re.reference, Reference::Tag("v1".into()));
    let NodeSource::Git { source, file: 0 } = &universe.nodes[0].source else { panic!("a git source") };
    assert_eq!((&source.reference, &source.reference_span), (&Reference::Head, &source.url_span));
}

#[test]
fn bad_git_sources() {
    assert_snapshot!(problems(
        r#"
        name = "x"
        compiler = "ocaml"
        packages = []
        [[repository]]
        opam = "repo"
        [tools]
        path = "worker"
        git = "ext::sh -c true"
        branch = "a..b"
        [source.fmt."1"]
        git = "https://u:secret@example.org/fmt"
        tag = "--upload-pack=x"
        sha256 = "00"
        [source.fmt."2"]
        git = "https://example.org/fmt#main"
        branch = "main"
        rev = "0123456"
        [source.fmt."3"]
        branch = "main"
        [[node]]
        name = "n"
        script = ""
        source = { git = "https://example.org/n", rev = "0123456", subdir = "../x", submodules = 1, brnch = "x" }
        [[node]]
        name = "m"
        script = ""
        source = { path = "x" }
        "#
    ));
    assert_snapshot!(
        "tools without a source",
        problems("name = \"x\"\ncompiler = \"a\"\npackages = []\n[tools]\npath = \"w\"\nsubdir = \"x\"")
    );
}
