//! R66: what is said of opam packages whose archives are not known well enough.

use insta::assert_snapshot;

use crate::support::TestUniverse;

/// Packages that the compiler of the base stands for.
const GIVEN: [&str; 7] = [
    "ocaml.5.4.1",
    "base-unix.base",
    "base-threads.base",
    "base-bigarray.base",
    "base-domains.base",
    "base-effects.base",
    "base-nnp.base",
];

/// A universe with one package of an opam repository, with these checksums.
fn universe(checksums: &str) -> TestUniverse {
    let universe = TestUniverse::planned(
        "name = \"x\"\ncompiler = \"ocaml-system\"\npackages = [\"a\"]\n[[repository]]\nopam = \"repository\"\n",
    );
    universe.write("repository/repo", "opam-version: \"2.0\"\n");
    for package in GIVEN {
        let (name, _) = package.split_once('.').unwrap();
        universe.write(&format!("repository/packages/{name}/{package}/opam"), "opam-version: \"2.0\"\n");
    }
    let opam = format!(
        "opam-version: \"2.0\"\nbuild: [\"true\"]\nurl {{\n  src: \"https://example.org/a-1.tbz\"\n{checksums}}}\n"
    );
    universe.write("repository/packages/a/a.1/opam", &opam);
    universe
}

fn said(checksums: &str) -> String {
    let ended = universe(checksums).run("plan universe.toml");
    assert!(ended.code == Some(3) && ended.to_string().contains("checksum"), "{ended}");
    ended.to_string()
}

const MD5: &str = "md5=900150983cd24fb0d6963f7d28e17f72";

#[test]
fn a_source_known_by_its_md5_only_is_refused() {
    assert_snapshot!(said(&format!("  checksum: \"{MD5}\"\n")));
}

#[test]
fn a_source_without_a_checksum_is_refused() {
    assert_snapshot!(said(""));
}

#[test]
fn a_checksum_of_another_length_is_shown() {
    assert_snapshot!(said(&format!("  checksum: [\"{MD5}\" \"sha512=00\"]\n")));
}

#[test]
fn checksums_that_contradict_each_other_are_shown() {
    let other = MD5.replace('9', "8");
    assert_snapshot!(said(&format!("  checksum: [\"{MD5}\" \"{other}\"]\n")));
}

#[test]
fn a_weak_checksum_is_taken_when_that_is_allowed_and_upper_case_always() {
    let weak = universe(&format!("  checksum: \"{MD5}\"\n"));
    weak.edit("name = \"x\"\n", "name = \"x\"\nallow-weak-checksums = true\n");
    let ended = weak.run("plan universe.toml");
    assert!(ended.code == Some(0) && ended.to_string().contains("source/a.1"), "{ended}");
    let upper = format!("  checksum: [\"sha256={}\" \"{}\"]\n", "AB".repeat(32), MD5.to_uppercase());
    let ended = universe(&upper).run("plan universe.toml");
    assert_eq!(ended.code, Some(0), "{ended}");
}

/// `abc`, and what it comes to.
const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// What `--json` says of the source, whatever becomes of the build.
fn sources(universe: &TestUniverse) -> serde_json::Value {
    let ended = universe.run("realise universe.toml --offline --json");
    let json = ended.json();
    let source = json["nodes"].as_array().unwrap().iter().find(|node| node["kind"] == "source").unwrap();
    assert_eq!(source["outcome"], "built", "{ended}");
    json["sources"].clone()
}

#[test]
fn substitutions_weak_checksums_and_mirrors_are_in_the_report() {
    let ways = [
        (
            "[source.a.\"1\"]\nsha256 = \"SHA256\"\nplaces = [{ path = \"given.txt\" }]\n",
            serde_json::json!([{
                "name": "a.1", "checksums": format!("sha256={SHA256}"), "from": "given.txt",
                "substituted": true, "weak": false,
            }]),
        ),
        (
            "allow-weak-checksums = true\narchive-mirrors = [\"cache\"]\n",
            serde_json::json!([{
                "name": "a.1", "checksums": MD5, "from": "archive mirror cache/md5/90/900150983cd24fb0d6963f7d28e17f72",
                "substituted": false, "weak": true,
            }]),
        ),
    ];
    for (text, expected) in ways {
        let universe = universe(&format!("  checksum: \"{MD5}\"\n"));
        universe.write("given.txt", "abc");
        universe.write("cache/md5/90/900150983cd24fb0d6963f7d28e17f72", "abc");
        let text = text.replace("SHA256", SHA256);
        if text.starts_with('[') {
            universe.edit("opam = \"repository\"\n", &format!("opam = \"repository\"\n{text}"));
        } else {
            universe.edit("name = \"x\"\n", &format!("name = \"x\"\n{text}"));
        }
        assert_eq!(sources(&universe), expected);
    }
}
