//! Pairs of files that OCaml 5.4.1 wrote, each differing in one known way (tests/fixtures/ocaml/make.sh).

use super::*;
use crate::explain::explain;

fn file(variant: &str, name: &str) -> Vec<u8> {
    let root = env!("CARGO_MANIFEST_DIR");
    std::fs::read(format!("{root}/tests/fixtures/ocaml/{variant}/{name}")).unwrap()
}

/// The findings, one a line: place, what is said, before → after.
fn told(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let mut line = finding.place.join(", ");
        if let Some(note) = &finding.note {
            line.push_str(&format!(" [{note}]"));
        }
        match (&finding.before, &finding.after) {
            (None, None) => {}
            (before, after) => {
                let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".into());
                line.push_str(&format!(": {} → {}", side(before), side(after)));
            }
        }
        line + "\n"
    };
    findings.iter().map(line).collect()
}

fn compared(name: &str, before: &str, after: &str) -> String {
    let explanation = explain(name, &file(before, name), &file(after, name)).unwrap();
    assert_eq!(explanation.format, Format::Ocaml, "{name} of {after}");
    assert!(!explanation.findings.is_empty(), "{name} of {after}");
    told(&explanation.findings)
}

#[test]
fn print_everything() {
    for variant in
        ["two", "place", "comment", "value", "import", "plain", "constant", "force", "library", "options"]
    {
        let root = env!("CARGO_MANIFEST_DIR");
        for entry in std::fs::read_dir(format!("{root}/tests/fixtures/ocaml/{variant}")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if file("one", &name) == file(variant, &name) {
                println!("== {variant} {name}: equal");
                continue;
            }
            println!("== {variant} {name}\n{}", compared(&name, "one", variant));
        }
    }
}
