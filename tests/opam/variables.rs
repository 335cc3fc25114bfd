//! Variables that packages define for each other, and what they do to the environment.

use crate::world::{Opam, World};

/// Writes its arguments, one in a line, and its environment.
const RECORD: (&str, &str) = ("record*", "#!/bin/sh\nprintf '%s\\n' \"$@\" > args\nenv > env\n");

const INSTALL: &str =
    "install: [[\"cp\" \"args\" \"%{prefix}%/args\"] [\"cp\" \"env\" \"%{prefix}%/env\"]]\n";

/// What the recorded environment has for a variable.
fn variable<'a>(env: &'a str, name: &str) -> Option<&'a str> {
    env.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn variables_of_a_config_file_are_there_for_dependents() {
    let Some(world) = World::new() else { return };
    let config = "opam-version: \"2.0\"\nfile-depends: [\"/x\" \"md5=1\"]\nvariables { native: true off: false\n \
                  stubsdir: \"/s s\" list: [\"a\" \"b\"] }\n";
    world.built(Opam { name: "core", source: &[("core.config", config)], ..Opam::default() });
    let text = format!(
        "build: [\"./record\" \"%{{core:stubsdir}}%\" core:native \"yes\" {{core:native}} \"no\" {{core:off}} \
         \"neither\" {{!core:native}} core:list \"%{{core:list}}%\" core:nosuch \"%{{core:native?opt:byte}}%\"]\n{INSTALL}"
    );
    let direct = Opam { name: "user", text: &text, source: &[RECORD], needs: &["core"], ..Opam::default() };
    assert_eq!(world.built(direct).text("args"), "/s s\ntrue\nyes\na\nb\na b\n\nopt\n");
    let further = Opam { name: "further", needs: &["user"], ..direct };
    assert!(world.build(further).0.is_err(), "two packages with one file");
    let text = text.replace("%{prefix}%/", "%{prefix}%/further-");
    let further = Opam { text: &text, ..further };
    assert_eq!(
        world.built(further).text("further-args"),
        "/s s\ntrue\nyes\na\nb\na b\n\nopt\n",
        "of the closure"
    );
    let alone = Opam { name: "alone", needs: &[], ..direct };
    assert_eq!(world.built(alone).text("args"), "\n\n\n\n\nbyte\n", "undefined is empty");
}

#[test]
fn variables_of_packages_say_where_and_whether_they_are() {
    let Some(world) = World::new() else { return };
    world.built(Opam { name: "one", version: "1.0~x", ..Opam::default() });
    world.built(Opam { name: "two", version: "2", ..Opam::default() });
    let names = "one:installed no:installed one:enable no:enable one+two:enable one+no:enable one+two:installed \
                 one+no:installed one:version no:version one:lib no:share one:doc _:etc user:lib one:bin lib bin sbin \
                 share doc etc man stublibs toplevel prefix _:name name version _:depends _:installed one:name \
                 build _:build jobs make os arch opam-version switch root pinned dev with-test";
    let text = format!("build: [\"./record\" {names}]\n{INSTALL}");
    let built = world.built(Opam {
        name: "user",
        version: "3",
        text: &text,
        source: &[RECORD],
        needs: &["two", "one"],
        ..Opam::default()
    });
    let values = built.text("args");
    let shown: Vec<String> =
        names.split_whitespace().zip(values.lines()).map(|(name, value)| format!("{name}={value}")).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn environment_is_the_fixed_one_then_setenv_of_others_then_build_env() {
    let Some(world) = World::new() else { return };
    let setenv = "setenv: [\n\
                  [CAML_LD_LIBRARY_PATH = \"%{_:stubs}%\"]\n\
                  [CAML_LD_LIBRARY_PATH += \"%{lib}%/stublibs\"]\n\
                  [PATH += \"%{_:share}%\"] [BOTH =+ \"core\"] [GONE := \"x\"] [EMPTY =: \"y\"] [SAME =+= \"core\"]]\n";
    let core = format!("{setenv}build: [\"./record\"]\n{}", INSTALL.replace("%/", "%/core-"));
    let config = ("core.config", "variables { stubs: \"/stubs\" }");
    let core = world.built(Opam { name: "core", text: &core, source: &[RECORD, config], ..Opam::default() });
    let env = core.text("core-env");
    assert_eq!(variable(&env, "CAML_LD_LIBRARY_PATH"), None, "a package does not see its own setenv");
    assert_eq!(variable(&env, "PATH"), Some("/opt/jtw/bin:/bin"));
    world.built(Opam { name: "more", text: "setenv: BOTH += \"more\"", needs: &["core"], ..Opam::default() });
    let text = format!(
        "setenv: OWN = \"x\"\nbuild-env: [[PATH += \"/mine\"] [SAME = \"own\"] [NEW =+ \"%{{name}}%\"] \
         [HOME += \"a\"]]\nbuild: [\"./record\"]\n{INSTALL}"
    );
    let user = Opam { name: "user", text: &text, source: &[RECORD], needs: &["more"], ..Opam::default() };
    let env = world.built(user).text("env");
    let mut lines: Vec<&str> = env.lines().filter(|line| !line.starts_with("PWD=")).collect();
    lines.sort_unstable();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn packages_that_are_not_there_are_not_seen_and_change_nothing() {
    let Some(world) = World::new() else { return };
    world.built(Opam { name: "opt", text: "setenv: X = \"1\"", ..Opam::default() });
    let text = format!(
        "depopts: [\"opt\"]\nbuild: [\"./record\" \"--with-opt\" {{opt:installed}} \"--%{{opt:enable}}%-opt\"]\n{INSTALL}"
    );
    let without = Opam { name: "user", text: &text, source: &[RECORD], ..Opam::default() };
    let built = world.built(without);
    assert_eq!(built.text("args"), "--disable-opt\n");
    assert_eq!(variable(&built.text("env"), "X"), None);
    let built = world.built(Opam { needs: &["opt"], ..without });
    assert_eq!(built.text("args"), "--with-opt\n--enable-opt\n");
    assert_eq!(variable(&built.text("env"), "X"), Some("1"));
}
