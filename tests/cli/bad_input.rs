//! Files that cannot be used: what is said, where, and the exit code.

use insta::assert_snapshot;

use crate::TWO_NODES;
use crate::support::TestUniverse;

/// What realising a universe with this text says. Nothing is built, and no network is needed.
fn said(text: &str) -> String {
    let universe = TestUniverse::planned(text);
    let ended = universe.run("realise universe.toml");
    assert_eq!(ended.code, Some(3), "{ended}");
    assert_eq!(universe.trees(), [""; 0]);
    ended.to_string()
}

#[test]
fn broken_toml() {
    assert_snapshot!(said("name = \"x\"\n[[node]\nname = \"a\"\n"));
}

#[test]
fn unknown_keys_with_what_was_meant() {
    assert_snapshot!(said("nmae = \"x\"\n[[node]]\nname = \"a\"\nscirpt = \"true\"\n"));
}

#[test]
fn unknown_package_with_what_was_meant() {
    assert_snapshot!(said("name = \"x\"\ncompiler = \"ocaml\"\npackages = [\"fnt\"]\n"));
}

#[test]
fn constraint_that_nothing_satisfies() {
    assert_snapshot!(said("name = \"x\"\ncompiler = \"ocaml\"\npackages = [\"cmdliner >= 9\", \"fmt\"]\n"));
}

#[test]
fn two_demands_that_exclude_each_other() {
    let universe = TestUniverse::planned(
        "name = \"x\"\ncompiler = \"ocaml\"\npackages = [\"fmt\", \"cmdliner < 1.1\"]\n",
    );
    universe.write(
        "recipes/packages/fmt/99.toml",
        "description = \"wants a new cmdliner\"\ndepends = [\"cmdliner >= 1.1\"]\n\
         [source]\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n\
         places = [{ url = \"file:///nowhere\" }]\n[build]\nsystem = \"topkg\"\n",
    );
    universe.edit("\"fmt\"", "\"fmt.99\"");
    assert_snapshot!(universe.run("plan universe.toml"));
}

#[test]
fn nodes_that_need_each_other() {
    assert_snapshot!(said(
        "name = \"x\"\n[[node]]\nname = \"a\"\ninputs = [\"b\"]\nscript = \"true\"\n\
         [[node]]\nname = \"b\"\ninputs = [\"a\"]\nscript = \"true\"\n"
    ));
}

#[test]
fn packages_that_need_each_other() {
    let universe = TestUniverse::planned("name = \"x\"\ncompiler = \"ocaml\"\npackages = [\"chicken\"]\n");
    for (name, other) in [("chicken", "egg"), ("egg", "chicken")] {
        universe.write(
            &format!("mine/packages/{name}/1.toml"),
            &format!(
                "description = \"a {name}\"\ndepends = [\"{other}\"]\n\
                 [source]\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n\
                 places = [{{ url = \"file:///nowhere\" }}]\n[build]\nsystem = \"dune\"\n"
            ),
        );
    }
    let ended = universe.run("realise universe.toml --recipes mine");
    assert_eq!(ended.code, Some(3), "{ended}");
    assert_snapshot!(ended);
}

#[test]
fn unknown_input_of_a_node() {
    assert_snapshot!(said(&TWO_NODES.replace("[\"greeting\"]", "[\"greting\"]")));
}

#[test]
fn universe_that_is_not_there() {
    let universe = TestUniverse::planned(TWO_NODES);
    let ended = universe.run("realise elsewhere/universe.toml");
    assert_eq!(ended.code, Some(3), "{ended}");
    assert_snapshot!(ended);
}

#[test]
fn source_of_a_node_that_is_not_there() {
    assert_snapshot!(said("name = \"x\"\n[[node]]\nname = \"a\"\nsource = \"data\"\nscript = \"true\"\n"));
}

#[test]
fn directory_of_recipes_that_is_not_there() {
    let universe = TestUniverse::planned(TWO_NODES);
    let ended = universe.run("realise universe.toml --recipes nowhere");
    assert_eq!(ended.code, Some(3), "{ended}");
    assert_snapshot!(ended);
}

#[test]
fn base_that_has_no_recipe() {
    assert_snapshot!(said("name = \"x\"\n[[node]]\nname = \"a\"\nbase = \"bussybox\"\nscript = \"true\"\n"));
}

#[test]
fn worker_that_is_not_there() {
    assert_snapshot!(said(
        "name = \"x\"\ncompiler = \"ocaml\"\npackages = [\"str\"]\n[tools]\npath = \"worker\"\n"
    ));
}

#[test]
fn lock_that_does_not_pin_everything() {
    let universe = TestUniverse::planned("name = \"x\"\ncompiler = \"ocaml\"\npackages = [\"str\"]\n");
    let ended = universe.run("realise universe.toml --locked");
    assert_eq!(ended.code, Some(3), "{ended}");
    assert_snapshot!(ended);
}

#[test]
fn lock_of_another_format() {
    let universe = TestUniverse::planned(TWO_NODES);
    universe.write("universe.lock", "format = 7\n");
    let ended = universe.run("realise universe.toml");
    assert_eq!(ended.code, Some(3), "{ended}");
    assert_snapshot!(ended);
}

#[test]
fn unknown_node_is_told_with_what_was_meant() {
    let universe = TestUniverse::planned(TWO_NODES);
    let ended = universe.run("show universe.toml node/shuot");
    assert_eq!(ended.code, Some(3), "{ended}");
    assert_snapshot!(ended);
}

#[test]
fn node_without_a_log() {
    let universe = TestUniverse::planned(TWO_NODES);
    let ended = universe.run("log universe.toml shout");
    assert_eq!(ended.code, Some(3), "{ended}");
    assert_snapshot!(ended);
}

#[test]
fn wrong_command_lines() {
    let universe = TestUniverse::planned(TWO_NODES);
    let lines = ["", "relaise", "realise --jbos 4", "realise -j 0", "realise -q -v", "plan --json --dot"];
    let all: Vec<String> = lines
        .iter()
        .map(|line| {
            let ended = universe.run(line);
            assert_eq!(ended.code, Some(2), "{ended}");
            ended.to_string()
        })
        .collect();
    assert_snapshot!(all.join("\n"));
}
