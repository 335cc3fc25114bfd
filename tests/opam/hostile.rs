//! What packages may not do: each is refused with a message that names it.

use std::fmt::Write;

use crate::world::{Opam, World};

const PATCH: &str = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";

/// Builds one package after the other, all of which must fail, and gives what was said.
fn messages(world: &World, packages: &[(&str, Opam<'_>)]) -> String {
    let mut text = String::new();
    for (what, package) in packages {
        writeln!(text, "{what}\n    {}", world.refused(*package)).unwrap();
    }
    text
}

#[test]
fn install_files_that_lead_out_are_refused() {
    let Some(world) = World::new() else { return };
    world.built(Opam {
        name: "before",
        text: r#"install: [["mkdir" "-p" "%{lib}%"] ["ln" "-s" "/etc" "%{lib}%/etc"] ["touch" "%{lib}%/file"]]"#,
        ..Opam::default()
    });
    let install = |text| [("p.install", text), ("a", "text")];
    let package = |source| Opam { name: "p", source, needs: &["before"], ..Opam::default() };
    let link = r#"install: [["mkdir" "-p" "%{lib}%"] ["ln" "-s" "/etc" "%{lib}%/p"]]"#;
    let (absolute, up, source, misc, missing) = (
        install(r#"lib: ["a" {"/etc/passwd"}]"#),
        install(r#"lib_root: ["a" {"../../etc/passwd"}]"#),
        install(r#"lib: ["../../etc/passwd"]"#),
        install(r#"misc: ["a" {"/etc/passwd"}]"#),
        install(r#"lib: ["b"]"#),
    );
    let (own_link, others_link, others_file) = (
        install(r#"lib: ["a" {"passwd"}]"#),
        install(r#"lib_root: ["a" {"etc/passwd"}]"#),
        install(r#"lib_root: ["a" {"file"}]"#),
    );
    let outside = [("p.install", "lib: [\"a\"]"), ("a@", "../../../etc/passwd")];
    insta::assert_snapshot!(messages(
        &world,
        &[
            ("absolute destination", package(&absolute)),
            ("destination with ..", package(&up)),
            ("source with ..", package(&source)),
            ("source that is a link out", package(&outside)),
            ("misc", package(&misc)),
            ("source that is not there", package(&missing)),
            ("through a link that the package itself installed", Opam { text: link, ..package(&own_link) }),
            ("through a link of a dependency", package(&others_link)),
            ("over a file of a dependency", package(&others_file)),
        ]
    ));
    let look_alike = install(r#"lib: ["a"] lib_root: ["a" {"pq/a"}] share_root: ["a" {"p/../p/a"}]"#);
    assert!(world.build(package(&look_alike)).0.is_err());
    let look_alike = install(r#"lib: ["a"] lib_root: ["a" {"pq/a"} "a" {"etcetera/passwd"}]"#);
    assert_eq!(world.built(package(&look_alike)).files(), ["lib/etcetera/passwd", "lib/p/a", "lib/pq/a"]);
}

#[test]
fn patches_and_extra_files_that_lead_out_are_refused_before_anything_runs() {
    let Some(world) = World::new() else { return };
    let text = "patches: [\"good\" \"bad\"]\nbuild: [\"touch\" \"%{prefix}%/built\"]";
    let source = [("x", "a\n"), ("d@", "/etc"), ("good", PATCH)];
    let package = Opam { name: "p", text, source: &source, ..Opam::default() };
    let bad = |from: &str, to: &str| PATCH.replace(from, to);
    let patches = [
        ("absolute path", bad("a/x", "/etc/passwd")),
        ("path with ..", bad("b/x", "b/../../etc/passwd")),
        ("path with .. after a good file", format!("{PATCH}{}", bad("b/x", "b/../y"))),
        ("through a link", bad("b/x", "b/d/passwd")),
        ("a name in quotes with escapes", bad("b/x", "\"b/\\056\\056/x\"")),
        ("rename", "diff --git a/x b/y\nrename from x\nrename to ../y\n".to_owned()),
        ("a script for ed", "1c\nb\n.\n".to_owned()),
    ];
    let mut said = String::new();
    for (what, patch) in &patches {
        let extra = [("bad", patch.as_str())];
        let (result, log) = world.build(Opam { extra: &extra, ..package });
        writeln!(said, "{what}\n    {}", result.map(|built| built.files()).unwrap_err()).unwrap();
        assert_eq!(log, "", "{what}: nothing ran");
    }
    let files = [
        ("missing", vec![]),
        ("extra file with ..", vec![("../x", "")]),
        ("absolute extra file", vec![("/etc/passwd", "")]),
        ("extra file through a link", vec![("d/passwd", "")]),
        ("extra file below a file", vec![("x/y", "")]),
        ("extra file in place of a directory", vec![("bad", PATCH), ("e/f", ""), ("e", "")]),
    ];
    for (what, extra) in &files {
        writeln!(said, "{what}\n    {}", world.refused(Opam { extra, ..package })).unwrap();
    }
    insta::assert_snapshot!(said);
}

#[test]
fn what_fields_come_to_is_checked_again_when_variables_are_known() {
    let Some(world) = World::new() else { return };
    let config = [("core.config", "variables { nul: \"a\\000b\" }")];
    world.built(Opam { name: "core", source: &config, ..Opam::default() });
    let package = |text| Opam { name: "p", text, needs: &["core"], ..Opam::default() };
    let template = [("f.in/x", "")];
    let link = [("f.in@", "/etc/passwd")];
    let large = format!("build: [\"x\" \"{}\"]", "%{core:nul}%".repeat(8_000)).replace("nul", "large");
    let value = "x".repeat(1000);
    let large_config = [("large.config", format!("variables {{ large: \"{value}\" }}"))];
    let large_config: Vec<_> = large_config.iter().map(|(name, text)| (*name, text.as_str())).collect();
    world.built(Opam { name: "large", source: &large_config, ..Opam::default() });
    let large = large.replace("core:", "large:");
    insta::assert_snapshot!(messages(
        &world,
        &[
            ("no program", package("build: [nosuch \"x\"]")),
            ("NUL in an argument", package("build: [\"x\" core:nul]")),
            ("NUL in the environment", package("build-env: X = \"%{core:nul}%\"")),
            ("template that is not there", package("substs: \"f\"")),
            ("template that is a directory", Opam { source: &template, ..package("substs: \"f\"") }),
            ("template that is a link", Opam { source: &link, ..package("substs: \"f\"") }),
            ("arguments without end", Opam { needs: &["large"], ..package(&large) }),
        ]
    ));
}

#[test]
fn config_files_of_others_cannot_be_written_and_bad_ones_are_refused() {
    let Some(world) = World::new() else { return };
    let forged = r#"install: [
        ["mkdir" "-p" "%{prefix}%/.opam-switch/config"]
        ["sh" "-c" "echo 'variables { native: false }' > /opt/jtw/.opam-switch/config/ocaml.config"]]"#;
    let config = |text| [("p.config", text)];
    let (syntax, section, field, twice, value, name) = (
        config("variables {"),
        config("variables { a { b: 1 } }"),
        config("prefix: \"/\""),
        config("variables { a: 1 a: 2 }"),
        config("variables { a: b }"),
        config("variables { a:b: 1 }"),
    );
    let package = |source| Opam { name: "p", source, ..Opam::default() };
    insta::assert_snapshot!(messages(
        &world,
        &[
            ("forged", Opam { name: "p", text: forged, ..Opam::default() }),
            ("syntax", package(&syntax)),
            ("section", package(&section)),
            ("field", package(&field)),
            ("twice", package(&twice)),
            ("value", package(&value)),
            ("name", package(&name)),
        ]
    ));
}
