//! What differs between two universes, locks, contents and sites.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;

use crate::TWO_NODES;
use crate::support::{Ended, TestUniverse};

/// Two versions of one compiled interface, with their sources.
const INTERFACES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cmi");

#[track_caller]
fn differs(ended: Ended) -> Ended {
    assert_eq!(ended.code, Some(1), "{ended}");
    ended
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

fn interfaces() -> TestUniverse {
    let universe = TestUniverse::planned(TWO_NODES);
    for version in ["before", "after"] {
        for file in ["shapes.cmi", "shapes.mli"] {
            copy(&Path::new(INTERFACES).join(version).join(file), &universe.path(version).join(file));
        }
    }
    universe
}

#[test]
fn directories_are_compared_with_the_interfaces_in_them() {
    let universe = interfaces();
    assert_snapshot!("diff_directories", differs(universe.run("diff before after")));
    assert_snapshot!("diff_directories_as_markdown", differs(universe.run("diff before after --markdown")));
    let json = differs(universe.run("diff before after --json")).json();
    let content = &json["contents"][0];
    assert_eq!(content["interface_totals"]["retyped"]["value"], 3);
    assert_eq!(content["interfaces"][0]["module"], "Shapes");
    assert_eq!(content["files"][0]["path"], "shapes.cmi");
    assert_eq!(json["is_equal"], false);
    let equal = universe.run("diff before before").success();
    assert_eq!(equal.stdout, "nothing differs\n");
}

#[test]
fn interfaces_that_cannot_be_read_are_told_and_compared_by_their_bytes() {
    let universe = interfaces();
    let path = universe.path("after/shapes.cmi");
    let mut bytes = fs::read(&path).unwrap();
    bytes[9..12].copy_from_slice(b"099");
    fs::write(&path, &bytes).unwrap();
    universe.write("before/text.cmi", "no interface");
    universe.write("after/text.cmi", "no interface, longer");
    assert_snapshot!("diff_unreadable_interfaces", differs(universe.run("diff before after")));
}

#[test]
fn locks_are_compared_by_what_they_pin() {
    let universe = TestUniverse::planned(TWO_NODES);
    let lock = |fmt: &str, more: &str, commit: char, deb: &str, digit: char| {
        format!(
            "format = 1\n\n[[repository]]\nplace = \"https://example.org/opam.git\"\ncommit = \"{}\"\ntree = \
             \"t\"\n\n[[package]]\nname = \"fmt\"\nversion = \"{fmt}\"\n\n[[package]]\nname = \"{more}\"\nversion = \
             \"1.0\"\n\n[base.\"ocaml\"]\nsuite = \"forky\"\nasked = \"x\"\nrelease-date = \"Mon\"\n\n\
             [[base.\"ocaml\".package]]\nname = \"ocaml\"\nversion = \"{deb}\"\npath = \"pool/ocaml.deb\"\nsize = \
             1\nsha256 = \"{}\"\n",
            commit.to_string().repeat(40),
            digit.to_string().repeat(64),
        )
    };
    universe.write("old.lock", &lock("0.9.0", "gone", 'a', "5.4.1-1", '1'));
    universe.write("new.lock", &lock("0.10.0", "new", 'b', "5.4.2-1", '2'));
    assert_snapshot!("diff_locks", differs(universe.run("diff old.lock new.lock")));
    assert_snapshot!("diff_locks_as_markdown", differs(universe.run("diff old.lock new.lock --markdown")));
    assert_snapshot!("diff_locks_as_json", differs(universe.run("diff old.lock new.lock --json")));
    assert_eq!(universe.run("diff old.lock old.lock").code, Some(0));
    // A universe is compared with a lock by its own.
    assert_eq!(universe.run("diff universe.toml new.lock").code, Some(1));
}

#[test]
fn universes_are_compared_by_their_nodes_and_by_what_came_out() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    let variant = |name: &str, text: &str| {
        universe.write(&format!("{name}.toml"), text);
        fs::copy(universe.path("universe.lock"), universe.path(&format!("{name}.lock"))).unwrap();
    };
    let third = "\n[[node]]\nname   = \"third\"\nscript = \"echo 3 > $out/three\"\n";
    variant("same", &TWO_NODES.replace("echo hello", "printf 'hello\\\\n'"));
    variant("other", &(TWO_NODES.replace("echo hello", "echo 'hello, world'") + third));
    for name in ["universe", "same"] {
        universe.run(&format!("realise {name}.toml")).success();
    }
    let not_built = differs(universe.run("diff universe.toml other.toml"));
    universe.run("realise other.toml").success();
    let same = differs(universe.run("diff universe.toml same.toml"));
    let other = differs(universe.run("diff universe.toml other.toml"));
    let back = differs(universe.run("diff other.toml universe.toml"));
    let all = [not_built, same, other, back].iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_snapshot!("diff_universes", all.join("\n"));
    assert_snapshot!(
        "diff_universes_as_markdown",
        differs(universe.run("diff universe.toml other.toml --markdown"))
    );
    assert_snapshot!("diff_universes_as_json", differs(universe.run("diff universe.toml other.toml --json")));
    let explained = differs(universe.run("diff universe.toml other.toml --explain"));
    assert_snapshot!("diff_universes_explained", explained);
    universe.run("diff universe.toml universe.toml").success();
}

#[test]
fn layers_trees_and_nodes_are_compared_by_their_names() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    universe.run("realise universe.toml").success();
    let nodes = differs(universe.run("diff greeting shout --of universe.toml"));
    assert_snapshot!("diff_nodes", nodes);
    let explained = differs(universe.run("diff greeting shout --of universe.toml --explain --json")).json();
    let file = &explained["contents"][0]["files"][0];
    assert_eq!((&file["published"], &file["explanation"]["offset"]), (&true.into(), &0.into()), "{file}");
    // The same by the names of trees, as paths and as hashes, and by those of layers.
    let json = |node: &str| universe.run(&format!("show universe.toml {node} --json")).success().json();
    let (greeting, shout) = (json("greeting"), json("shout"));
    let word = |of: &serde_json::Value, key: &str| of["record"][key].as_str().unwrap().to_owned();
    let files = |ended: Ended| ended.json()["contents"][0]["files"].clone();
    let expected = files(universe.run("diff greeting shout --of universe.toml --json"));
    let tree = |of: &serde_json::Value| word(of, "tree");
    let hex = |of: &serde_json::Value| tree(of).trim_start_matches("tree:").to_owned();
    let layer =
        |of: &serde_json::Value| format!("node-{}", word(of, "build_key").trim_start_matches("build:"));
    for [before, after] in [
        [tree(&greeting), tree(&shout)],
        [hex(&greeting)[..16].to_owned(), hex(&shout)[..16].to_owned()],
        [format!("store/trees/{}", hex(&greeting)), format!("store/trees/{}", hex(&shout))],
        [layer(&greeting), format!("store/layers/{}", layer(&shout))],
    ] {
        let ended = differs(universe.run(&format!("diff {before} {after} --json")));
        assert_eq!(files(ended), expected, "{before} {after}");
    }
}

/// A site with one package, as `realise` publishes it; `hash` stands for its content.
fn site(universe: &TestUniverse, name: &str, version: &str, hash: &str, interface: &str, worker: &str) {
    let package = format!("{name}/p/shapes/{version}/{hash}/lib/shapes");
    copy(
        &Path::new(INTERFACES).join(interface).join("shapes.cmi"),
        &universe.path(&package).join("shapes.cmi"),
    );
    universe.write(&format!("{package}/META"), &format!("version = \"{version}\"\n"));
    let compiler = format!("{name}/compiler/5.4.1/{hash}");
    universe.write(&format!("{compiler}/worker.js"), worker);
    universe.write(&format!("{name}/index.html"), "<!doctype html>\n");
    // One that was published before, and does not count.
    universe.write(&format!("{name}/p/old/1/{hash}/lib/old/META"), name);
    let text = format!(
        "{{\"name\": \"demo\", \"index\": \"u/{hash}/findlib_index.json\", \"compiler\": {{\"version\": \"5.4.1\", \
         \"content_hash\": \"{hash}\", \"worker_url\": \"\"}}, \"effects\": \"disabled\", \"packages\": [{{\"name\": \
         \"shapes\", \"version\": \"{version}\", \"description\": \"\", \"content_hash\": \"{hash}\", \"libraries\": \
         []}}]}}"
    );
    universe.write(&format!("{name}/universe.json"), &text);
}

#[test]
fn sites_are_compared_by_what_they_publish_now() {
    let universe = TestUniverse::planned(TWO_NODES);
    let hash = |digit: char| digit.to_string().repeat(32);
    site(&universe, "old", "1.0", &hash('a'), "before", "the worker");
    site(&universe, "new", "1.1", &hash('b'), "after", "the worker, which is longer now");
    assert_snapshot!("diff_sites", differs(universe.run("diff old new")));
    assert_snapshot!("diff_sites_as_markdown", differs(universe.run("diff old new --markdown")));
    assert_snapshot!("diff_sites_as_json", differs(universe.run("diff old new --json")));
    assert_snapshot!("diff_sites_explained", differs(universe.run("diff old new --explain")));
    universe.run("diff old old").success();
    universe.write("new/universe.json", "{}");
    assert_eq!(universe.run("diff old new").code, Some(3));
}

#[test]
fn a_site_cannot_lead_out_of_its_directory() {
    let universe = TestUniverse::planned(TWO_NODES);
    site(&universe, "old", "1.0", &"a".repeat(32), "before", "the worker");
    site(&universe, "new", "1.0", &"a".repeat(32), "before", "the worker");
    let path = universe.path("new/universe.json");
    let text = fs::read_to_string(&path).unwrap().replace("\"version\": \"1.0\"", "\"version\": \"../..\"");
    fs::write(&path, text).unwrap();
    assert_snapshot!("diff_a_site_that_leads_out", universe.run("diff old new"));
}

#[test]
fn what_cannot_be_compared_is_told() {
    let universe = TestUniverse::planned(TWO_NODES);
    universe.write("directory/file", "text");
    let all = [
        "diff universe.toml directory",
        "diff universe.toml nothing",
        "diff greetin shout --of universe.toml",
        "diff greeting shout --of universe.toml",
        "diff abcdef012345 directory",
    ];
    let all: Vec<String> = all.iter().map(|arguments| universe.run(arguments).to_string()).collect();
    assert_snapshot!("diff_what_cannot_be_compared", all.join("\n"));
}

#[test]
fn long_lists_are_cut_unless_all_is_asked_for() {
    let universe = TestUniverse::planned(TWO_NODES);
    for number in 0..30 {
        universe.write(&format!("before/file-{number:02}"), "before");
        universe.write(&format!("after/file-{number:02}"), "and after");
    }
    let few = differs(universe.run("diff before after")).stdout;
    assert!(few.contains("file-19") && !few.contains("file-20"), "{few}");
    assert!(few.contains("and 10 more: `--files` shows them"), "{few}");
    let all = differs(universe.run("diff before after --files")).stdout;
    assert!(all.contains("file-29") && !all.contains("more"), "{all}");
}

/// Two directories with files of several formats, and with what strangers might call and write.
fn formats() -> TestUniverse {
    let universe = interfaces();
    // Other bytes and the same types: a digest of an import.
    let bytes = fs::read(universe.path("before/shapes.cmi")).unwrap();
    let mut other = bytes.clone();
    other[bytes.len() - 41] ^= 1;
    universe.write("before/same.cmi", "");
    universe.write("after/same.cmi", "");
    fs::write(universe.path("before/same.cmi"), &bytes).unwrap();
    fs::write(universe.path("after/same.cmi"), &other).unwrap();
    for (side, word, number) in [("before", "alpha", 1), ("after", "beta", 2)] {
        universe.write(&format!("{side}/page.js"), &format!("function f (x) {{ return x + {number}; }}\n"));
        universe.write(&format!("{side}/data.json"), &format!("{{\"list\": [1, {{\"x\": {number}}}]}}\n"));
        universe.write(&format!("{side}/bytes"), &format!("\u{0}{word}"));
        universe.write(&format!("{side}/only-{word}"), "whole");
        universe.write(&format!("{side}/evil\n```\u{1b}[2J"), &format!("```\n</details>\u{1b}[2J{word}\n"));
    }
    universe
}

#[test]
fn what_differs_inside_files_is_told_when_it_is_asked_for() {
    let universe = formats();
    assert_snapshot!("diff_explained", differs(universe.run("diff before after --explain")));
    let markdown = differs(universe.run("diff before after --explain --markdown"));
    assert_snapshot!("diff_explained_as_markdown", markdown);
    let json = differs(universe.run("diff before after --explain --json")).json();
    let content = &json["contents"][0];
    let files = content["files"].as_array().unwrap();
    let explained = files.iter().filter(|file| !file["explanation"].is_null());
    let formats: Vec<_> = explained.map(|file| (&file["path"], &file["explanation"]["format"])).collect();
    let expected = [
        ("bytes", "bytes"),
        ("data.json", "json"),
        ("evil\n```\u{1b}[2J", "text"),
        ("page.js", "javascript"),
        ("same.cmi", "ocaml"),
        ("shapes.mli", "text"),
    ];
    assert_eq!(formats.len(), expected.len(), "{formats:?}");
    for ((path, format), expected) in formats.iter().zip(expected) {
        assert_eq!((path.as_str(), format.as_str()), (Some(expected.0), Some(expected.1)));
    }
    let page = &files.iter().find(|file| file["path"] == "page.js").unwrap()["explanation"];
    assert_eq!(page["offset"], 28);
    assert_eq!(page["findings"].as_array().map(Vec::len), Some(1), "{page}");
    // Nobody knows what directories are made of, and nothing is left out.
    assert!(content.get("unexplained").is_none() && files[0].get("published").is_none(), "{content}");
    let plain = differs(universe.run("diff before after --json")).stdout;
    assert!(!plain.contains("explanation"), "{plain}");
}

#[test]
fn names_of_files_move_no_cursor_and_end_no_block() {
    let universe = formats();
    for arguments in ["", "--markdown", "--explain", "--explain --markdown"] {
        let text = differs(universe.run(&format!("diff before after {arguments}"))).stdout;
        assert!(text.contains("evil\\n```\\u{1b}[2J"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        let fences = text.lines().filter(|line| line.trim_start().starts_with("```")).count();
        assert_eq!(fences, 2 * text.matches("```diff").count(), "{text}");
    }
}

#[test]
fn that_more_can_be_told_is_said_once_and_only_if_there_is_more() {
    let universe = interfaces();
    let hint = "    `--explain` says what differs inside\n";
    let text = |arguments: &str| differs(universe.run(&format!("diff {arguments}"))).stdout;
    assert_eq!(text("before after").matches(hint).count(), 1);
    for arguments in ["before after --explain", "before after --markdown"] {
        assert!(!text(arguments).contains("`--explain`"), "{arguments}");
    }
    // What interfaces differ in is told without being asked for; and of a file that came, nothing more is.
    for side in ["before", "after"] {
        fs::remove_file(universe.path(side).join("shapes.mli")).unwrap();
    }
    universe.write("after/new", "new");
    assert!(!text("before after").contains("`--explain`"));
    assert_eq!(text("before after --explain"), text("before after"));
}

#[test]
fn so_many_files_are_looked_into_and_those_for_sites_first() {
    let universe = TestUniverse::planned(TWO_NODES);
    for (side, word) in [("before", "one"), ("after", "two")] {
        for number in 0..30 {
            universe.write(&format!("{side}/file-{number:02}"), word);
        }
        universe.write(&format!("{side}/lib/META"), word);
    }
    let text = differs(universe.run("diff before after --explain --files")).stdout;
    let (_, inside) = text.split_once("\ninside files\n").unwrap();
    assert_eq!(inside.matches("from byte 0 on").count(), 20, "{inside}");
    assert!(inside.contains("lib/META") && inside.contains("file-18") && !inside.contains("file-19"));
    assert!(inside.ends_with("    11 more changed files are not looked into\n"), "{inside}");
    let json = differs(universe.run("diff before after --explain --json")).json();
    assert_eq!(json["contents"][0]["unexplained"], 11);
}
