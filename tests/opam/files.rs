//! What is put into the working directory: extra files, patches, `substs`.

use jtwbuild::outcome::Failure;

use crate::world::{Opam, World};

const LIB: &str = "build: [\"cp\" \"src.ml\" \"%{prefix}%/src.ml\"]\n";

const PATCH: &str =
    "--- a/src.ml\n+++ b/src.ml\n@@ -1,3 +1,3 @@\n let a = 1\n-let b = 2\n+let b = 3\n let c = 4\n";

const SOURCE: (&str, &str) = ("src.ml", "let a = 1\nlet b = 2\nlet c = 4\n");

#[test]
fn extra_files_lie_where_their_names_say_and_replace_those_of_the_source() {
    let Some(world) = World::new() else { return };
    let built = world.built(Opam {
        name: "extra",
        text: "install: [\"cp\" \"-r\" \".\" \"%{prefix}%/all\"]",
        source: &[("a*", "old"), ("d/kept", "kept")],
        extra: &[("a", "new"), ("d/e/f", "deep")],
        ..Opam::default()
    });
    assert_eq!(built.files(), ["all/a", "all/d/e/f", "all/d/kept"]);
    assert_eq!(built.text("all/a"), "new");
}

#[test]
fn patches_are_applied_in_order_with_one_component_taken_off() {
    let Some(world) = World::new() else { return };
    let second = PATCH.replace("-let b = 2\n+let b = 3", "-let b = 3\n+let b = 5");
    let unused = PATCH.replace("let a", "let nosuch");
    let created =
        "diff --git a/new b/new\nnew file mode 100755\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+made\n";
    let built = world.built(Opam {
        name: "patched",
        text: &format!(
            "patches: [\"1.patch\" \"d/2.patch\" \"3.patch\" {{os = \"win32\"}} \"4.patch\"]\n{LIB}\
             install: [\"cp\" \"-r\" \".\" \"%{{prefix}}%/all\"]"
        ),
        source: &[SOURCE, ("d/2.patch", &second)],
        extra: &[("1.patch", PATCH), ("3.patch", &unused), ("4.patch", created)],
        ..Opam::default()
    });
    assert_eq!(built.text("src.ml"), "let a = 1\nlet b = 5\nlet c = 4\n");
    let files = built.files();
    assert_eq!(
        files,
        ["all/1.patch", "all/3.patch", "all/4.patch", "all/d/2.patch", "all/new*", "all/src.ml", "src.ml"],
        "no copies and no rejected hunks stay"
    );
}

#[test]
fn a_patch_moves_by_lines_but_is_not_applied_with_fuzz() {
    let Some(world) = World::new() else { return };
    let text = format!("patches: \"p\"\n{LIB}");
    let package =
        |source| Opam { name: "fuzzy", text: &text, source, extra: &[("p", PATCH)], ..Opam::default() };
    let moved = [("src.ml", "(* more *)\nlet a = 1\nlet b = 2\nlet c = 4\n")];
    assert!(world.built(package(&moved)).text("src.ml").contains("let b = 3"));
    let other_context = [("src.ml", "let a = 0\nlet b = 2\nlet c = 4\n")];
    let (result, log) = world.build(package(&other_context));
    let failure = result.map(|built| built.files()).unwrap_err();
    assert!(
        matches!(&failure, Failure::BuilderExit { command, status: 1 } if command.starts_with("patch ")),
        "{failure}"
    );
    assert!(log.contains("Hunk #1 FAILED"), "{log}");
    let applied = [("src.ml", "let a = 1\nlet b = 3\nlet c = 4\n")];
    assert!(world.build(package(&applied)).0.is_err(), "nobody is asked whether to reverse it");
}

#[test]
fn substs_make_patches_first_and_other_files_after_patches() {
    let Some(world) = World::new() else { return };
    let template = PATCH.replace("let b = 3", "let b = \"%{name}%\"");
    let patched_template = "--- a/META.in\n+++ b/META.in\n@@ -1 +1 @@\n-old\n+%{name}% %{version}% %{nosuch}%|%%{x}%% \
                            %{_:lib}%\n";
    let built = world.built(Opam {
        name: "substs",
        text: &format!(
            "substs: [\"META\" \"a.patch\" \"run\" {{os = \"win32\"}} \"tool\"]\npatches: [\"a.patch\" \"b.patch\"]\n{LIB}\
             install: [\"cp\" \"META\" \"tool\" \"%{{prefix}}%/\"]"
        ),
        source: &[SOURCE, ("META.in", "old\n"), ("META", "stale"), ("tool.in*", "#!%{bin}%/x\n"), ("run.in", "")],
        extra: &[("a.patch.in", &template), ("b.patch", patched_template)],
        ..Opam::default()
    });
    assert_eq!(built.text("src.ml"), "let a = 1\nlet b = \"substs\"\nlet c = 4\n");
    assert_eq!(built.text("META"), "substs 1 |%{x}% /opt/jtw/lib/substs\n");
    assert_eq!(built.text("tool"), "#!/opt/jtw/bin/x\n");
    assert!(built.files().contains(&"tool*".to_owned()), "it may be executed as its template may");
}
