//! Sites of a few tiny layers.

use super::*;
use crate::jtw::{BundleRef, LibraryRecord, fixture::Fixture, tools_layer};

/// A layer with one library in `lib/<name>`.
pub(super) fn layer(fixture: &Fixture, name: &str, library: LibraryRecord) -> Tree {
    let cmis = r#"{"dcs_url":"lib/x/","dcs_toplevel_modules":["A"],"dcs_file_prefixes":[]}"#;
    let files = [("META", name), ("a.cmi", "interface"), ("a.cma.js", "code"), (DYNAMIC_CMIS, cmis)];
    let record = LayerRecord {
        package: name.to_owned(),
        version: "1".to_owned(),
        effects: Effects::Disabled,
        payload: blake3::hash(name.as_bytes()).to_hex().to_string(),
        metas: vec![format!("{name}/META")],
        libraries: vec![library],
        problems: Vec::new(),
    };
    let mut tree = Tree::default();
    for (file, text) in files {
        let at = path(&format!("lib/{name}/{file}")).unwrap();
        tree.insert(&at, Node::File(fixture.add(text))).unwrap();
    }
    tree.insert(&path(RECORD).unwrap(), Node::File(fixture.add(&serde_json::to_string(&record).unwrap())))
        .unwrap();
    tree
}

pub(super) fn library(name: &str, requires: &[&str], provides: &[&str], missing: &[&str]) -> LibraryRecord {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    LibraryRecord {
        name: name.to_owned(),
        directory: name.to_owned(),
        requires: owned(requires),
        archives: vec![format!("{name}/a.cma.js")],
        bytes: 4,
        provides: owned(provides),
        missing: owned(missing),
    }
}

fn tools(fixture: &Fixture) -> Tree {
    let stdlib = fixture.tree(&[("stdlib.cmi", "stdlib")]);
    let (worker, js) = (fixture.add("worker"), fixture.add("stdlib code"));
    tools_layer(worker, js, &stdlib, "5.4.1", &fixture.staging).unwrap()
}

pub(super) fn member<'a>(name: &'a str, layer: &'a Tree, is_target: bool) -> Member<'a> {
    Member { name, version: "1", description: "for tests", homepage: None, license: None, layer, is_target }
}

pub(super) fn assembled(fixture: &Fixture, members: &[Member<'_>]) -> Result<Site, AssembleError> {
    assembled_with(fixture, &tools(fixture), members)
}

pub(super) fn assembled_with(
    fixture: &Fixture,
    tools: &Tree,
    members: &[Member<'_>],
) -> Result<Site, AssembleError> {
    let page = fixture.tree(&[("index.html", "<!doctype html>")]);
    let effects = Effects::Disabled;
    let parts = Parts {
        name: "demo",
        compiler_version: "5.4.1",
        effects,
        tools,
        members,
        page: &page,
        is_part: false,
    };
    assemble(&parts, &fixture.staging)
}

#[test]
fn site_is_the_same_to_the_byte_whatever_the_order() {
    let fixture = Fixture::new();
    let fmt = layer(&fixture, "fmt", library("fmt", &["seq"], &[], &[]));
    let seq = layer(&fixture, "seq", library("seq", &[], &[], &[]));
    let empty = Tree::default();
    let members = [member("seq", &seq, false), member("fmt", &fmt, true), member("conf-gmp", &empty, true)];
    let site = assembled(&fixture, &members).unwrap();
    let reversed: Vec<Member<'_>> = members.iter().rev().copied().collect();
    assert_eq!(assembled(&fixture, &reversed).unwrap().tree, site.tree);
    let mut shown = Fixture::listing(&site.tree).join("\n");
    for name in [
        UNIVERSE.to_owned(),
        format!("{}/findlib_index.json", site.universe),
        format!("{}/{PACKAGES}", site.universe),
        "p/fmt/1/findlib_index.json".to_owned(),
        format!("p/fmt/1/{}/lib/fmt/{DYNAMIC_CMIS}", site.summary.packages[0].content_hash),
    ] {
        shown += &format!("\n\n{name}\n{}", fixture.text(&site.tree, &name));
    }
    insta::assert_snapshot!(shown);
    assert_eq!(site.problems, []);
    for old_and_new in ["u", "p/fmt/1"] {
        let at = if old_and_new == "u" { site.universe.as_str() } else { old_and_new };
        let text = |name: &str| fixture.text(&site.tree, &format!("{at}/{name}"));
        assert_eq!(text("findlib_index"), text("findlib_index.json"));
    }
    assert!(fixture.staging.publish(&site.tree).is_ok());
}

#[test]
fn every_path_of_an_index_leads_to_a_file() {
    let fixture = Fixture::new();
    let fmt = layer(&fixture, "fmt", library("fmt", &[], &[], &[]));
    let site = assembled(&fixture, &[member("fmt", &fmt, true)]).unwrap();
    for at in [site.universe.as_str(), "p/fmt/1"] {
        let index: Index =
            serde_json::from_str(&fixture.text(&site.tree, &format!("{at}/findlib_index.json"))).unwrap();
        assert_eq!(index.meta_files.len(), 2);
        for entry in index.meta_files.iter().chain([&index.compiler.worker_url]) {
            let mut names: Vec<&str> = at.split('/').collect();
            for name in entry.split('/') {
                if name == ".." { names.pop().map(|_| ()).unwrap() } else { names.push(name) }
            }
            fixture.text(&site.tree, &names.join("/"));
        }
    }
}

#[test]
fn primitives_of_required_libraries_are_not_missing() {
    let fixture = Fixture::new();
    let base = layer(&fixture, "base", library("base", &["middle"], &[], &["csel", "gone"]));
    let middle = layer(&fixture, "middle", library("middle", &["intrinsics"], &[], &[]));
    let intrinsics = layer(&fixture, "intrinsics", library("intrinsics", &[], &["csel"], &[]));
    let members = [member("base", &base, false), member("middle", &middle, false)];
    let without = assembled(&fixture, &members).unwrap();
    let all = [members[0], members[1], member("intrinsics", &intrinsics, false)];
    let with = assembled(&fixture, &all).unwrap();
    let missing = |site: &Site| site.summary.packages[0].libraries[0].missing_primitives.join(" ");
    assert_eq!(missing(&without), "csel gone");
    assert_eq!(missing(&with), "gone");
    let hash = |site: &Site| site.summary.packages[0].content_hash.clone();
    assert_ne!(hash(&without), hash(&with), "what is published differs, so the URL does");
    let json = fixture.text(&with.tree, &format!("p/base/1/{}/lib/base/{DYNAMIC_CMIS}", hash(&with)));
    assert!(json.ends_with(r#""jtw_missing_primitives":["gone"]}"#), "{json}");
    let unknown = Problem::UnknownLibrary { library: "middle".into(), required: "intrinsics".into() };
    assert_eq!(without.problems, [("middle".to_owned(), unknown)]);
}

#[test]
fn circles_between_packages_are_reported() {
    let fixture = Fixture::new();
    let a = layer(&fixture, "a", library("a", &["b"], &[], &["p"]));
    let b = layer(&fixture, "b", library("b", &["a"], &[], &[]));
    let site = assembled(&fixture, &[member("a", &a, false), member("b", &b, false)]).unwrap();
    assert_eq!(site.problems[0].1.to_string(), "libraries require one another: a → b → a");
}

#[test]
fn a_change_of_one_package_moves_its_url_and_the_universe_and_nothing_else() {
    let fixture = Fixture::new();
    let one = layer(&fixture, "one", library("one", &[], &[], &[]));
    let two = layer(&fixture, "two", library("two", &[], &[], &[]));
    let changed = layer(&fixture, "two", library("two", &[], &[], &["p"]));
    let before = assembled(&fixture, &[member("one", &one, false), member("two", &two, false)]).unwrap();
    let after = assembled(&fixture, &[member("one", &one, false), member("two", &changed, false)]).unwrap();
    let hashes = |site: &Site| -> Vec<String> {
        site.summary.packages.iter().map(|one| one.content_hash.clone()).collect()
    };
    assert_eq!(hashes(&before)[0], hashes(&after)[0]);
    assert_ne!(hashes(&before)[1], hashes(&after)[1]);
    assert_ne!(before.universe, after.universe);
    assert_eq!(before.summary.compiler, after.summary.compiler);
}

/// Neither has anything for browsers, so only their names tell them apart.
#[test]
fn universes_without_libraries_have_places_of_their_own_on_one_site() {
    let fixture = Fixture::new();
    let tools = tools(&fixture);
    let part = |name| {
        let parts = Parts {
            name,
            compiler_version: "5.4.1",
            effects: Effects::Disabled,
            tools: &tools,
            members: &[],
            page: &Tree::default(),
            is_part: true,
        };
        assemble(&parts, &fixture.staging).unwrap().tree
    };
    let joined =
        join::join("both", &[&part("conf-gmp.1"), &part("conf-m4.1")], &Tree::default(), &fixture.staging);
    let listed: join::Universes = serde_json::from_str(&fixture.text(&joined.unwrap(), UNIVERSE)).unwrap();
    assert_eq!(listed.universes.len(), 2);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let fixture = Fixture::new();
    let one = layer(&fixture, "one", library("one", &[], &[], &[]));
    let refused = |members: &[Member<'_>]| assembled(&fixture, members).unwrap_err().to_string();
    assert_eq!(
        refused(&[member("one", &one, false), member("one", &one, true)]),
        "package one is there twice"
    );
    for name in ["a/b", "..", "", "a b", "é", "a%2f"] {
        assert!(refused(&[member(name, &one, false)]).contains("cannot be part of a URL"), "{name}");
    }
    let damaged = fixture.tree(&[("lib/x/META", "")]);
    assert!(refused(&[member("x", &damaged, false)]).starts_with("`jtw.json` of x.1: "));
    let (tools, page) = (tools(&fixture), fixture.tree(&[("universe.json", "{}")]));
    let parts = Parts {
        name: "demo",
        compiler_version: "5.4.1",
        effects: Effects::Cps,
        tools: &tools,
        members: &[member("one", &one, false)],
        page: &Tree::default(),
        is_part: false,
    };
    let refused = |parts: &Parts<'_>| assemble(parts, &fixture.staging).unwrap_err().to_string();
    assert_eq!(refused(&parts), "one.1 was compiled with effects disabled, the universe has cps");
    assert_eq!(refused(&Parts { page: &page, ..parts }), "the page may not hold `universe.json`");
    let empty = Tree::default();
    assert_eq!(refused(&Parts { tools: &empty, ..parts }), "the tools layer has no `worker.js`");
}

#[test]
fn paths_that_differ_in_case_only_are_reported() {
    let fixture = Fixture::new();
    let mut one = layer(&fixture, "one", library("one", &[], &[], &[]));
    for name in
        ["lib/one/Doc/a", "lib/one/doc/A", "lib/one/A.cmi", "lib/one/\u{c9}t\u{e9}", "lib/one/\u{e9}t\u{e9}"]
    {
        one.insert(&path(name).unwrap(), Node::File(fixture.add(name))).unwrap();
    }
    let two = layer(&fixture, "two", library("two", &[], &[], &[]));
    let site = assembled(&fixture, &[member("one", &one, false), member("two", &two, false)]).unwrap();
    let shown: Vec<String> =
        site.problems.iter().map(|(name, problem)| format!("{name}: {problem}")).collect();
    assert_eq!(
        shown,
        [
            "one: `one/a.cmi` and `one/A.cmi` differ in case only",
            "one: `one/doc` and `one/Doc` differ in case only",
            "one: `one/\u{e9}t\u{e9}` and `one/\u{c9}t\u{e9}` differ in case only",
        ]
    );
    let many = (0..300).map(|number| format!("lib/one/{number:0>9b}").replace('0', "o").replace('1', "O"));
    for name in many {
        one.insert(&path(&name).unwrap(), Node::File(fixture.add("x"))).unwrap();
    }
    assert_eq!(assembled(&fixture, &[member("one", &one, false)]).unwrap().problems.len(), 20);
}

#[test]
fn text_of_packages_is_data_in_every_file_of_a_site() {
    let fixture = Fixture::new();
    let hostile = "</script><script>alert(1)</script>\"'`\u{2028}\u{2029}\u{0}\u{1b}]]>-->&lt;";
    let one = layer(&fixture, "one", library(hostile, &[hostile], &[], &["p</script>"]));
    let description = hostile.repeat(1000);
    let members = [Member { description: &description, ..member("one", &one, true) }];
    let site = assembled(&fixture, &members).unwrap();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~+-/".contains(&byte);
    for (at, file) in site.tree.files() {
        let at = at.to_string();
        assert!(at.bytes().all(is_plain), "no part of a path needs an escape: {at}");
        let text = String::from_utf8(fixture.staging.read(&file).unwrap()).unwrap();
        assert!(!at.ends_with(".html") && !at.ends_with(".js") || !text.contains("alert"), "{at}: {text}");
        if at.ends_with(".json") || at.ends_with("findlib_index") {
            // Nothing ends a string of the JSON early, and no control character is in it as it is.
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
            assert!(!text.contains(|one: char| one.is_control() && one != '\n'), "{at}");
        }
    }
    let summary: Summary = serde_json::from_str(&fixture.text(&site.tree, UNIVERSE)).unwrap();
    assert_eq!(summary.packages[0].description, description);
    assert_eq!(summary.packages[0].libraries[0].name, hostile);
}

#[test]
fn the_page_shows_text_and_never_markup() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/page");
    let mut scripts = 0;
    let list = |directory| std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let paths = list(root.clone()).chain(list(root.join("client"))).chain(list(root.join("packages")));
    for path in paths.filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(&path).unwrap();
        let shown = path.display();
        match path.extension().and_then(std::ffi::OsStr::to_str) {
            Some("js" | "mjs") => scripts += 1,
            Some("html") => {
                // The policy of `serve` allows no script in the page itself.
                assert!(!text.contains("<script>") && !text.contains("javascript:"), "{shown}");
                assert!(!text.contains(" onload=") && !text.contains(" onclick="), "{shown}");
            }
            _ => continue,
        }
        for markup in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "srcdoc",
        ] {
            let calls = text.replace("worker.eval(", "").replace(".eval(code)", "");
            assert!(!calls.contains(markup) || markup == "eval(", "{shown} has {markup}");
        }
    }
    assert!(scripts >= 2);
}

#[test]
fn descriptions_of_a_small_universe_are_in_one_file_that_every_index_names() {
    let fixture = Fixture::new();
    let fmt = layer(&fixture, "fmt", library("fmt", &[], &[], &[]));
    let site = assembled(&fixture, &[member("fmt", &fmt, true)]).unwrap();
    let universe = site.universe.as_str();
    let bundle = fixture.text(&site.tree, &format!("{universe}/descriptions.bundle"));
    let (list, files) = bundle.split_once("\n\n").unwrap();
    let names: Vec<&str> = list.lines().skip(1).map(|line| line.rsplit(' ').next().unwrap()).collect();
    let mut whole = String::new();
    for name in &names {
        whole += &fixture.text(&site.tree, name.strip_prefix("../../").unwrap());
    }
    assert_eq!(files, whole);
    assert_eq!(names.iter().filter(|name| name.ends_with("/META")).count(), 2);
    assert_eq!(names.iter().filter(|name| name.ends_with(DYNAMIC_CMIS)).count(), 3);
    for (at, file) in [
        (universe, "descriptions.bundle".to_owned()),
        ("p/fmt/1", format!("../../../{universe}/descriptions.bundle")),
    ] {
        let json = fixture.text(&site.tree, &format!("{at}/findlib_index.json"));
        let index: Index = serde_json::from_str(&json).unwrap();
        let expected = BundleRef { file, bytes: bundle.len() as u64 };
        assert_eq!(index.jtw_bundle, Some(expected));
    }
}

#[test]
fn descriptions_of_a_large_universe_are_in_no_bundle() {
    let fixture = Fixture::new();
    let mut fmt = layer(&fixture, "fmt", library("fmt", &[], &[], &[]));
    let meta = "#".repeat(300_000);
    fmt.replace(&path("lib/fmt/META").unwrap(), Node::File(fixture.add(&meta))).unwrap();
    let site = assembled(&fixture, &[member("fmt", &fmt, true)]).unwrap();
    let json = fixture.text(&site.tree, &format!("{}/findlib_index.json", site.universe));
    assert!(!json.contains("jtw_bundle"));
    assert!(!Fixture::listing(&site.tree).iter().any(|name| name.ends_with(".bundle")));
}
