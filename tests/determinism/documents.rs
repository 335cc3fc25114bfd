//! R90, R95: what a build key is made of, leaf by leaf, and that documents do not change unnoticed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jtwbuild::derivation::{
    Action, Assembly, AssemblyPackage, Base, Build, BuildKey, Derivation, FORMAT, Fetch, Git, Holds, Input,
    Jtw, Kind, NodeId, OpamBuild, PlanKey, Present, Script, Take, Tools,
};
use jtwbuild::effects::Effects;
use jtwbuild::request::{Capture, Command, Layer, Limits, Mount, Request};
use jtwbuild::source::{Archive, Checksums, LocalPath, PinnedDeb, Place, Sha256};
use jtwbuild::store::tree::TreeHash;
use serde_json::Value;

fn limits() -> Limits {
    Limits { seconds: 1, memory: 2, log: 3, processes: 4 }
}

fn env() -> BTreeMap<String, String> {
    [("PATH", "/bin"), ("LC_ALL", "C")].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn jtw() -> Jtw {
    Jtw {
        package: "p".into(),
        version: "1".into(),
        base: layer("base", 0),
        layer: 1,
        prefix: "/p".into(),
        extra: vec![],
        primitives: vec![layer("q", 1), layer("r", 0)],
        command: vec!["js_of_ocaml".into(), "--x".into()],
        effects: Effects::Cps,
        env: env(),
        limits: limits(),
        revision: 1,
    }
}

fn base_of_parts() -> Base {
    let part = |from: &str, keep: &[&str]| Take {
        from: from.into(),
        to: "lib".into(),
        keep: keep.iter().map(|pattern| (*pattern).to_owned()).collect(),
    };
    Base {
        packages: vec![],
        drop: vec![],
        take: vec![part("usr/lib/ocaml", &["**/META", "**/*.cma"]), part("usr/x", &["**"])],
        prefix: None,
        setup: vec![],
        env: BTreeMap::new(),
        limits: limits(),
    }
}

fn layer(name: &str, tree: usize) -> Layer<usize> {
    Layer { name: name.into(), tree }
}

fn request() -> Request<usize> {
    Request {
        mounts: vec![
            Mount::Overlay { at: "/".into(), layers: vec![layer("base", 0)], capture: None },
            Mount::Overlay {
                at: "/out".into(),
                layers: vec![layer("a", 1), layer("b", 0)],
                capture: Some(Capture { name: "out".into(), whole: false }),
            },
            Mount::ReadOnly { at: "/in".into(), tree: layer("in", 1) },
        ],
        stages: vec![
            vec![Command { argv: vec!["sh".into(), "-c".into()], cwd: "/".into() }],
            vec![
                Command { argv: vec!["true".into()], cwd: "/tmp".into() },
                Command { argv: vec!["false".into()], cwd: "/tmp".into() },
            ],
        ],
        env: env(),
        limits: limits(),
    }
}

fn opam_build() -> OpamBuild {
    let present = |package: &str, direct, setenv: Option<&str>| Present {
        package: package.into(),
        version: "1".into(),
        direct,
        layer: usize::from(direct),
        setenv: setenv.map(Into::into),
    };
    OpamBuild {
        package: "p".into(),
        version: "1".into(),
        file: "build: [\"make\"]\n".into(),
        variables: env(),
        present: vec![present("q", true, Some("A = \"1\"")), present("r", false, None)],
        request: request(),
        prefix: "/opt/jtw".into(),
        workdir: "/build".into(),
        source: Some(1),
        extra: vec![("a.patch".into(), 0), ("b/c.patch".into(), 1)],
        revision: 1,
    }
}

/// An action of every kind with every field filled. A new field does not compile here until it has a
/// value, and is then mutated below like every other.
fn actions() -> Vec<(Kind, Action)> {
    let sha256 = Sha256::from_bytes([7; 32]);
    let deb = |name: &str| PinnedDeb {
        name: name.into(),
        version: "1".into(),
        path: format!("pool/{name}"),
        size: 5,
        sha256,
    };
    vec![
        (
            Kind::Source,
            Action::Fetch(Fetch {
                archive: archive(sha256),
                holds: Holds::Archive,
                strip: Some(1),
                archive_bytes: 1,
                unpacked_bytes: 2,
                members: 3,
            }),
        ),
        (
            Kind::Base,
            Action::Base(Base {
                packages: vec![deb("a"), deb("b")],
                drop: vec!["usr/share/*".into(), "x".into()],
                take: vec![],
                prefix: Some("/usr".into()),
                setup: vec![vec!["ldconfig".into(), "-v".into()], vec!["true".into()]],
                env: env(),
                limits: limits(),
            }),
        ),
        (Kind::Node, Action::Script(Script { request: request(), outputs: vec!["a".into(), "b".into()] })),
        (
            Kind::Build,
            Action::Build(Build {
                package: "p".into(),
                version: "1".into(),
                request: request(),
                install_file: Some("p.install".into()),
                source: Some(1),
                findlib: vec!["p".into(), "p.x".into()],
            }),
        ),
        (Kind::Build, Action::Opam(opam_build())),
        (Kind::Build, Action::Base(base_of_parts())),
        (
            Kind::JtwTools,
            Action::Tools(Tools {
                request: request(),
                base: 0,
                stdlib: "/lib".into(),
                compiler: "5.4.1".into(),
                revision: 1,
            }),
        ),
        (Kind::Jtw, Action::Jtw(jtw())),
        (Kind::Jtw, Action::Jtw(Jtw { extra: vec![layer("js", 1), layer("more", 0)], ..jtw() })),
        (
            Kind::Assembly,
            Action::Assembly(Assembly {
                universe: "u".into(),
                compiler: "5.4.1".into(),
                effects: Effects::Disabled,
                tools: 0,
                packages: vec![package("p", true), package("q", false)],
                page: Some(1),
                is_part: false,
                revision: 1,
            }),
        ),
        (
            Kind::Assembly,
            Action::Assembly(Assembly {
                universe: "u".into(),
                compiler: "5.4.1".into(),
                effects: Effects::Disabled,
                tools: 0,
                packages: vec![],
                page: None,
                is_part: true,
                revision: 1,
            }),
        ),
    ]
}

/// What documents may also say since they came to be, all of it left out unless it is needed. Not part
/// of [`GOLDEN`], which is about what they always said.
fn newer_actions() -> Vec<(Kind, Action)> {
    let sums =
        [format!("sha256={}", "07".repeat(32)), format!("sha512={}", "07".repeat(64)), "70".repeat(16)];
    let sums = Checksums::parse(&sums.each_ref().map(String::as_str)).unwrap();
    let fetch = |holds| {
        let archive = Archive { checksums: sums, ..archive(Sha256::from_bytes([7; 32])) };
        Action::Fetch(Fetch { archive, holds, strip: None, archive_bytes: 1, unpacked_bytes: 2, members: 3 })
    };
    vec![
        (Kind::Source, fetch(Holds::File("script.sh".into()))),
        (Kind::Source, fetch(Holds::ArchiveOrFile("script.sh".into()))),
        (
            Kind::Source,
            Action::Git(Git {
                url: "https://example.org/r.git".into(),
                commit: "07".repeat(20),
                subdir: Some("a/b".into()),
                submodules: true,
                bytes: 1,
                members: 2,
            }),
        ),
        (
            Kind::Assembly,
            Action::Assembly(Assembly {
                universe: "u".into(),
                compiler: "5.4.1".into(),
                effects: Effects::Disabled,
                tools: 0,
                packages: vec![AssemblyPackage {
                    homepage: Some("https://example.org/".into()),
                    license: Some("ISC".into()),
                    ..package("p", true)
                }],
                page: None,
                is_part: false,
                revision: 1,
            }),
        ),
    ]
}

fn archive(sha256: Sha256) -> Archive {
    let local = LocalPath { written: "a.tar".into(), directory: "/somewhere".into() };
    let places = vec![
        Place::Url("https://example.org/a".into()),
        Place::Debian("a.orig.tar".into()),
        Place::Mirror("pool/a".into()),
        Place::Path(local),
    ];
    Archive::new(sha256, places)
}

fn package(name: &str, asked_for: bool) -> AssemblyPackage {
    AssemblyPackage {
        name: name.into(),
        version: "1".into(),
        description: "d".into(),
        homepage: None,
        license: None,
        jtw: 1,
        asked_for,
    }
}

const TREES: [[u8; 32]; 2] = [[1; 32], [2; 32]];

fn trees() -> Vec<TreeHash> {
    TREES.iter().map(|bytes| TreeHash::from_bytes(*bytes)).collect()
}

fn key(kind: Kind, name: &str, action: &Action) -> BuildKey {
    Derivation::new(kind, name.into(), action, vec![]).build_key(&trees())
}

/// Every other value that one leaf may have, as far as the document can be read with it.
fn others(leaf: &Value) -> Vec<Value> {
    let words = [
        "disabled",
        "cps",
        "double-translation",
        "overlay",
        "read-only",
        "fetch",
        "git",
        "base",
        "script",
        "build",
        "tools",
        "jtw",
        "assembly",
    ];
    match leaf {
        Value::String(text) => {
            let mut others: Vec<Value> =
                vec![format!("{text}~").into(), String::new().into(), format!(" {text}").into()];
            // Hashes stay hashes.
            others.push(text.replace('0', "1").replace('7', "8").into());
            others.extend(words.map(Value::from));
            others.retain(|other| other != leaf);
            others
        }
        Value::Number(number) => {
            let number = number.as_u64().unwrap();
            vec![(number + 1).into(), (number + (1 << 20)).into(), Value::Null]
        }
        Value::Bool(flag) => vec![(!flag).into()],
        Value::Null => vec!["now there".into(), 1.into()],
        _ => vec![],
    }
}

/// Calls `visit` with the place of every value of a document.
fn walk(value: &Value, at: &str, visit: &mut dyn FnMut(&str, &Value)) {
    visit(at, value);
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| walk(value, &format!("{at}/{key}"), visit)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, value)| walk(value, &format!("{at}/{index}"), visit));
        }
        _ => {}
    }
}

/// The document with every single thing changed in turn: each leaf to each other value; each element of
/// a list left out, doubled or swapped with the next; each entry of a table left out or renamed.
fn mutants(document: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    walk(document, "", &mut |at, value| {
        let mut mutant = |what: &str, new: Value| {
            let mut changed = document.clone();
            *changed.pointer_mut(at).unwrap() = new;
            found.push((format!("{at}: {what}"), changed));
        };
        match value {
            Value::Object(map) => {
                for (name, held) in map {
                    let mut less = map.clone();
                    less.remove(name);
                    mutant(&format!("without {name}"), less.clone().into());
                    less.insert(format!("{name}~"), held.clone());
                    mutant(&format!("{name} renamed"), less.into());
                }
                let mut more = map.clone();
                more.insert("more".into(), "x".into());
                mutant("one more", more.into());
            }
            Value::Array(list) => {
                for index in 0..list.len() {
                    let mut changed = list.clone();
                    changed.remove(index);
                    mutant(&format!("without {index}"), changed.into());
                    let mut changed = list.clone();
                    changed.insert(index, list[index].clone());
                    mutant(&format!("{index} doubled"), changed.into());
                    let mut changed = list.clone();
                    changed.swap(index, (index + 1) % list.len());
                    mutant(&format!("{index} swapped"), changed.into());
                }
            }
            leaf => others(leaf).into_iter().for_each(|new| mutant(&new.to_string(), new)),
        }
    });
    found
}

/// Fields that are meant to be in no key, or are written without their name.
const HIDDEN: &[&str] = &[
    // Where the file lies on this machine.
    "directory",
    // The whole of a path as it is written: one of the leaves.
    "written",
    // Written as its parts, beside the places.
    "checksums",
];

/// Every field that `Debug` shows is one that serde writes: a field that serde leaves out would be in
/// no key.
#[test]
fn no_field_of_a_document_is_hidden_from_its_key() {
    let all: Vec<_> = actions().into_iter().chain(newer_actions()).collect();
    // What is left out where it says nothing is written in another one.
    let mut written = BTreeSet::new();
    for (_, action) in &all {
        walk(&serde_json::to_value(action).unwrap(), "", &mut |_, value| {
            if let Value::Object(map) = value {
                written.extend(map.keys().cloned());
            }
        });
    }
    for (kind, action) in all {
        let debug = format!("{action:#?}");
        let fields = debug.lines().filter_map(|line| line.trim().split_once(": "));
        let fields: BTreeSet<&str> =
            fields.map(|(name, _)| name).filter(|name| !name.starts_with('"')).collect();
        assert!(fields.len() > 3, "{debug}");
        let hidden: Vec<_> =
            fields.iter().filter(|field| !written.contains(**field) && !HIDDEN.contains(field)).collect();
        assert!(hidden.is_empty(), "{kind}: {hidden:?} is in no key");
    }
}

#[test]
fn every_leaf_of_every_document_changes_the_key_and_nothing_else_does() {
    let (mut leaves, mut tried, mut unreadable) = (0, 0, 0);
    let mut keys = BTreeMap::new();
    for (kind, action) in actions().into_iter().chain(newer_actions()) {
        let document = serde_json::to_value(&action).unwrap();
        let original = key(kind, "x", &action);
        let same: Action = serde_json::from_value(document.clone()).unwrap();
        let mut changed_leaves = BTreeSet::new();
        for (what, mutant) in mutants(&document) {
            let Ok(other) = serde_json::from_value::<Action>(mutant) else {
                unreadable += 1;
                continue;
            };
            let other_key = key(kind, "x", &other);
            // A list may hold equal elements; a key that serde does not know is dropped.
            if other == same {
                assert_eq!(other_key, original, "{kind} {what}: equal documents with different keys");
                continue;
            }
            assert_ne!(other_key, original, "{kind} {what}");
            if let Some((before, twin)) = keys.insert(other_key.to_string(), (what.clone(), other.clone())) {
                assert_eq!(other, twin, "{kind}: `{what}` and `{before}` have one key");
            }
            changed_leaves.insert(what.split(": ").next().unwrap().to_owned());
            tried += 1;
        }
        // There is no leaf that no mutant could change, but for the words that say which fields follow.
        walk(&document, "", &mut |at, value| {
            if !value.is_object() && !value.is_array() {
                leaves += 1;
                assert!(
                    changed_leaves.contains(at) || at == "/do" || at.ends_with("/mount"),
                    "{kind}: nothing else was possible at {at}"
                );
            }
        });
        // Kind, name and inputs belong to the document.
        assert_ne!(key(kind, "y", &action), original);
        let other_kind = if kind == Kind::Node { Kind::Build } else { Kind::Node };
        assert_ne!(key(other_kind, "x", &action), original);
        let derivation = Derivation::new(kind, "x".into(), &action, vec![]);
        let [first, second] = trees()[..] else { unreachable!() };
        for other in
            [vec![second, first], vec![first], vec![], vec![first, second, second], vec![first, first]]
        {
            assert_ne!(derivation.build_key(&other), original, "{kind} {other:?}");
        }
        // The same document, made anew: no time, no place, no process is in it.
        let text = serde_json::to_string(&action).unwrap();
        assert_eq!(key(kind, "x", &serde_json::from_str(&text).unwrap()), original);
        if let Action::Fetch(fetch) = &action {
            let mut elsewhere = fetch.clone();
            let Some(Place::Path(path)) = elsewhere.archive.places.last_mut() else { panic!("a path") };
            path.directory = "/elsewhere".into();
            assert_ne!(elsewhere, *fetch);
            assert_eq!(key(kind, "x", &Action::Fetch(elsewhere)), original, "a place of this machine");
        }
    }
    println!("{leaves} leaves, {tried} mutants with another key each, {unreadable} that cannot be read");
    assert!(leaves > 150 && tried > 600, "{leaves} leaves, {tried} mutants");
}

/// Keys as other processes and other days know them. If this fails, documents or their hashing have
/// changed, and with them everybody's keys: raise `derivation::FORMAT`, say why under **Keys** in
/// CHANGELOG.md, and add a line here. Lines of earlier formats stay as they are. A line has a part for
/// each group of documents that came later; see [`group`].
const GOLDEN: &[(u32, [&str; GROUPS])] = &[(
    1,
    [
        "b35d45c87c775521755aae1e530aa0cad5b9b49df26177637228498c9c65852d",
        "d1a375b38925b4d35dc50fff625d39e30bba8d9efea52c3e048fefcd5fca4a3e",
        "e8c926c1777bec1fe24c40610a77ac33e35c4095e372ab06173d02d5d28b3cb7",
        "cb49ed219f6bd353400e3b90a8d1cb631c4acdb149cb8018ad4632dd02284c22",
        "29de6275ef4d38a2a068c68c24474841abcaa25abd12b8419172ac6b9934f540",
    ],
)];

const GROUPS: usize = 5;

/// Which documents there were when the format was new (0), and which came at one time later.
fn group(action: &Action) -> usize {
    match action {
        Action::Opam(_) => 1,
        Action::Base(base) if !base.take.is_empty() => 2,
        Action::Assembly(assembly) if assembly.is_part => 3,
        Action::Jtw(jtw) if !jtw.extra.is_empty() => 4,
        _ => 0,
    }
}

#[test]
fn documents_of_a_format_never_change_and_the_changelog_names_every_format() {
    let mut all = [(); GROUPS].map(|()| blake3::Hasher::new());
    for (kind, action) in actions() {
        let all = &mut all[group(&action)];
        let inputs = vec![Input::Node(NodeId(0)), Input::Tree(TreeHash::from_bytes([3; 32]))];
        let derivation = Derivation::new(kind, "x".into(), &action, inputs);
        all.update(derivation.head());
        all.update(derivation.build_key(&trees()).as_bytes());
        all.update(derivation.plan_key(|_| PlanKey::from_bytes([9; 32])).as_bytes());
    }
    let all = all.map(|hasher| hasher.finalize().to_hex().to_string());
    let golden = GOLDEN.iter().find(|(format, _)| *format == FORMAT);
    let golden = golden.unwrap_or_else(|| panic!("no line for format {FORMAT}: {all:?}")).1;
    assert_eq!(all, golden, "documents have changed: see what the comment says");
    let changelog = Path::new(env!("CARGO_MANIFEST_DIR")).join("CHANGELOG.md");
    let changelog = std::fs::read_to_string(changelog).unwrap();
    let keys = changelog.split("\n### ").filter(|section| section.starts_with("Keys\n")).collect::<String>();
    for (format, _) in GOLDEN {
        assert!(
            keys.contains(&format!("document format {format}")),
            "no word on format {format} under Keys:\n{keys}"
        );
    }
}
