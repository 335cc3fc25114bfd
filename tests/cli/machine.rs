//! Machines that cannot: what is missing, what to do, and that doing it helps.

use insta::assert_snapshot;

use crate::TWO_NODES;
use crate::support::{Ended, TestUniverse, scrub, skip};

const REPL: &str = "name = \"x\"\ncompiler = \"ocaml\"\npackages = [\"str\"]\n";

/// Whether this user may make namespaces, which the tests of this file put the program into.
fn has_namespaces(universe: &TestUniverse) -> bool {
    let can = universe.run_in_namespaces("", "true").code == Some(0);
    if !can {
        skip("no user namespaces, or no `unshare` of util-linux");
    }
    can
}

fn of_machine(ended: Ended) -> Ended {
    assert_eq!(ended.code, Some(4), "{ended}");
    ended
}

#[test]
fn a_mirror_that_holds_nothing() {
    let universe = TestUniverse::bare(TWO_NODES);
    let output = universe
        .command("realise universe.toml")
        .env("JTWBUILD_DEBIAN_MIRROR", "file:///nowhere/debian")
        .output();
    assert_snapshot!(of_machine(Ended::new("realise universe.toml", output.unwrap())));
}

#[test]
fn a_mirror_that_does_not_answer() {
    let universe = TestUniverse::bare(TWO_NODES);
    let output = universe
        .command("realise universe.toml")
        .env("JTWBUILD_DEBIAN_MIRROR", "http://127.0.0.1:1/debian")
        .output();
    assert_snapshot!(of_machine(Ended::new("realise universe.toml", output.unwrap())));
}

#[test]
fn a_mirror_setting_that_is_none() {
    let universe = TestUniverse::bare(TWO_NODES);
    let output =
        universe.command("realise universe.toml").env("JTWBUILD_DEBIAN_MIRROR", "deb.example.org").output();
    assert_snapshot!(of_machine(Ended::new("realise universe.toml", output.unwrap())));
}

#[test]
fn no_mirror_at_all() {
    let universe = TestUniverse::bare(TWO_NODES);
    if !has_namespaces(&universe) {
        return;
    }
    let script = "unset JTWBUILD_DEBIAN_MIRROR
                  [ ! -d /etc/apt ] || mount -t tmpfs tmpfs /etc/apt
                  exec $jtwbuild realise universe.toml";
    assert_snapshot!(of_machine(universe.run_in_namespaces("realise universe.toml", script)));
}

#[test]
fn offline_without_a_lock() {
    let universe = TestUniverse::bare(TWO_NODES);
    let output = universe
        .command("realise universe.toml --offline")
        .env("JTWBUILD_DEBIAN_MIRROR", "http://127.0.0.1:1/debian")
        .output();
    assert_snapshot!(of_machine(Ended::new("realise universe.toml --offline", output.unwrap())));
    assert!(!universe.path("universe.lock").exists());
}

#[test]
fn no_user_namespaces() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    if !has_namespaces(&universe) {
        return;
    }
    let script = "echo 0 > /proc/sys/user/max_user_namespaces; exec $jtwbuild realise universe.toml -j 1";
    assert_snapshot!(of_machine(universe.run_in_namespaces("realise universe.toml -j 1", script)));
    // It is not remembered.
    universe.run("realise universe.toml").success();
}

#[test]
fn a_full_disk() {
    let text = TWO_NODES.replace("echo hello", "dd if=/dev/urandom bs=1M count=20 2>/dev/null");
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    if !has_namespaces(&universe) {
        return;
    }
    let script = "mv store seeded; mkdir store
        mount -t tmpfs -o size=96m tmpfs store
        cp -a seeded/. store/
        head -c 80000000 /dev/zero > store/filler
        code=0; $jtwbuild realise universe.toml -j 1 || code=$?
        echo \"$code, leftovers: $(ls store/tmp)\"
        rm store/filler
        $jtwbuild realise universe.toml -j 1 --json > json
        grep -c '\"outcome\": \"built\"' json
        ls store/tmp";
    let ended = universe.run_in_namespaces("realise universe.toml -j 1", script);
    assert_eq!(ended.stdout, "4, leftovers: \n2\n", "{ended}");
    let (full, _) = ended.stderr.split_once("building node/greeting\nbuilt").expect("the second run");
    // Where it became full first depends on where this kernel keeps a builder's files.
    let (store, scratch) =
        ("cannot write `store/tmp/[private]`: No space left on device", "the builder's files");
    let plain: Vec<_> = scrub(full)
        .lines()
        .map(|line| {
            line.split_once(store).map_or(line.to_owned(), |(before, _)| format!("{before}{scratch}"))
        })
        .collect();
    assert_snapshot!(plain.join("\n"));
}

#[test]
fn a_store_that_cannot_be_written() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    if !has_namespaces(&universe) {
        return;
    }
    let script =
        "mount --bind store store; mount -o remount,bind,ro store; exec $jtwbuild realise universe.toml";
    assert_snapshot!(of_machine(universe.run_in_namespaces("realise universe.toml", script)));
}

#[test]
fn a_place_where_no_store_can_be_made() {
    let universe = TestUniverse::planned(TWO_NODES);
    assert_snapshot!(of_machine(universe.run("--store /proc/store realise universe.toml")));
    assert_snapshot!(
        "a_store_below_a_file",
        of_machine(universe.run("--store universe.toml/store realise universe.toml"))
    );
}

#[test]
fn a_store_of_another_version_is_left_alone() {
    let universe = TestUniverse::planned(TWO_NODES);
    universe.write("store/format", "jtwbuild store 99\n");
    assert_snapshot!(of_machine(universe.run("realise universe.toml")));
    assert_eq!(std::fs::read_dir(universe.path("store")).unwrap().count(), 1);
}

#[test]
fn an_output_that_holds_something_else_is_refused_before_anything_is_built() {
    let universe = TestUniverse::planned(REPL);
    universe.write("public/letter.txt", "dear reader");
    assert_snapshot!(of_machine(universe.run("realise universe.toml -o public")));
    assert_snapshot!(
        "an_output_that_is_a_file",
        of_machine(universe.run("realise universe.toml -o universe.toml"))
    );
    assert_eq!(std::fs::read_dir(universe.path("public")).unwrap().count(), 1);
    assert_eq!(universe.trees(), [""; 0]);
}

#[test]
fn a_lock_file_that_cannot_be_written() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    if !has_namespaces(&universe) {
        return;
    }
    let script = "rm universe.lock; mkdir -p /tmp/x; mount --bind . /mnt; mount -o remount,bind,ro /mnt
                  mount --bind store /mnt/store; cd /mnt; exec $jtwbuild realise universe.toml";
    assert_snapshot!(of_machine(universe.run_in_namespaces("realise universe.toml", script)));
}

#[test]
fn a_site_that_is_not_there() {
    let universe = TestUniverse::planned(TWO_NODES);
    assert_snapshot!(of_machine(universe.run("serve nowhere --listen 127.0.0.1:0")));
}
