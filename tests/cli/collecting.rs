//! `gc` and `roots` with the real program, beside real builders.

use std::fs;

use crate::TWO_NODES;
use crate::support::{TestUniverse, eventually, skip};
use crate::waiting::{let_go, pipes_of, token, universe_that_waits};

/// Whether every output of the run is there.
fn has_outputs(universe: &TestUniverse, json: &serde_json::Value) -> bool {
    let nodes = json["nodes"].as_array().unwrap();
    nodes.iter().all(|node| {
        let tree = node["tree"].as_str().unwrap().strip_prefix("tree:").unwrap();
        universe.path(&format!("store/trees/{tree}")).exists()
    })
}

/// Forgets what earlier runs have made.
fn remove_roots(universe: &TestUniverse) {
    for entry in fs::read_dir(universe.path("store/roots")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        universe.run(&format!("roots remove {name}")).success();
    }
}

#[test]
fn what_a_universe_made_stays_and_the_rest_goes() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    let first = universe.run("realise universe.toml --json").success();
    // What the store came with.
    universe.run("gc").success();
    let trees = universe.trees();
    universe.edit("echo hello", "echo another");
    universe.run("realise universe.toml").success();
    assert!(universe.trees().len() > trees.len());
    insta::assert_snapshot!("a_dry_run", scrub_root(&universe.run("gc --dry-run").success().to_string()));
    let report = universe.run("gc --json").success().json();
    assert_eq!(report["kinds"]["tree"]["count"], 2, "{report:#}");
    let again = universe.run("realise universe.toml --json").success();
    assert!(again.outcomes().iter().all(|(_, outcome)| outcome == "reused"), "{again}");
    // Back to the first state: what it made is gone, and the facts of it too.
    universe.edit("echo another", "echo hello");
    let back = universe.run("realise universe.toml --json").success();
    let built = back.outcomes().into_iter().filter(|(_, outcome)| outcome == "built").count();
    assert_eq!(built, 2, "{back}");
    assert!(has_outputs(&universe, &first.json()));
    let nothing = universe.run("gc --max-size 1T").success();
    insta::assert_snapshot!("nothing_to_collect", scrub_root(&nothing.to_string()));
}

#[test]
fn a_run_after_everything_was_collected_builds_each_node_once() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    universe.run("realise universe.toml").success();
    let facts = fs::read(universe.path("store/plans/facts")).unwrap();
    let memos = fs::read_dir(universe.path("store/plans")).unwrap().map(|e| e.unwrap().path());
    let memos = memos.filter(|path| path.is_file());
    let memos: Vec<_> = memos.map(|path| (fs::read(&path).unwrap(), path)).collect();
    for with_caches in [false, true] {
        remove_roots(&universe);
        universe.run("gc").success();
        assert_eq!(universe.trees(), [""; 0]);
        assert_eq!(fs::read_dir(universe.path("store/layers")).unwrap().count(), 0);
        // The downloads are gone too, and the mirror may not have them any more.
        crate::support::seed_archives_of(&universe);
        if with_caches {
            // As if the collector had been killed before it looked at them.
            fs::write(universe.path("store/plans/facts"), &facts).unwrap();
            memos.iter().for_each(|(bytes, path)| fs::write(path, bytes).unwrap());
        }
        let again = universe.run("realise universe.toml --json").success();
        assert!(again.outcomes().iter().all(|(_, outcome)| outcome == "built"), "{again}");
        assert_eq!(fs::read_dir(universe.path("store/layers")).unwrap().count(), 3);
    }
}

#[test]
fn a_collector_beside_a_running_build_takes_nothing_that_it_needs() {
    let token = token("collected");
    let Some(universe) = TestUniverse::buildable(&universe_that_waits(&token)) else { return };
    // Garbage from before: another state of the universe.
    universe.write("before.toml", &TWO_NODES.replace("echo hello", "echo before"));
    fs::copy(universe.path("universe.lock"), universe.path("before.lock")).unwrap();
    universe.run("realise before.toml").success();
    universe.run("gc").success();
    remove_roots(&universe);
    let garbage = universe.trees();
    let mut running = universe.start("realise universe.toml --json");
    running.wait_for("building node/greeting");
    eventually("the builder waits", || !pipes_of(&token).is_empty());
    // The base is in use: it is the builder's root. The other outputs go, and nobody waits.
    let report = universe.run("gc --json").success().json();
    assert_eq!(report["kinds"]["tree"]["count"], 2, "{report:#}");
    assert!(report["kept"]["in_use"].as_u64() >= Some(1), "{report:#}");
    assert_eq!(universe.trees().len(), garbage.len() - 2);
    let_go(&token);
    let ended = running.end().success();
    assert!(has_outputs(&universe, &ended.json()), "{ended}");
    // Its root keeps what it made, now that it has ended.
    universe.run("gc").success();
    let again = universe.run("realise universe.toml --json").success();
    assert!(again.outcomes().iter().all(|(_, outcome)| outcome == "reused"), "{again}");
}

#[test]
fn a_run_with_nothing_to_do_leaves_its_root_again() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    universe.run("realise universe.toml").success();
    let roots =
        || fs::read_dir(universe.path("store/roots")).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    let [root] = &roots()[..] else { panic!("{:?}", roots()) };
    let bytes = fs::read(root).unwrap();
    let (_, changed) =
        (universe.run("realise universe.toml").success(), fs::metadata(root).unwrap().modified());
    universe.run("realise universe.toml").success();
    assert_eq!(fs::metadata(root).unwrap().modified().unwrap(), changed.unwrap(), "it was written again");
    for damage in [None, Some(&bytes[..bytes.len() - 1]), Some(b"")] {
        match damage {
            None => fs::remove_file(root).unwrap(),
            Some(bytes) => fs::write(root, bytes).unwrap(),
        }
        let again = universe.run("realise universe.toml --json").success();
        assert!(again.outcomes().iter().all(|(_, outcome)| outcome == "reused"), "{again}");
        universe.run("gc").success();
        assert!(has_outputs(&universe, &again.json()));
        let keeps = |bytes: &[u8]| bytes[bytes.len() - 200..bytes.len() - 32].to_vec();
        assert_eq!(keeps(&fs::read(root).unwrap()), keeps(&bytes));
    }
}

#[test]
fn a_changed_source_and_a_failure_leave_roots_that_are_enough() {
    let text = TWO_NODES
        .replace("echo hello > $out/hello\"", "grep -v bad /src/data > $out/hello\"\nsource = \"data\"");
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    let reused = |json: bool| {
        let ended = universe.run("realise universe.toml --json");
        (ended.code == Some(0)) == json && ended.outcomes().iter().all(|(_, outcome)| outcome == "reused")
    };
    universe.write("data", "one");
    universe.run("realise universe.toml").success();
    universe.run("gc").success();
    // By the short way.
    std::thread::sleep(std::time::Duration::from_millis(50));
    universe.write("data", "two");
    let trees = universe.trees();
    universe.run("realise universe.toml").success();
    universe.run("gc").success();
    assert_eq!(universe.trees().len(), trees.len(), "source and outputs of the first state");
    assert!(reused(true));
    fs::remove_dir_all(universe.path("store/plans")).unwrap();
    fs::create_dir(universe.path("store/plans")).unwrap();
    assert!(reused(true), "the layers are enough");
    // After a failure, what was there before is still kept.
    std::thread::sleep(std::time::Duration::from_millis(50));
    universe.write("data", "bad");
    assert_eq!(universe.run("realise universe.toml").code, Some(1));
    universe.run("gc").success();
    universe.write("data", "two");
    assert!(reused(true));
}

/// What the only root of a store keeps: the bytes behind its two lines.
fn kept(universe: &TestUniverse) -> Vec<u8> {
    let mut roots = fs::read_dir(universe.path("store/roots")).unwrap().map(|entry| entry.unwrap().path());
    let bytes = fs::read(roots.next().expect("a root")).unwrap();
    assert_eq!(roots.next(), None);
    let start = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).expect("two lines").0;
    // Without the checksum at the end.
    bytes[start..bytes.len() - 32].to_vec()
}

#[test]
fn the_short_way_leaves_the_root_that_the_whole_way_leaves() {
    let text = "name = \"test\"\n\
        [[node]]\nname = \"a\"\nsource = \"a.txt\"\nscript = \"cat /src/* > $out/copy\"\n\
        [[node]]\nname = \"b\"\nsource = \"b.txt\"\nscript = \"cat /src/* > $out/copy\"\n\
        [[node]]\nname = \"c\"\ninputs = [\"a\", \"b\"]\nscript = \"cat /in/*/* > $out/all\"\n";
    let Some(universe) = TestUniverse::buildable(text) else { return };
    universe.write("a.txt", "one");
    universe.write("b.txt", "one");
    universe.run("realise universe.toml").success();
    // Both sources the same, another one, what the other still has, and back.
    for (file, content) in [("b.txt", "two"), ("a.txt", "two"), ("b.txt", "three"), ("a.txt", "one")] {
        std::thread::sleep(std::time::Duration::from_millis(50));
        universe.write(file, content);
        universe.run("realise universe.toml").success();
        let short = kept(&universe);
        for entry in fs::read_dir(universe.path("store/plans")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("memo-") {
                fs::remove_file(path).unwrap();
            }
        }
        universe.run("realise universe.toml").success();
        assert_eq!(short, kept(&universe), "{file} with {content}");
    }
}

#[test]
fn roots_that_users_make() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    insta::assert_snapshot!("a_universe_that_is_not_built", universe.run("roots add universe.toml"));
    let ended = universe.run("realise universe.toml --json").success();
    let tree = ended.json()["nodes"][1]["tree"].as_str().unwrap().to_owned();
    assert_eq!(universe.run("roots add universe.toml --name all").success().stdout, "all\n");
    universe.run("roots add --of universe.toml greeting --name node").success();
    universe.run(&format!("roots add {tree} --name tree")).success();
    let hex = tree.strip_prefix("tree:").unwrap();
    universe.run(&format!("roots add store/trees/{hex} --name path")).success();
    insta::assert_snapshot!("the_list_of_roots", {
        let ended = universe.run("roots list").success();
        scrub_root(&ended.to_string().replace(universe.directory().to_str().unwrap(), "[directory]"))
    });
    let list = universe.run("roots list --json").success().json();
    let keeps = |name: &str| {
        let root = list.as_array().unwrap().iter().find(|root| root["name"] == name).unwrap();
        root["keeps"].as_u64().unwrap()
    };
    assert_eq!((keeps("tree"), keeps("path")), (1, 1));
    assert!(keeps("node") < keeps("all"), "{list:#}");
    insta::assert_snapshot!("a_root_that_is_not_there", universe.run("roots remove nothing"));
    insta::assert_snapshot!("a_name_that_is_none", universe.run("roots add universe.toml --name ../x"));
    insta::assert_snapshot!("a_thing_that_is_nothing", universe.run("roots add nothing"));
    universe.run("gc").success();
    // What only one root keeps goes with it.
    let automatic = list.as_array().unwrap().iter().find(|root| root["made_by"] == "realise").unwrap();
    let automatic = automatic["name"].as_str().unwrap();
    universe.run(&format!("roots remove all {automatic} path")).success();
    let removed = universe.run("gc --json").success().json();
    assert_eq!(removed["kinds"]["tree"]["count"], 1, "{removed:#}");
    assert!(universe.path(&format!("store/trees/{hex}")).exists());
}

/// The name of the root that `realise` made.
fn scrub_root(text: &str) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for word in &mut words {
        if let Some(at) = word.find("two-") {
            word.replace_range(at + 4..at + 16, "[hash]");
        }
    }
    words.join(" ")
}

#[test]
fn a_root_that_cannot_be_read_keeps_everything() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    universe.run("realise universe.toml").success();
    remove_roots(&universe);
    let trees = universe.trees();
    universe.write("store/roots/strange", "what is this?");
    insta::assert_snapshot!("an_unclear_root", universe.run("gc"));
    assert_eq!(universe.trees(), trees);
}

#[test]
fn a_full_disk_can_be_cleaned() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    if !universe
        .tool("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .status()
        .is_ok_and(|s| s.success())
    {
        return skip("no user namespaces with mounts for `unshare`");
    }
    universe.run("realise universe.toml").success();
    // All bytes and all inodes are taken; the store itself is a copy on that small disk.
    let script = "
        mkdir full; mount -t tmpfs -o size=64m,nr_inodes=4000 none full; cp -a store full/store
        export JTWBUILD_STORE=full/store
        rm full/store/roots/*
        dd if=/dev/zero of=full/bytes bs=64k 2> /dev/null || true
        i=0; while true > full/store/inode-$i; do i=$((i + 1)); done 2> /dev/null || true
        ! sh -c 'echo x > full/x' 2> /dev/null
        ! mkdir full/store/tmp/x 2> /dev/null
        $jtwbuild gc --json
        test -z \"$(find full/store/trees full/store/layers full/store/tmp -mindepth 1)\"
        df --output=avail full | tail -n 1 >&2
    ";
    let ended = universe.run_in_namespaces("gc --json", script).success();
    let report = ended.json();
    assert_eq!(report["kinds"]["tree"]["count"], 5, "{ended}");
    assert!(report["freed"].as_u64().unwrap() > 500_000, "{ended}");
    let available: u64 = ended.stderr.trim().parse().unwrap();
    assert!(available > 500, "{ended}");
}
