//! Documents and their keys.

use super::*;
use crate::request::{Command, Mount};

fn script() -> Derivation {
    let request = Request {
        mounts: vec![
            Mount::Overlay {
                at: "/".into(),
                layers: vec![Layer { name: "base".into(), tree: 0 }],
                capture: None,
            },
            Mount::Overlay { at: "/out".into(), layers: vec![], capture: Some(OUT.into()) },
            Mount::ReadOnly { at: "/in/a".into(), tree: Layer { name: "a".into(), tree: 1 } },
        ],
        stages: vec![vec![Command { argv: vec!["sh".into(), "-c".into(), "x".into()], cwd: "/".into() }]],
        env: [("PATH".to_owned(), "/bin".to_owned())].into(),
        limits: Limits { seconds: 1, memory: 2, log: 3, processes: 4 },
    };
    let action = Action::Script(Script { request, outputs: vec!["value".into()] });
    let inputs = vec![Input::Node(NodeId(0)), Input::Tree(TreeHash::from_bytes([1; 32]))];
    Derivation::new(Kind::Node, "x".into(), &action, inputs)
}

#[test]
fn kept_head_gives_the_same_keys_and_action() {
    let derivation = script();
    let head = derivation.head().to_vec();
    let kept = Derivation::with_head(Kind::Node, "x".into(), head, derivation.inputs.clone());
    let of = |_| PlanKey::from_bytes([7; 32]);
    assert_eq!(kept.plan_key(of), derivation.plan_key(of));
    assert_eq!(kept.build_key(&[]), derivation.build_key(&[]));
    let action = kept.action().unwrap();
    assert_eq!(action, derivation.action().unwrap());
    assert_eq!(Derivation::new(Kind::Node, "x".into(), &action, vec![]).head(), derivation.head());
}

/// Every single leaf of the document, changed by itself, gives another key.
#[test]
fn every_field_of_the_document_changes_the_key() {
    let derivation = script();
    let trees = [TreeHash::from_bytes([5; 32]), TreeHash::from_bytes([1; 32])];
    let key = derivation.build_key(&trees);
    let action = serde_json::to_value(derivation.action().unwrap()).unwrap();
    let mut leaves = Vec::new();
    collect_leaves(&action, String::new(), &mut leaves);
    assert!(leaves.len() > 15, "{leaves:?}");
    for pointer in leaves {
        let mut changed = action.clone();
        let leaf = changed.pointer_mut(&pointer).unwrap();
        *leaf = match leaf.clone() {
            serde_json::Value::String(text) if pointer == "/do" || pointer.ends_with("/mount") => {
                let _ = text;
                continue;
            }
            serde_json::Value::String(text) => format!("{text}~").into(),
            serde_json::Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
            serde_json::Value::Bool(flag) => (!flag).into(),
            serde_json::Value::Null => "now there".into(),
            other => panic!("{pointer}: {other}"),
        };
        let action = serde_json::from_value(changed).unwrap();
        let other = Derivation::new(Kind::Node, "x".into(), &action, vec![]);
        assert_ne!(other.build_key(&trees), key, "{pointer}");
    }
    let other = [trees[0], TreeHash::from_bytes([6; 32])];
    assert_ne!(derivation.build_key(&other), key);
    let action = derivation.action().unwrap();
    let other = |kind, name: &str| Derivation::new(kind, name.into(), &action, vec![]).build_key(&trees);
    assert_eq!(other(Kind::Node, "x"), key);
    assert_ne!(other(Kind::Node, "y"), key);
    assert_ne!(other(Kind::Build, "x"), key);
}

fn collect_leaves(value: &serde_json::Value, at: String, leaves: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            map.iter().for_each(|(key, value)| collect_leaves(value, format!("{at}/{key}"), leaves));
        }
        serde_json::Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, value)| collect_leaves(value, format!("{at}/{i}"), leaves));
        }
        _ => leaves.push(at),
    }
}

#[test]
fn plan_and_build_keys_are_never_equal() {
    let derivation = script();
    let hash = [1; 32];
    let plan = derivation.plan_key(|_| PlanKey::from_bytes(hash));
    let trees = [TreeHash::from_bytes(hash), TreeHash::from_bytes(hash)];
    assert_ne!(plan.as_bytes(), derivation.build_key(&trees).as_bytes());
}
