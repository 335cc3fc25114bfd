//! What is written for a few libraries.

use super::fixture::Fixture;
use crate::switch::{Request, Shape};

/// Libraries of a package and of the compiler, one that has its META beside it, and a rewriter.
fn some() -> Fixture {
    Fixture::new(&[
        (
            "prefix/lib/a/META",
            "requires = \"str b\"\narchive(byte) = \"a.cma\"\njsoo_runtime = \"a.js\"\npackage \"sub\" ( directory = \"sub\" archive(byte) = \"s.cma\" requires = \"late\" )",
        ),
        ("prefix/lib/a/a.cma", "code of a NEEDS"),
        ("prefix/lib/a/a.js", "//Provides: caml_a\n"),
        ("prefix/lib/a/a.cmi", "a"),
        ("prefix/lib/a/a__B.cmi", "hidden"),
        ("prefix/lib/a/a.cmt", "not for browsers"),
        ("prefix/lib/a/sub/s.cma", "code of s"),
        ("prefix/lib/a/sub/s.cmi", "s"),
        ("prefix/lib/ocaml/str/META", "directory = \"+str\"\narchive(byte) = \"str.cma\""),
        ("prefix/lib/ocaml/str/str.cma", "code of str"),
        ("prefix/lib/ocaml/str/str.cmi", "str"),
        ("prefix/lib/META.b", "directory = \"b-1.0\"\narchive(byte) = \"b.cma\""),
        ("prefix/lib/b-1.0/b.cma", "code of b"),
        ("prefix/lib/b-1.0/B.cmi", "b"),
        ("prefix/lib/late/META", "archive(byte) = \"late.cma\""),
        ("prefix/lib/late/late.cma", "code of late"),
    ])
}

#[test]
fn one_directory_holds_what_was_asked_for_and_what_that_needs() {
    let fixture = some();
    let report = fixture.flat(&["a"]);
    assert_eq!((report.libraries, report.archives, report.interfaces), (5, 5, 7));
    assert_eq!(
        fixture.listing("html"),
        [
            "findlib_index",
            "findlib_index.json",
            "lib/a/META",
            "lib/a/a.cma.js",
            "lib/a/a.cmi",
            "lib/a/a__B.cmi",
            "lib/a/cmis.bundle",
            "lib/a/dynamic_cmis.json",
            "lib/a/sub/dynamic_cmis.json",
            "lib/a/sub/s.cma.js",
            "lib/a/sub/s.cmi",
            "lib/b-1.0/b.cma.js",
            "lib/b-1.0/b.cmi",
            "lib/b-1.0/dynamic_cmis.json",
            "lib/b/META",
            "lib/b/dynamic_cmis.json",
            "lib/ocaml/cmis.bundle",
            "lib/ocaml/dynamic_cmis.json",
            "lib/ocaml/stdlib.cma.js",
            "lib/ocaml/stdlib.cmi",
            "lib/ocaml/stdlib/META",
            "lib/ocaml/stdlib/dynamic_cmis.json",
            "lib/ocaml/stdlib__List.cmi",
            "lib/ocaml/str/META",
            "lib/ocaml/str/dynamic_cmis.json",
            "lib/ocaml/str/str.cma.js",
            "lib/ocaml/str/str.cmi",
        ]
    );
    assert_eq!(
        fixture.metas("html/findlib_index"),
        ["lib/a/META", "lib/b/META", "lib/ocaml/str/META", "lib/ocaml/stdlib/META"]
    );
    assert_eq!(fixture.text("html/findlib_index"), fixture.text("html/findlib_index.json"));
    // Directories of published METAs are plain relative ones.
    assert_eq!(fixture.text("html/lib/ocaml/str/META"), "\narchive(byte) = \"str.cma\"");
    assert_eq!(fixture.text("html/lib/ocaml/stdlib/META"), "directory = \"..\"\n");
    assert_eq!(fixture.text("html/lib/b/META"), "directory = \"../b-1.0\"\narchive(byte) = \"b.cma\"");
    // Each archive has its own runtime files, and no others.
    let flags = "// compile --toplevel --include-runtime --effects=disabled --no-cmis\n";
    assert_eq!(fixture.text("html/lib/a/a.cma.js"), format!("{flags}//Provides: caml_a\ncode of a NEEDS"));
    assert_eq!(fixture.text("html/lib/a/sub/s.cma.js"), format!("{flags}code of s"));
    assert_eq!(
        fixture.text("html/lib/a/dynamic_cmis.json"),
        r#"{"dcs_url":"lib/a/","dcs_toplevel_modules":["A"],"dcs_file_prefixes":["a__"],"jtw_missing_primitives":["caml_needed"],"jtw_bundle":{"file":"cmis.bundle","bytes":111}}"#
    );
    assert!(fixture.text("html/lib/ocaml/dynamic_cmis.json").contains(r#""dcs_url":"lib/ocaml/""#));
}

#[test]
fn a_part_of_an_output_holds_the_named_libraries_and_refers_to_other_parts() {
    let fixture = some();
    let part = |libraries: &[&str], path: &str, universes: &[&str]| Request {
        path: Some(path.to_owned()),
        universes: universes.iter().map(|one| (*one).to_owned()).collect(),
        ..fixture.request(libraries)
    };
    fixture.make(&part(&["b"], "p/b", &[])).unwrap();
    fixture.make(&part(&["a"], "p/a", &["p/b", "p/str"])).unwrap();
    let listing = fixture.listing("html/p/a");
    assert!(
        listing.iter().all(|path| path.starts_with("lib/a/") || path.starts_with("findlib_index")),
        "{listing:?}"
    );
    assert_eq!(fixture.metas("html/p/a/findlib_index"), ["lib/a/META"]);
    let index: serde_json::Value = serde_json::from_str(&fixture.text("html/p/a/findlib_index")).unwrap();
    assert_eq!(index["universes"], serde_json::json!(["../../p/b", "../../p/str"]));
    assert!(index["compiler"]["worker_url"].is_null());
    assert!(fixture.text("html/p/a/lib/a/dynamic_cmis.json").contains(r#""dcs_url":"p/a/lib/a/""#));
    // What another part provides is not missing.
    assert!(fixture.text("html/p/a/lib/a/dynamic_cmis.json").contains("caml_needed"));
    fixture.write("prefix/lib/b-1.0/b.js", "//Provides: caml_needed\n");
    let meta = "directory = \"b-1.0\"\narchive(byte) = \"b.cma\"\njsoo_runtime = \"b.js\"";
    fixture.write("prefix/lib/META.b", meta);
    fixture.make(&part(&["a"], "p/a", &["p/b"])).unwrap();
    assert!(!fixture.text("html/p/a/lib/a/dynamic_cmis.json").contains("caml_needed"));
    // A run for the whole of the output leaves the parts alone.
    fixture.write("html/p/b/mine", "");
    assert!(fixture.refused(&["a"]).ends_with("is not empty and was not made by `jtwbuild opam`"));
    for path in ["/abs", "../up", "a//b", "a b", "", "a/./b"] {
        let error = fixture.make(&part(&["a"], path, &[])).unwrap_err().to_string();
        assert!(error.ends_with("is not a plain relative path"), "{path}: {error}");
    }
}

#[test]
fn each_library_has_an_index_and_each_package_a_directory() {
    let fixture = some();
    let each = Request { shape: Shape::Each { all: true }, ..fixture.request(&[]) };
    let report = fixture.make(&each).unwrap();
    assert_eq!((report.libraries, report.archives), (6, 6));
    let metas = fixture.metas("html/findlib_index");
    assert_eq!(
        metas,
        [
            "a/lib/a/META",
            "b/lib/b/META",
            "late/lib/late/META",
            "str/lib/ocaml/str/META",
            "stdlib/lib/ocaml/stdlib/META"
        ]
    );
    let stdlib = "../stdlib/lib/ocaml/stdlib/META";
    // The index of a package serves all of its libraries; that of a library leads to the package.
    assert_eq!(
        fixture.metas("html/a/findlib_index"),
        ["lib/a/META", "../b/lib/b/META", "../str/lib/ocaml/str/META", "../late/lib/late/META", stdlib]
    );
    assert_eq!(
        fixture.metas("html/a.sub/findlib_index.json"),
        ["../a/lib/a/META", "../late/lib/late/META", "../b/lib/b/META", "../str/lib/ocaml/str/META", stdlib]
    );
    assert_eq!(fixture.metas("html/stdlib/findlib_index"), ["lib/ocaml/stdlib/META"]);
    assert_eq!(fixture.listing("html/a.sub"), ["findlib_index", "findlib_index.json"]);
    let json = fixture.text("html/a/lib/a/dynamic_cmis.json");
    assert!(json.contains(r#""dcs_url":"a/lib/a/""#), "{json}");
    let usual = fixture.text("html/lib/ocaml/dynamic_cmis.json");
    assert!(usual.contains(r#""dcs_url":"stdlib/lib/ocaml/""#), "{usual}");
    // A bundle is beside what names it.
    assert!(json.contains(r#""jtw_bundle":{"file":"cmis.bundle""#), "{json}");
    assert!(!usual.contains("jtw_bundle"), "{usual}");
    // Every META that an index names is there, seen from the index.
    for index in fixture.listing("html").iter().filter(|path| path.ends_with("findlib_index")) {
        let at = fixture.path("html").join(index);
        for meta in fixture.metas(&format!("html/{index}")) {
            assert!(at.parent().unwrap().join(&meta).exists(), "{index}: {meta}");
        }
    }
}

#[test]
fn asked_for_everything_what_is_broken_is_told_and_the_rest_is_made() {
    let fixture = Fixture::new(&[
        ("prefix/lib/fine/META", "requires = \"gone\""),
        ("prefix/lib/broken/META", "requires = "),
        ("prefix/lib/round/META", "requires = \"round\""),
        ("prefix/lib/needs/META", "requires = \"broken\""),
    ]);
    let each = Request { shape: Shape::Each { all: true }, ..fixture.request(&[]) };
    let report = fixture.make(&each).unwrap();
    let notes = report.notes.join("\n").replace(&fixture.path("").display().to_string(), "/");
    assert_eq!(
        notes,
        "`/prefix/lib/broken/META`: line 1, column 12: expected a string, found the end of the file\n\
         library fine requires gone, which is not installed\n\
         `/prefix/lib/broken/META`: line 1, column 12: expected a string, found the end of the file\n\
         libraries require one another: round → round"
    );
    assert_eq!(fixture.metas("html/findlib_index").len(), 4);
}

#[test]
fn libraries_from_elsewhere_have_places_of_their_own() {
    let mut fixture = Fixture::new(&[
        ("prefix/lib/a/META", ""),
        ("prefix/lib/a/a.cmi", "1"),
        // The same name below another directory of the search path, and absolute places.
        ("mine/x/META", "requires = \"a y\"\ndirectory = \"../a\"\narchive(byte) = \"x.cma\""),
        ("mine/a/x.cma", "code of x"),
        ("mine/a/x.cmi", "2"),
    ]);
    let away = fixture.path("away/lib/y/z").display().to_string();
    fixture.write("mine/y/META", &format!("directory = \"{away}\""));
    fixture.write("away/lib/y/z/y.cmi", "3");
    let mine = fixture.path("mine").display().to_string();
    let lib = fixture.path("prefix/lib").display().to_string();
    fixture.set("OCAMLPATH", &format!("{lib}:{mine}"));
    fixture.flat(&["x"]);
    let listing = fixture.listing("html");
    let interfaces: Vec<&String> =
        listing.iter().filter(|path| path.ends_with(".cmi") && !path.contains("std")).collect();
    assert_eq!(interfaces, ["lib/a-2/x.cmi", "lib/a/a.cmi", "lib/y/z/y.cmi"]);
    assert!(fixture.text("html/lib/x/META").contains("directory = \"../a-2\""));
    assert_eq!(fixture.text("html/lib/y/META"), "directory = \"z\"");
    assert!(listing.contains(&"lib/a-2/x.cma.js".to_owned()), "{listing:?}");
}

#[test]
fn a_package_has_the_javascript_that_implements_its_primitives() {
    let fixture = Fixture::new(&[
        ("prefix/lib/z/META", "archive(byte) = \"z.cma\" package \"top\" ( archive(byte) = \"top.cma\" )"),
        ("prefix/lib/z/z.cma", "code of z"),
        ("prefix/lib/z/top.cma", "code of top"),
        ("prefix/lib/z_stubs_js/META", "jsoo_runtime = \"runtime.js\""),
        ("prefix/lib/z_stubs_js/runtime.js", "//Provides: ml_z\n"),
        ("prefix/lib/old/META", "archive(byte) = \"old.cma\"\nlinkopts(javascript) = \"+old/old.js -x\""),
        ("prefix/lib/old/old.cma", "code of old"),
        ("prefix/lib/old/old.js", "//Provides: old\n"),
    ]);
    fixture.flat(&["z", "old"]);
    assert!(fixture.text("html/lib/z/z.cma.js").ends_with("//Provides: ml_z\ncode of z"));
    assert!(fixture.text("html/lib/z/top.cma.js").ends_with("--no-cmis\ncode of top"));
    assert!(fixture.text("html/lib/old/old.cma.js").ends_with("//Provides: old\ncode of old"));
    // It is not published: nobody has asked for it.
    assert!(!fixture.path("html/lib/z_stubs_js").exists());
}

#[test]
fn a_standard_library_without_a_meta_has_one_in_the_output() {
    let fixture = Fixture::new(&[]);
    std::fs::remove_dir_all(fixture.path("prefix/lib/ocaml/stdlib")).unwrap();
    fixture.flat(&[]);
    assert_eq!(fixture.metas("html/findlib_index"), ["lib/ocaml/stdlib/META"]);
    assert!(fixture.text("html/lib/ocaml/stdlib/META").contains("directory = \"..\""));
    assert!(fixture.text("html/lib/ocaml/dynamic_cmis.json").contains("\"Stdlib\""));
}
