//! Tests of package recipes: requirements, and the exact texts for recipes that are not good.

use insta::assert_snapshot;

use super::*;
use crate::diagnostic::golden;
use crate::source::{LocalPath, Place};

fn parse_in(text: &str, directory: Option<&Path>) -> Result<PackageRecipe, SourceError> {
    let name = PackageName::new("demo").unwrap();
    PackageRecipe::parse(&SourceFile::new("demo.toml", text), &name, &Version::new("1").unwrap(), directory)
}

fn problems(text: &str) -> String {
    golden(&parse_in(text, None).unwrap_err())
}

#[test]
fn requirements_are_read_as_they_are_printed() {
    for text in ["fmt", "cmdliner >= 1.3", "re > 1 & < 2~ & != 1.5", "base = v0.17.3"] {
        assert_eq!(Requirement::from_text(text).unwrap().to_string(), text);
    }
    assert_eq!(Requirement::from_text("ocaml.5.4.1").unwrap().to_string(), "ocaml = 5.4.1");
    assert_eq!(Requirement::from_text("fmt>=1&<2").unwrap().to_string(), "fmt >= 1 & < 2");
    let requirement = Requirement::from_text("fmt >= 1.0 & < 1.10").unwrap();
    let allows = |version| requirement.allows(&Version::new(version).unwrap());
    assert!(allows("1.0") && allows("1.9") && !allows("1.10") && !allows("1.0~rc"));
}

#[test]
fn what_is_no_requirement_is_marked_where_it_goes_wrong() {
    for (text, marked) in [
        ("", ""),
        (" fmt", ""),
        ("fmt ==1", "=1"),
        ("fmt >= 1 & 2", "2"),
        ("fmt >= 1 2", "1 2"),
        ("fmt.1/2", "1/2"),
        ("fmt >= 1 | < 0", "1 | < 0"),
        ("fmt & < 2", ""),
    ] {
        let error = Requirement::from_text(text).unwrap_err();
        assert_eq!(&text[error.within.unwrap()], marked, "{text:?}: {}", error.message);
    }
}

#[test]
fn paths_of_a_source_are_relative_to_the_recipe() {
    let text = format!(
        "description = \"d\"\nsource = {{ sha256 = \"{}\", places = [{{ path = \"a.tar\" }}] }}\nbuild.system = \"none\"",
        "0".repeat(64)
    );
    let recipe = parse_in(&text, Some(Path::new("/r"))).unwrap();
    let Provision::Built { source: Some(PackageSource::Archive(source)), .. } = recipe.provision else {
        panic!("it has an archive")
    };
    assert_eq!(
        source.archive.places,
        [Place::Path(LocalPath { written: "a.tar".into(), directory: "/r".into() })]
    );
    assert_eq!(source.strip, None);
    assert_snapshot!(problems(&text));
}

#[test]
fn problems_of_a_recipe_are_told_together() {
    assert_snapshot!(problems(
        r#"description = "two
lines"
"#
    ));
    assert_snapshot!(
        "a recipe with many problems",
        problems(
            r#"description = ""
depends = ["fmt >"]
findlib = ["a..b"]
[build]
system = "du ne"
args = ["${nmae}"]
commands = [["make", "${prefx}/x", "$${ok}"], []]
install-file = "../x"
env = { "1A" = "${", B = "$(ok)" }
[javascript]
primitives = []
"#
        )
    );
}

#[test]
fn what_the_base_provides_is_not_built() {
    let recipe = parse_in("description = \"d\"\nprovided-by = \"base\"", None).unwrap();
    assert!(recipe.is_provided_by_base());
    assert_snapshot!(problems("description = \"d\"\nprovided-by = \"bse\"\nbuild.system = \"dune\"\n"));
}

#[test]
fn a_recipe_must_say_how_it_is_built() {
    assert_snapshot!(problems("description = \"d\"\n"));
}

#[test]
fn a_homepage_is_the_address_of_a_web_page() {
    let text = |homepage: &str| {
        format!("description = \"d\"\nhomepage = \"{homepage}\"\nlicense = \"ISC\"\nprovided-by = \"base\"")
    };
    let recipe = parse_in(&text("https://example.org/a"), None).unwrap();
    assert_eq!(recipe.homepage.as_deref(), Some("https://example.org/a"));
    assert_eq!(recipe.license.as_deref(), Some("ISC"));
    for bad in ["", "https://", "example.org", "javascript:alert(1)", "https://a b", "https://é"] {
        assert!(problems(&text(bad)).contains("is not the address of a web page"), "{bad}");
    }
}
