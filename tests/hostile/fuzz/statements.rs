//! Proofs, statements and trust files: what strangers send.

use std::collections::BTreeMap;
use std::sync::Arc;

use jtwbuild::derivation::{Action, Derivation, Input, Kind, NodeId, OUT, Script};
use jtwbuild::diagnostic::SourceFile;
use jtwbuild::plan::Plan;
use jtwbuild::proof::{Given, Proof, Texts};
use jtwbuild::request::{Capture, Command, Layer, Limits, Mount, Request};
use jtwbuild::statement::key::SecretKey;
use jtwbuild::statement::trust::{Party, Trust};
use jtwbuild::statement::verify::{Against, verify};
use jtwbuild::statement::{Claim, Statement};
use jtwbuild::store::Store;
use jtwbuild::store::key::BuildKey;
use jtwbuild::store::tree::TreeHash;

use super::{Target, fuzz};

fn proof() -> String {
    let directory = super::super::scene::directory();
    let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
    std::fs::write(directory.path().join("file"), "content").unwrap();
    let staging = store.stage().unwrap();
    let given = staging.publish(&staging.add_path(&directory.path().join("file")).unwrap()).unwrap();
    let layer = Layer { name: "given".into(), tree: 0 };
    let mount = Mount::Overlay { at: "/".into(), layers: vec![layer], capture: Some(Capture::from(OUT)) };
    let command = Command { argv: vec!["true".into()], cwd: "/".into() };
    let limits = Limits { seconds: 1, memory: 1, log: 1, processes: 1 };
    let request = Request { mounts: vec![mount], stages: vec![vec![command]], env: BTreeMap::new(), limits };
    let action = Action::Script(Script { request, outputs: vec![] });
    let mut plan = Plan::default();
    plan.add(Derivation::new(Kind::Node, "one".into(), &action, vec![Input::Tree(given)]));
    let key = plan.derivation(NodeId(0)).build_key(&[given]);
    let texts = Texts { universe: "demo".into(), ..Texts::default() };
    Proof::new(texts, vec![Given::read(&store, &given).unwrap()], &plan, &[(key, given)]).text()
}

#[test]
fn proofs() {
    fuzz(Target {
        name: "proof",
        usual: 2000,
        seeds: vec![proof().into_bytes()],
        words: &[
            b"{ \"node\": 0 }",
            b"\\\"tree\\\":9",
            b"\"hex\"",
            b"\"../x\"",
            b"\"link\"",
            b"18446744073709551616",
        ],
        special: None,
        run: &mut |input| match Proof::read(input) {
            Ok((proof, plan)) => {
                assert_eq!(proof.nodes.len(), plan.len());
                "taken".into()
            }
            Err(error) => {
                error.to_string().split(|c: char| !c.is_alphabetic() && c != ' ').next().unwrap().into()
            }
        },
    });
}

#[test]
fn statements() {
    let directory = super::super::scene::directory();
    let key = SecretKey::generate(&directory.path().join("key"), None).unwrap();
    let party = Party { name: "alice".into(), key: key.public().unwrap(), expires: None };
    let trust = Trust { parties: vec![party] };
    let claim = Claim {
        key: BuildKey::from_bytes([1; 32]),
        tree: TreeHash::from_bytes([2; 32]),
        node: "node/one".into(),
    };
    let good = Statement::new("alice", "demo", 1_800_000_000, vec![claim]).signed(&key).unwrap();
    let seen = BTreeMap::new();
    let against = Against { trust: &trust, seen: &seen, now: 1_800_000_000, max_age_days: None };
    fuzz(Target {
        name: "statement",
        usual: 2000,
        seeds: vec![good.clone().into_bytes()],
        words: &[b"untrusted comment: ", b"trusted comment: ", b"\r\n", b"=", b"A"],
        special: None,
        run: &mut |input| match verify(input, &against) {
            Ok(_) => {
                // Nothing but what was signed, in the one form that it was signed in.
                assert_eq!(input, good.as_bytes());
                "taken".into()
            }
            Err(refusal) => refusal.word().into(),
        },
    });
}

#[test]
fn trust_files() {
    let text = "format = 1\n[[party]]\nname = \"alice\"\n\
        key = \"RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\"\nexpires = \"2027-12-31\"\n";
    fuzz(Target {
        name: "trust",
        usual: 2000,
        seeds: vec![text.as_bytes().to_vec()],
        words: &[b"[[party]]\n", b"2000-02-30", b"9999-12-31", b"\"\""],
        special: None,
        run: &mut |input| {
            let file = SourceFile::new("trust.toml", &String::from_utf8_lossy(input));
            match Trust::read(&file) {
                Ok(trust) => format!("taken {}", trust.parties.len()),
                Err(error) => error.problems[0].code.clone(),
            }
        },
    });
}
