//! Commands: their order, their filters, and that no shell sees them.

use jtwbuild::outcome::Failure;

use crate::world::{Opam, World};

#[test]
fn build_then_install_then_the_install_file_and_the_config_file() {
    let Some(world) = World::new() else { return };
    let built = world.built(Opam {
        name: "full",
        text: r#"
            build: [["sh" "-c" "echo build >> order"] ["sh" "-c" "echo second >> order"]]
            install: [
              [make "install" "PREFIX=%{prefix}%"]
              ["sh" "-c" "echo 'lib: [\"order\"] bin: [\"tool\" {\"full-tool\"}]' > full.install"]
            ]
        "#,
        source: &[
            ("Makefile", "install:\n\techo install >> order\n\tmkdir -p $(PREFIX)/share\n\tcp order $(PREFIX)/share/full\n"),
            ("tool", "#!/bin/sh\n"),
            ("full.config", "variables { stubs: \"/x\" on: true }\n"),
        ],
        ..Opam::default()
    });
    assert_eq!(
        built.files(),
        [".opam-switch/config/full.config", "bin/full-tool*", "lib/full/order", "share/full"]
    );
    assert_eq!(built.text("lib/full/order"), "build\nsecond\ninstall\n");
    let told = built.log.find("  make install PREFIX=/opt/jtw\n").unwrap_or_else(|| panic!("{}", built.log));
    assert!(told < built.log.find("echo install >> order\n").unwrap(), "{}", built.log);
}

#[test]
fn the_install_file_replaces_what_the_commands_installed() {
    let Some(world) = World::new() else { return };
    let built = world.built(Opam {
        name: "twice",
        text: r#"install: [["mkdir" "%{bin}%"] ["cp" "old" "%{bin}%/tool"]]"#,
        source: &[("twice.install", "bin: [\"new\" {\"tool\"}]"), ("old", "old"), ("new", "new")],
        ..Opam::default()
    });
    assert_eq!((built.files(), built.text("bin/tool")), (vec!["bin/tool*".to_owned()], "new".to_owned()));
}

#[test]
fn a_failing_command_ends_the_build() {
    let Some(world) = World::new() else { return };
    let failure = world.refused(Opam {
        name: "fails",
        text: r#"build: [["true"] ["sh" "-c" "exit 3"] ["touch" "%{prefix}%/late"]]"#,
        ..Opam::default()
    });
    assert_eq!(failure, Failure::BuilderExit { command: "sh -c exit 3".into(), status: 3 });
    let text = r#"build: ["nosuch" "x"]"#;
    let (result, log) = world.build(Opam { name: "missing", text, ..Opam::default() });
    assert_eq!(result.unwrap_err(), Failure::BuilderExit { command: "nosuch x".into(), status: 127 });
    assert!(log.contains("cannot run nosuch"), "{log}");
}

#[test]
fn no_shell_sees_an_argument() {
    let Some(world) = World::new() else { return };
    let built = world.built(Opam {
        name: "plain",
        text: r#"
            build: ["./record" "a;touch /opt/jtw/x" "$HOME" "`ls`" "*" "a b" "\"" "%%{x}%%" "" "é" "a
b"]
            install: ["cp" "record.txt" "%{prefix}%/args"]
        "#,
        source: &[("record*", "#!/bin/sh\nprintf '<%s>' \"$@\" > record.txt\n")],
        ..Opam::default()
    });
    assert_eq!(built.files(), ["args"]);
    assert_eq!(built.text("args"), "<a;touch /opt/jtw/x><$HOME><`ls`><*><a b><\"><%{x}%><><é><a\nb>");
}

#[test]
fn filters_take_arguments_and_commands_away() {
    let Some(world) = World::new() else { return };
    let built = world.built(Opam {
        name: "filtered",
        text: r#"
            build: [
              ["./record" "kept" {os = "linux"} "gone" {os = "win32"} nosuch "undefined" {nosuch} "!" {!nosuch}
               "?" {?nosuch} "or" {nosuch | true} "absent" {!other:installed} "@runtest" {with-test} "@doc" {with-doc}
               name _:version "-j" jobs]
              ["./record" "whole"] {dev}
              ["./record" "test"] {with-test}
              ["./record" {nosuch} "%{nosuch}%" {false}]
            ]
            run-test: ["./record" "tests are not run"]
            install: ["cp" "record.txt" "%{prefix}%/args"]
        "#,
        source: &[("record*", "#!/bin/sh\nprintf '<%s>' \"$@\" >> record.txt\n")],
        ..Opam::default()
    });
    assert_eq!(built.text("args"), "<kept><><or><absent><filtered><1><-j><2>");
}

#[test]
fn a_package_without_commands_needs_no_sandbox_and_may_still_install_files() {
    let Some(world) = World::new() else { return };
    let virtual_one = world.built(Opam { name: "virtual", text: "flags: conf", ..Opam::default() });
    assert!(virtual_one.files().is_empty());
    assert_eq!(virtual_one.log, "");
    let files = world.built(Opam {
        name: "files",
        text: "",
        source: &[("files.install", "share: [\"a\" {\"b/c\"}]"), ("a", "text")],
        ..Opam::default()
    });
    assert_eq!(files.files(), ["share/files/b/c"]);
}
