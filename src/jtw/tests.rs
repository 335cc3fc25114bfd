//! Layers of a few files through [`analyse`] and [`finish`], with outputs written by hand.

use super::fixture::Fixture;
use super::*;

fn settings() -> Settings {
    Settings {
        effects: Effects::Disabled,
        js_of_ocaml: vec!["js_of_ocaml".into()],
        prefix: "/opt/jtw".into(),
        out: "/out".into(),
        ..Settings::default()
    }
}

fn analysed(fixture: &Fixture, layer: &[(&str, &str)], from: &[(&str, &Tree)]) -> Analysis {
    let layer = fixture.tree(layer);
    let read = |file: &File| fixture.staging.read(file);
    analyse("pkg", "1", &layer, from, &read, &settings()).unwrap()
}

fn finished(fixture: &Fixture, analysis: &Analysis, compiled: &[(&str, &str)]) -> Tree {
    let compiled = fixture.tree(compiled);
    finish(analysis, &compiled, &fixture.staging).unwrap()
}

fn lines(analysis: &Analysis) -> Vec<String> {
    let shown = |argv: &Vec<String>| match argv.iter().position(|word| word.ends_with(".bug")) {
        // What is done about bugs is the same for all.
        Some(at) => {
            let [bug, js] = [&argv[at], &argv[argv.len() - 1]];
            assert_eq!((at, bug.strip_suffix("bug")), (3, js.strip_suffix("cma.js")), "{argv:?}");
            argv[at + 1..].join(" ")
        }
        None => argv.join(" "),
    };
    analysis.commands.iter().map(shown).collect()
}

const FLAGS: &str = "js_of_ocaml compile --toplevel --include-runtime --effects=disabled --no-cmis";
const NOTHING_MISSING: &str = "Missing\n-------\n\nUnused\n-------\n";

#[test]
fn a_library_of_the_compiler_becomes_artifacts() {
    let fixture = Fixture::new();
    let analysis = analysed(
        &fixture,
        &[
            ("lib/ocaml/str/META", "directory = \"+str\"\narchive(byte) = \"str.cma\"\n"),
            ("lib/ocaml/str/str.cma", "bytecode"),
            ("lib/ocaml/str/str.cmxa", "native"),
            ("lib/ocaml/str/str.cmi", "interface"),
            ("lib/ocaml/str/str__.cmi", "hidden"),
            ("lib/ocaml/str/deeper/no.cmi", "not of the library"),
            ("lib/ocaml/stdlib/META", "directory = \"+\""),
            ("lib/ocaml/stdlib.cmi", "not of the package"),
        ],
        &[],
    );
    assert_eq!(
        lines(&analysis),
        [
            format!("{FLAGS} /opt/jtw/lib/ocaml/str/str.cma -o /out/000-str.cma.js"),
            "sh -c exec \"$@\" > \"$0\" /out/000-str.primitives js_of_ocaml check-runtime \
             +toplevel.js +dynlink.js /opt/jtw/lib/ocaml/str/str.cma"
                .to_owned(),
        ]
    );
    let outputs = [("000-str.cma.js", "js"), ("000-str.primitives", NOTHING_MISSING)];
    let layer = finished(&fixture, &analysis, &outputs);
    assert_eq!(
        Fixture::listing(&layer),
        [
            "jtw.json",
            "lib/ocaml/str/META",
            "lib/ocaml/str/cmis.bundle",
            "lib/ocaml/str/dynamic_cmis.json",
            "lib/ocaml/str/str.cma.js",
            "lib/ocaml/str/str.cmi",
            "lib/ocaml/str/str__.cmi",
        ]
    );
    let bundle = fixture.text(&layer, "lib/ocaml/str/cmis.bundle");
    assert!(bundle.contains(" 9 str.cmi\n") && bundle.contains(" 6 str__.cmi\n"), "{bundle}");
    assert!(bundle.ends_with("\n\ninterfacehidden"), "{bundle}");
    assert_eq!(fixture.text(&layer, "lib/ocaml/str/META"), "\narchive(byte) = \"str.cma\"\n");
    assert_eq!(
        fixture.text(&layer, "lib/ocaml/str/dynamic_cmis.json"),
        r#"{"dcs_url":"lib/ocaml/str/","dcs_toplevel_modules":["Str"],"dcs_file_prefixes":["str__"],"jtw_bundle":{"file":"cmis.bundle","bytes":122}}"#
    );
    insta::assert_snapshot!(fixture.text(&layer, "jtw.json"));
}

#[test]
fn runtime_files_are_found_per_library_and_in_other_layers() {
    let fixture = Fixture::new();
    let stubs = fixture.tree(&[
        ("lib/stubs/META", "jsoo_runtime = \"a.js, b.js\""),
        ("lib/stubs/a.js", "//Provides: from_a\n"),
        ("lib/stubs/b.js", ""),
    ]);
    let layer = [
        (
            "lib/z/META",
            r#"archive(byte) = "z.cma" jsoo_runtime = "own.js"
               package "sub" (directory = "sub" archive(byte) = "big.cma" linkopts(javascript) = "+z/old.js -linkall")
               package "none" (archive(byte) = "none.cma" jsoo_runtime = "../../../etc/passwd gone.js")"#,
        ),
        ("lib/z/z.cma", "z"),
        ("lib/z/own.js", "//Provides: from_own\n"),
        ("lib/z/old.js", "//Provides: from_old\n"),
        ("lib/z/sub/big.cma", "larger"),
        ("lib/z/none.cma", "n"),
    ];
    let analysis = analysed(&fixture, &layer, &[("stubs", &stubs)]);
    let all = "/opt/jtw/lib/stubs/a.js /opt/jtw/lib/stubs/b.js";
    assert_eq!(
        lines(&analysis)[..3],
        [
            format!("{FLAGS} /opt/jtw/lib/z/old.js {all} /opt/jtw/lib/z/sub/big.cma -o /out/002-big.cma.js"),
            format!("{FLAGS} {all} /opt/jtw/lib/z/none.cma -o /out/000-none.cma.js"),
            format!("{FLAGS} /opt/jtw/lib/z/own.js {all} /opt/jtw/lib/z/z.cma -o /out/001-z.cma.js"),
        ]
    );
    let missing = |file: &str| Problem::MissingRuntime { library: "z.none".into(), file: file.into() };
    assert_eq!(analysis.problems, [missing("../../../etc/passwd"), missing("gone.js")]);
    assert_eq!(analysis.libraries[0].provides, ["from_a", "from_own"]);
    assert_eq!(analysis.libraries[1].provides, ["from_a", "from_old"]);
}

#[test]
fn both_ppx_archives_and_several_members_are_compiled() {
    let fixture = Fixture::new();
    let analysis = analysed(
        &fixture,
        &[
            (
                "lib/p/META",
                r#"archive(byte) = "a.cma b.cma" archive(ppx_driver,byte) = "p.cma"
                   requires = "x" requires(-ppx_driver) = "run" requires(ppx_driver) = "rewriter""#,
            ),
            ("lib/p/a.cma", "a"),
            ("lib/p/b.cma", "b"),
            ("lib/p/p.cma", "p"),
        ],
        &[],
    );
    let outputs: Vec<(String, &str)> = ["000-a", "001-b", "002-p"]
        .iter()
        .flat_map(|name| [(format!("{name}.cma.js"), *name), (format!("{name}.primitives"), NOTHING_MISSING)])
        .collect();
    let outputs: Vec<(&str, &str)> = outputs.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let layer = finished(&fixture, &analysis, &outputs);
    assert_eq!(fixture.text(&layer, "lib/p/a.cma b.cma.js"), "000-a\n001-b\n");
    assert_eq!(fixture.text(&layer, "lib/p/p.cma.js"), "002-p");
    let record = LayerRecord::parse(fixture.text(&layer, "jtw.json").as_bytes(), "p").unwrap();
    assert_eq!(record.libraries[0].requires, ["run"]);
    assert_eq!(record.libraries[0].archives, ["p/a.cma.js", "p/b.cma.js", "p/p.cma.js"]);
}

#[test]
fn every_directory_a_meta_leads_to_is_described() {
    let fixture = Fixture::new();
    let analysis = analysed(
        &fixture,
        &[
            ("lib/META.beside", "directory = \"elsewhere\" directory(mt) = \"third\""),
            ("lib/elsewhere/Capital.cmi", "c"),
            (
                "lib/umbrella/META",
                r#"package "a" (directory = "deep/a") package "gone" (exists_if = "no.cma" directory = "g" archive(byte) = "no.cma")"#,
            ),
        ],
        &[],
    );
    assert!(analysis.commands.is_empty());
    assert_eq!(analysis.problems, []);
    let layer = finished(&fixture, &analysis, &[]);
    assert_eq!(
        Fixture::listing(&layer),
        [
            "jtw.json",
            "lib/beside/META",
            "lib/beside/dynamic_cmis.json",
            "lib/elsewhere/capital.cmi",
            "lib/elsewhere/dynamic_cmis.json",
            "lib/third/dynamic_cmis.json",
            "lib/umbrella/META",
            "lib/umbrella/deep/a/dynamic_cmis.json",
            "lib/umbrella/dynamic_cmis.json",
            "lib/umbrella/g/dynamic_cmis.json",
        ]
    );
    assert_eq!(
        fixture.text(&layer, "lib/beside/META"),
        "directory = \"../elsewhere\" directory(mt) = \"../third\""
    );
}

#[test]
fn a_package_without_libraries_succeeds_with_nothing() {
    let fixture = Fixture::new();
    let analysis = analysed(&fixture, &[("bin/tool", "x"), ("lib/data/file", "y")], &[]);
    assert!(analysis.commands.is_empty());
    assert!(finished(&fixture, &analysis, &[]).is_empty());
}

#[test]
fn what_is_wrong_with_one_library_does_not_stop_the_others() {
    let fixture = Fixture::new();
    let analysis = analysed(
        &fixture,
        &[
            ("lib/bad/META", "archive = "),
            ("lib/gone/META", "archive(byte) = \"gone.cma\" requires = \"loop\" directory(x) = \"/etc\""),
            ("lib/loop/META", "requires = \"gone\""),
            ("lib/native/META", "archive(byte) = \"native.cmxa ../../../x.cma -o.cma\""),
            ("lib/good/META", "archive(byte) = \"good.cma\""),
            ("lib/good/good.cma", "x"),
            ("lib/good/a.cmi", "a"),
            ("lib/good/A.cmi", "A"),
        ],
        &[],
    );
    assert_eq!(analysis.commands.len(), 2);
    let shown: Vec<String> = analysis.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "`lib/bad/META`: line 1, column 11: expected a string, found the end of the file",
            "library gone: the directory `/etc` is not a plain path below the library root",
            "library gone: the archive `gone.cma` is not there",
            "`lib/good/a.cmi` exists with a capital and with a small first letter",
            "library native: the archive `native.cmxa` is not there",
            "library native: the archive `../../../x.cma` is not there",
            "library native: the archive `-o.cma` is not there",
            "libraries require one another: gone → loop → gone",
        ]
    );
    let compiled = fixture.tree(&[("000-good.cma.js", "js")]);
    let error = finish(&analysis, &compiled, &fixture.staging).unwrap_err();
    assert_eq!(error.to_string(), "js_of_ocaml did not make `000-good.primitives`");
    let outputs = [("000-good.cma.js", "js"), ("000-good.primitives", NOTHING_MISSING)];
    let layer = finished(&fixture, &analysis, &outputs);
    assert_eq!(fixture.text(&layer, "lib/good/a.cmi"), "a", "the small letter wins");
}

#[test]
fn primitives_that_nobody_provides_are_recorded() {
    let fixture = Fixture::new();
    let layer = [("lib/u/META", "archive(byte) = \"u.cma\""), ("lib/u/u.cma", "x")];
    let analysis = analysed(&fixture, &layer, &[]);
    let answer = "Missing\n-------\n\nFrom /opt/jtw/lib/u/u.cma:\nu_b\nu_a\n\nUnused\n-------\n";
    let layer = finished(&fixture, &analysis, &[("000-u.cma.js", "js"), ("000-u.primitives", answer)]);
    let json = fixture.text(&layer, "lib/u/dynamic_cmis.json");
    assert!(json.ends_with(r#""jtw_missing_primitives":["u_a","u_b"]}"#), "{json}");
}

#[test]
fn the_payload_hash_follows_what_browsers_load_and_nothing_else() {
    let fixture = Fixture::new();
    let files = [
        ("a/META", "m"),
        ("a/cmis.bundle", "b"),
        ("a/x.cmi", "i"),
        ("a.cma.js", "j"),
        ("a/dynamic_cmis.json", "d"),
    ];
    let hash = |files: &[(&str, &str)]| {
        let tree = fixture.tree(files);
        payload_hash(&tree, PACKAGE_PAYLOAD, &|file| fixture.staging.read(file)).unwrap()
    };
    let base = hash(&files);
    let plain = blake3::hash(b"a/META\0m\0a/cmis.bundle\0b\0a/x.cmi\0i\0a.cma.js\0j\0");
    assert_eq!(base, plain.to_hex().as_str());
    for index in 0..files.len() {
        let mut changed = files;
        changed[index].1 = "changed";
        assert_eq!(hash(&changed) == base, files[index].0.ends_with("json"), "{}", files[index].0);
    }
}

#[test]
fn the_tools_layer_holds_the_standard_library_alone() {
    let fixture = Fixture::new();
    let stdlib = fixture.tree(&[
        ("stdlib.cmi", "1"),
        ("stdlib__List.cmi", "2"),
        ("camlinternalOO.cmi", "3"),
        ("std_exit.cmi", "4"),
        ("topdirs.cmi", "not ours"),
        ("stdlib.cma", "not ours"),
        ("unix/unix.cmi", "not ours"),
    ]);
    let (worker, js) = (fixture.add("worker"), fixture.add("stdlib"));
    let tools = |stdlib: &Tree| tools_layer(worker, js, stdlib, "5.4.1", &fixture.staging);
    let layer = tools(&stdlib).unwrap();
    assert_eq!(
        Fixture::listing(&layer),
        [
            "jtw.json",
            "lib/ocaml/camlinternalOO.cmi",
            "lib/ocaml/cmis.bundle",
            "lib/ocaml/dynamic_cmis.json",
            "lib/ocaml/std_exit.cmi",
            "lib/ocaml/stdlib/META",
            "lib/ocaml/stdlib/dynamic_cmis.json",
            "lib/ocaml/stdlib.cma.js",
            "lib/ocaml/stdlib.cmi",
            "lib/ocaml/stdlib__List.cmi",
            "worker.js",
        ]
    );
    assert_eq!(
        fixture.text(&layer, "lib/ocaml/dynamic_cmis.json"),
        r#"{"dcs_url":"lib/ocaml/","dcs_toplevel_modules":["CamlinternalOO","Std_exit","Stdlib"],"dcs_file_prefixes":["stdlib__"],"jtw_bundle":{"file":"cmis.bundle","bytes":223}}"#
    );
    assert!(matches!(tools(&Tree::default()), Err(JtwError::IncompleteStdlib(_))));
}

#[test]
fn an_archive_that_brings_out_a_bug_of_the_compiler_is_left_out_and_told() {
    let fixture = Fixture::new();
    let meta = "archive(byte) = \"a.cma b.cma\"\npackage \"c\" ( archive(byte) = \"a.cma\" )\n";
    let files = [("lib/x/META", meta), ("lib/x/a.cma", "bytecode"), ("lib/x/b.cma", "more bytecode")];
    let analysis = analysed(&fixture, &files, &[]);
    let said = "js_of_ocaml: You found a bug.\nError: File \"generate.ml\": Assertion failed\n";
    let outputs = [("000-a.bug", said), ("000-a.primitives", NOTHING_MISSING), ("001-b.cma.js", "js")];
    let layer = finished(&fixture, &analysis, &outputs);
    assert_eq!(
        Fixture::listing(&layer),
        ["jtw.json", "lib/x/META", "lib/x/b.cma.js", "lib/x/dynamic_cmis.json"]
    );
    let record = LayerRecord::parse(fixture.text(&layer, "jtw.json").as_bytes(), "x").unwrap();
    let told: Vec<_> = record.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["x", "x.c"].map(|library| format!(
            "library {library}: js_of_ocaml has a bug that `a.cma` brings out: File \"generate.ml\": Assertion failed"
        ))
    );
    assert_eq!(record.libraries[0].archives, ["x/b.cma.js"]);
    // Want of memory is no bug.
    let compiled = fixture.tree(&[("000-a.bug", "Error: Out of memory\n")]);
    assert!(matches!(finish(&analysis, &compiled, &fixture.staging), Err(JtwError::MissingOutput(_))));
}

#[test]
fn archives_with_the_same_runtime_files_share_one_question_and_each_gets_its_answer() {
    let fixture = Fixture::new();
    let meta = "archive(byte) = \"a.cma\"\npackage \"b\" ( archive(byte) = \"b.cma\" )\n\
        package \"c\" ( archive(byte) = \"c.cma\" jsoo_runtime = \"c.js\" )\n";
    let files = ["META", "a.cma", "b.cma", "c.cma", "c.js"].map(|name| format!("lib/x/{name}"));
    let files: Vec<_> = files.iter().map(|path| (path.as_str(), "bytes")).collect();
    let files = [&[("lib/x/META", meta)], &files[1..]].concat();
    let analysis = analysed(&fixture, &files, &[]);
    let questions: Vec<_> =
        lines(&analysis).into_iter().filter(|line| line.contains("check-runtime")).collect();
    assert_eq!(questions.len(), 2, "{questions:?}");
    assert!(questions[0].ends_with("+dynlink.js /opt/jtw/lib/x/a.cma /opt/jtw/lib/x/b.cma"), "{questions:?}");
    assert!(questions[1].ends_with("+dynlink.js /opt/jtw/lib/x/c.js /opt/jtw/lib/x/c.cma"), "{questions:?}");
    let answer = "Missing\n-------\n\nFrom /opt/jtw/lib/x/a.cma,/opt/jtw/lib/x/b.cma:\nboth\n\n\
        From /opt/jtw/lib/x/b.cma:\nof_b\n\nUnused\n-------\n";
    let outputs = [
        ("000-a.cma.js", "js"),
        ("001-b.cma.js", "js"),
        ("002-c.cma.js", "js"),
        ("000-a.primitives", answer),
        ("002-c.primitives", NOTHING_MISSING),
    ];
    let layer = finished(&fixture, &analysis, &outputs);
    let record = LayerRecord::parse(fixture.text(&layer, "jtw.json").as_bytes(), "x").unwrap();
    let missing: Vec<_> = record.libraries.iter().map(|library| library.missing.join(" ")).collect();
    assert_eq!(missing, ["both", "both of_b", ""]);
}
