//! Proofs are read as they were written, and what contradicts itself is refused.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::derivation::{Action, OUT, Script};
use crate::request::{Capture, Command, Layer, Limits, Mount, Request};
use crate::store::Store;

fn script(argv: &str, slots: &[usize]) -> Action {
    let layer = |slot: &usize| Layer { name: format!("input {slot}"), tree: *slot };
    let command = Command { argv: vec!["sh".into(), "-c".into(), argv.into()], cwd: "/".into() };
    let mount = Mount::Overlay {
        at: "/".into(),
        layers: slots.iter().map(layer).collect(),
        capture: Some(Capture::from(OUT)),
    };
    let limits = Limits { seconds: 60, memory: 1 << 30, log: 1 << 20, processes: 100 };
    let request = Request { mounts: vec![mount], stages: vec![vec![command]], env: BTreeMap::new(), limits };
    Action::Script(Script { request, outputs: vec!["x".into()] })
}

/// A proof of two nodes, the second made from the first and from a given tree.
fn proof() -> Proof {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
    let source = directory.path().join("source");
    std::fs::create_dir_all(source.join("below/empty")).unwrap();
    std::fs::write(source.join("below/text"), "hello \u{2028} \"there\"\n").unwrap();
    std::fs::write(source.join("bytes"), [0xff, 0, 7]).unwrap();
    std::os::unix::fs::symlink("below/text", source.join("link")).unwrap();
    let staging = store.stage().unwrap();
    let tree = staging.add_path(&source).unwrap();
    let given = staging.publish(&tree).unwrap();

    let mut plan = Plan::default();
    let first = plan.add(Derivation::new(Kind::Node, "first".into(), &script("true", &[]), vec![]));
    let inputs = vec![Input::Node(first), Input::Tree(given)];
    plan.add(Derivation::new(Kind::Node, "second".into(), &script("cat", &[0, 1]), inputs));
    let trees = [TreeHash::from_bytes([1; 32]), TreeHash::from_bytes([2; 32])];
    let key = |id: u32, inputs: &[TreeHash]| plan.derivation(NodeId(id)).build_key(inputs);
    let outputs = [(key(0, &[]), trees[0]), (key(1, &[trees[0], given]), trees[1])];
    let texts = Texts {
        universe: "demo".into(),
        files: vec![("universe.toml".into(), "name = \"demo\"\n".into())],
        lock: "format = 1\n".into(),
        ..Texts::default()
    };
    Proof::new(texts, vec![Given::read(&store, &given).unwrap()], &plan, &outputs)
}

fn read(value: &Value) -> Result<(Proof, Plan), ProofError> {
    Proof::read(value.to_string().as_bytes())
}

#[test]
fn what_is_written_is_read_as_the_same_plan() {
    let proof = proof();
    let text = proof.text();
    let (again, plan) = Proof::read(text.as_bytes()).unwrap();
    assert_eq!(again, proof);
    assert_eq!(again.text(), text);
    assert_eq!(plan.len(), 2);
    assert_eq!(plan.derivation(NodeId(1)).id(), "node/second");
    assert_eq!(plan.derivation(NodeId(1)).needs().collect::<Vec<_>>(), [NodeId(0)]);
    // What it carries is put into any store as it was.
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
    again.given[0].publish(&store).unwrap();
    let place = store.tree_path(&again.given[0].tree);
    assert_eq!(std::fs::read(place.join("bytes")).unwrap(), [0xff, 0, 7]);
    assert!(place.join("below/empty").is_dir());
    assert_eq!(std::fs::read_link(place.join("link")).unwrap().to_str(), Some("below/text"));
}

#[test]
fn a_proof_that_contradicts_itself_is_refused() {
    let good: Value = serde_json::from_str(&proof().text()).unwrap();
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut bad = good.clone();
        change(&mut bad);
        assert_ne!(bad, good);
        read(&bad).map(|_| ()).unwrap_err().to_string()
    };
    let zeros = "0".repeat(64);
    let no_key = "its build key is not that of its document and inputs";
    assert_eq!(
        refused(&|bad| bad["nodes"][0]["key"] = json!(format!("build:{zeros}"))),
        format!("node/first: {no_key}")
    );
    // The second node says what the first one came to.
    assert_eq!(
        refused(&|bad| bad["nodes"][0]["tree"] = json!(format!("tree:{zeros}"))),
        format!("node/second: {no_key}")
    );
    let replace = |from: &'static str, to: &'static str| {
        move |bad: &mut Value| {
            let text = bad["nodes"][1]["document"].as_str().unwrap().replace(from, to);
            bad["nodes"][1]["document"] = json!(text);
        }
    };
    assert_eq!(refused(&replace("\"cat\"", "\"rm\"")), format!("node/second: {no_key}"));
    let other = "node/second: this version of jtwbuild does not write such a document";
    assert_eq!(refused(&replace("{\"format\"", "{\"more\":1,\"format\"")), other);
    assert_eq!(refused(&replace("\"processes\":100", "\"processes\":100,\"network\":true")), other);
    assert_eq!(refused(&replace(":", ": ")), other);
    assert_eq!(refused(&|bad| bad["nodes"][1]["document"] = json!("")), other);
    let of_another = "its document is that of another node";
    assert_eq!(refused(&|bad| bad["nodes"][1]["name"] = json!("third")), format!("node/third: {of_another}"));
    assert_eq!(refused(&|bad| bad["nodes"][1]["kind"] = json!("base")), format!("base/second: {of_another}"));
    assert_eq!(
        refused(&replace("\"tree\":1", "\"tree\":7")),
        "node/second: its document names an input that it has not got"
    );
    assert_eq!(
        refused(&|bad| bad["nodes"][0]["inputs"] = json!([{ "node": 0 }])),
        "node/first: an input of it does not stand before it"
    );
    assert_eq!(
        refused(&|bad| bad["given"] = json!([])),
        "node/second: content is missing that it is made from"
    );
    let twice = |bad: &mut Value| {
        let node = bad["nodes"][0].clone();
        bad["nodes"].as_array_mut().unwrap().insert(0, node);
    };
    assert_eq!(refused(&twice), "node/first: it is there twice");
}

#[test]
fn content_that_is_not_what_its_name_says_is_refused() {
    let good: Value = serde_json::from_str(&proof().text()).unwrap();
    let entries = good["given"][0]["entries"].as_array().unwrap().len();
    assert_eq!(entries, 4);
    let long = "a/".repeat(5000);
    let changes: Vec<Box<dyn Fn(&mut Value)>> = vec![
        Box::new(|given| given["entries"][0]["path"] = json!({ "text": "../x" })),
        Box::new(|given| given["entries"][0]["path"] = json!({ "text": "/x" })),
        Box::new(|given| given["entries"][0]["path"] = json!({ "text": "" })),
        Box::new(move |given| given["entries"][0]["path"] = json!({ "text": long })),
        Box::new(|given| given["entries"][0]["path"] = json!({ "hex": "0" })),
        Box::new(|given| given["entries"][0]["path"] = json!({ "hex": "+1" })),
        Box::new(|given| given["entries"].as_array_mut().unwrap().clear()),
        Box::new(|given| {
            let entry = given["entries"][1].clone();
            given["entries"].as_array_mut().unwrap().push(entry);
        }),
        Box::new(|given| given["tree"] = json!(format!("tree:{}", "0".repeat(64)))),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut bad = good.clone();
        change(&mut bad["given"][0]);
        let error = read(&bad).map(|_| ()).unwrap_err();
        assert!(matches!(error, ProofError::Given { .. }), "{number}: {error}");
    }
}

#[test]
fn what_is_no_proof_is_refused_without_a_panic() {
    let text = proof().text();
    for length in (0..text.len()).filter(|length| text.is_char_boundary(*length)).step_by(7) {
        // The last line end is no part of the value.
        assert!(Proof::read(&text.as_bytes()[..length]).is_err() || length == text.len() - 1, "{length}");
    }
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value["format"] = json!(2);
    assert!(matches!(read(&value), Err(ProofError::Format(2))));
    value["more"] = json!(1);
    assert!(matches!(read(&value), Err(ProofError::NotOne(_))));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(Proof::read(deep.as_bytes()), Err(ProofError::NotOne(_))));
    assert!(matches!(Proof::read(&[0xff]), Err(ProofError::NotOne(_))));
}
