//! R89: the plan is the same bytes whatever the order, the place, the user and the process.

use std::process::Command;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::scheduler::seed;
use crate::support::{PROGRAM, TestUniverse};

/// The keys of one TOML table, each with its text; they may stand in any order.
type Keys = Vec<String>;

/// A universe as it can be written in many ways: keys of the root, tables in any order, keys in them.
struct Written {
    root: Keys,
    packages: Vec<&'static str>,
    nodes: Vec<(Keys, Vec<String>)>,
}

fn universe() -> Written {
    let node = |index: usize| {
        let mut keys = vec![
            format!("name = \"n{index}\""),
            format!("script = \"echo {index} > $out/x\""),
            format!("timeout = {}", 10 + index),
            "env = { B = \"2\", A = \"1\", C = \"3\" }".to_owned(),
        ];
        if index % 3 == 1 {
            keys.push("source = \"data\"".to_owned());
        }
        let inputs = [index / 2, index / 3, index.saturating_sub(1)];
        let inputs: std::collections::BTreeSet<_> =
            inputs.into_iter().filter(|input| *input < index).collect();
        (keys, inputs.into_iter().map(|input| format!("\"n{input}\"")).collect())
    };
    Written {
        root: vec!["name = \"order\"".into(), "compiler = \"ocaml\"".into(), "effects = \"cps\"".into()],
        packages: vec!["fmt", "re", "logs", "cmdliner", "str", "unix", "astring"],
        nodes: (0..14).map(node).collect(),
    }
}

impl Written {
    fn shuffle(&mut self, random: &mut StdRng) {
        self.root.shuffle(random);
        self.packages.shuffle(random);
        self.nodes.shuffle(random);
        for (keys, inputs) in &mut self.nodes {
            keys.shuffle(random);
            inputs.shuffle(random);
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{}\npackages = {:?}\n", self.root.join("\n"), self.packages);
        for (keys, inputs) in &self.nodes {
            text += &format!("[[node]]\ninputs = [{}]\n{}\n", inputs.join(", "), keys.join("\n"));
        }
        text
    }
}

#[track_caller]
fn plan(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn with_sources(universe: TestUniverse) -> TestUniverse {
    for name in ["b", "a/x", "a/y", "c"] {
        universe.write(&format!("data/{name}"), name);
    }
    universe
}

/// The order of packages, nodes, inputs and keys is nobody's intention, so it is in no key. Each round
/// is a process of its own, and so has hash seeds of its own.
#[test]
fn plan_is_the_same_bytes_however_the_universe_is_written() {
    let mut written = universe();
    let usual = with_sources(TestUniverse::planned(&written.text()));
    let expected = plan(&mut usual.command("plan universe.toml --json"));
    assert!(expected.matches("plan_key").count() > 30, "{expected}");
    let mut random = StdRng::seed_from_u64(seed());
    for _ in 0..12 {
        written.shuffle(&mut random);
        usual.write("universe.toml", &written.text());
        let shuffled = plan(&mut usual.command("plan universe.toml --json"));
        assert_eq!(shuffled, expected, "{}", written.text());
    }
}

/// Recipes of the user's own, made in another order in another directory: listing them gives another
/// order on most file systems.
#[test]
fn plan_is_the_same_bytes_whatever_order_recipes_and_sources_are_listed_in() {
    let recipe = |name: &str, depends: &str| {
        format!(
            "description = \"{name}\"\ndepends = [{depends}]\n[source]\n\
             sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n\
             places = [{{ url = \"file:///nowhere\" }}]\n[build]\nsystem = \"dune\"\n"
        )
    };
    let mut files: Vec<(String, String)> = (0..20)
        .map(|index| {
            let depends =
                if index > 2 { format!("\"own{}\", \"own{}\"", index / 2, index / 3) } else { String::new() };
            (format!("mine/packages/own{index}/1.toml"), recipe(&format!("own{index}"), &depends))
        })
        .collect();
    let text = "name = \"own\"\ncompiler = \"ocaml\"\npackages = [\"own19\", \"own17\"]\n";
    let mut random = StdRng::seed_from_u64(seed());
    let mut plans = Vec::new();
    for _ in 0..6 {
        let universe = with_sources(TestUniverse::planned(text));
        files.shuffle(&mut random);
        files.iter().for_each(|(path, text)| universe.write(path, text));
        plans.push(plan(&mut universe.command("plan universe.toml --json --recipes mine")));
    }
    assert!(plans[0].contains("build/own17.1"), "{}", plans[0]);
    assert!(plans.iter().all(|plan| *plan == plans[0]));
}

#[test]
fn plan_is_the_same_bytes_for_everybody_everywhere() {
    let here = with_sources(TestUniverse::planned(&universe().text()));
    let expected = plan(&mut here.command("plan universe.toml --json"));
    let path = here.path("universe.toml");
    let path = path.to_str().unwrap();
    let elsewhere = TestUniverse::planned("");
    let mut ways: Vec<Command> = Vec::new();
    for (name, value) in [
        ("LC_ALL", "tr_TR.UTF-8"),
        ("LANG", "de_DE.ISO-8859-1"),
        ("TZ", "Asia/Kathmandu"),
        ("HOME", "/"),
        ("USER", "eve"),
        ("TERM", "dumb"),
        ("COLUMNS", "20"),
        ("TMPDIR", "/nonexistent"),
        ("SOURCE_DATE_EPOCH", "1"),
        ("RUST_BACKTRACE", "1"),
        ("JTWBUILD_DEBIAN_MIRROR", "file:///nowhere"),
    ] {
        let mut command = here.command("plan universe.toml --json");
        command.env(name, value);
        ways.push(command);
    }
    // Another directory, another store, the universe named in another way.
    let mut command = elsewhere.command("plan --json");
    command.arg(path);
    ways.push(command);
    ways.push(here.command("plan ./data/../universe.toml --json -v"));
    ways.push(here.command("--store other/store plan universe.toml --json -q"));
    let shell = |script: &str| {
        let mut command = here.tool("sh");
        command.args(["-euc", script]).env("jtwbuild", PROGRAM);
        command
    };
    for umask in ["000", "022", "077"] {
        ways.push(shell(&format!(
            "umask {umask}; exec $jtwbuild --store store-{umask} plan universe.toml --json"
        )));
    }
    ways.push(shell(
        "ulimit -n 64; ulimit -s 1024; exec env -i $jtwbuild --store store plan universe.toml --json",
    ));
    for mut way in ways {
        assert_eq!(plan(&mut way), expected, "{way:?}");
    }
    // Copied: other inodes, other times, another path.
    let copy = TestUniverse::planned(&universe().text());
    assert!(copy.tool("cp").arg("-r").arg(here.path("data")).arg(".").status().unwrap().success());
    assert!(
        copy.tool("touch")
            .args(["-d", "2001-01-01", "data/b", "data", "universe.toml"])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(plan(&mut copy.command("plan universe.toml --json")), expected);
    // What it does depend on.
    copy.write("data/b", "other");
    assert_ne!(plan(&mut copy.command("plan universe.toml --json")), expected);
}

/// Another user, when this one may become him.
#[test]
fn plan_is_the_same_bytes_for_another_user() {
    let universe = with_sources(TestUniverse::planned(&universe().text()));
    let expected = plan(&mut universe.command("plan universe.toml --json"));
    let user = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    let becoming = if user == 0 {
        "setpriv --reuid=54322 --regid=54322 --clear-groups"
    } else {
        "unshare --user --map-root-user"
    };
    // The program may be behind doors that are closed to him.
    std::fs::copy(PROGRAM, universe.path("program")).unwrap();
    let open = "chmod 755 . program; find data universe.toml universe.lock -exec chmod a+rX {} +; mkdir his; chmod 777 his";
    assert!(universe.tool("sh").args(["-euc", open]).status().unwrap().success());
    let mut command = universe.tool("sh");
    command.args(["-euc", &format!("exec {becoming} ./program --store his/store plan universe.toml --json")]);
    let output = command.output().unwrap();
    if !output.status.success() && user != 0 {
        return crate::support::skip("no user namespaces");
    }
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        expected,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
