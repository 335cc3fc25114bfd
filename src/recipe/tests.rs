//! Tests of the recipes of this repository, and of the exact texts for bad ones.

use insta::{assert_json_snapshot, assert_snapshot};

use super::*;
use crate::diagnostic::golden;
use crate::name::PackageName;
use crate::package::Provision;
use crate::package::set::PackageSet;
use crate::recipe::build::BuildRecipe;
use crate::recipe::template::Bindings;

fn load<R: RecipeKind>() -> R {
    R::load(&Recipes::built_in()).unwrap_or_else(|error| panic!("{error}")).recipe
}

/// Recipes with one file replaced.
fn with_file(path: &str, text: &str) -> (tempfile::TempDir, Recipes) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(path), text).unwrap();
    let recipes = Recipes::with_overrides(&[directory.path().to_owned()]).unwrap();
    (directory, recipes)
}

#[test]
fn every_kind_of_recipe_of_this_repository_is_good() {
    let recipes = Recipes::built_in();
    load::<SourceRecipe>();
    load::<BaseKindRecipe>();
    load::<BuildRecipe>();
    let jtw = load::<JtwRecipe>();
    let tools = load::<JtwToolsRecipe>();
    let by_packages = JtwToolsRecipe::load_opam(&recipes).unwrap_or_else(|error| panic!("{error}")).recipe;
    let assembly = load::<AssemblyRecipe>();
    load::<CompressedRecipe>();
    let script = load::<ScriptRecipe>();

    let bases = BaseRecipe::names(&recipes);
    for name in &bases {
        BaseRecipe::load(&recipes, name).unwrap_or_else(|error| panic!("{error}"));
    }
    let extra = tools.extra.iter().chain(&by_packages.extra);
    for base in extra.chain([&tools.base, &by_packages.base, &script.base]) {
        assert!(bases.contains(base), "there is no base `{base}`");
    }
    for folder in [&tools.worker, &by_packages.worker, &assembly.page] {
        assert!(!recipes.list(&format!("{folder}/")).is_empty(), "`{folder}` has no files");
    }
    let mut bindings = Bindings::default();
    bindings.set("effects", "cps");
    let command = jtw.command.expand(&bindings).unwrap();
    assert_eq!(command[0], "js_of_ocaml");
}

#[test]
fn every_toml_file_of_this_repository_belongs_to_a_kind() {
    let known = [
        "source",
        "base",
        "build",
        "jtw-tools",
        "jtw-tools-opam",
        "jtw",
        "assembly",
        "compressed",
        "script",
        "opam",
        "debian",
    ];
    for path in Recipes::built_in().list("") {
        if let Some(stem) = path.strip_suffix(".toml") {
            let is_known =
                stem.starts_with("packages/") || stem.starts_with("base/") || known.contains(&stem);
            assert!(is_known, "`{path}` is read by nobody");
        }
    }
}

/// The commands of built-in packages of each build system, with everything expanded.
#[test]
fn a_package_gets_its_systems_commands_and_its_own() {
    let recipes = Recipes::built_in();
    let packages = PackageSet::new(&recipes).unwrap();
    let build: BuildRecipe = load();
    let mut commands = BTreeMap::new();
    for name in ["base64", "astring", "zarith", "num", "str"] {
        let name = PackageName::new(name).unwrap();
        let candidate = &packages.versions(&name)[0];
        let recipe = packages.recipe(&name, candidate).unwrap();
        let Provision::Built { build: package, .. } = &recipe.provision else { panic!("{name} is built") };
        let steps = build.steps(package, &recipe.file).unwrap();
        let mut bindings = Bindings::default();
        for (variable, value) in
            [("name", name.as_str()), ("version", recipe.version.as_str()), ("jobs", "2")]
        {
            bindings.set(variable, value);
        }
        bindings.set("prefix", build.prefix.as_str());
        let expand = |argv: &[Argv]| -> Vec<Vec<String>> {
            argv.iter().map(|argv| argv.expand(&bindings).unwrap()).collect()
        };
        let install_file = steps.install_file.map(|template| template.expand(&bindings).unwrap());
        commands.insert(name.to_string(), (expand(&steps.build), expand(&steps.install), install_file));
    }
    assert_json_snapshot!(commands);
}

#[test]
fn every_package_of_this_repository_has_a_known_build_system_and_facts() {
    let recipes = Recipes::built_in();
    let packages = PackageSet::new(&recipes).unwrap();
    let build: BuildRecipe = load();
    let base = BaseRecipe::load(&recipes, &RecipeName::new("ocaml").unwrap()).unwrap().recipe;
    let mut bindings = Bindings::default();
    for variable in crate::package::PACKAGE_SCOPE.variables {
        bindings.set(variable, "x");
    }
    bindings.set_facts(&base.facts);
    build.env.expand(&bindings).unwrap();
    for name in packages.names() {
        for candidate in packages.versions(name) {
            let recipe = packages.recipe(name, candidate).unwrap();
            let Provision::Built { build: package, .. } = &recipe.provision else { continue };
            let steps = build.steps(package, &recipe.file).unwrap_or_else(|error| panic!("{error}"));
            for argv in steps.build.iter().chain(&steps.install) {
                argv.expand(&bindings).unwrap_or_else(|error| panic!("{}: {error}", recipe.file.name));
            }
            package.env.expand(&bindings).unwrap();
        }
    }
}

#[test]
fn an_unknown_build_system_is_marked_in_the_packages_recipe() {
    let (_directory, recipes) = with_file("other.toml", "");
    let build = BuildRecipe::load(&recipes).unwrap().recipe;
    let file = SourceFile::new("demo.toml", "description = \"d\"\nbuild = { system = \"dun\" }\n");
    let name = PackageName::new("demo").unwrap();
    let version = crate::version::Version::new("1").unwrap();
    let recipe = crate::package::PackageRecipe::parse(&file, &name, &version, None).unwrap();
    let Provision::Built { build: package, .. } = recipe.provision else { panic!("it is built") };
    assert_snapshot!(golden(&build.steps(&package, &file).unwrap_err()));
}

#[test]
fn problems_of_a_kinds_recipe_are_told_together() {
    let text = r#"purpose = "p"
prefix = "opt"
workdir = "/build/../x"
jobs = 0
[env]
PATH = "${prefix}/bin:${base.}"
[limits]
seconds = 1
memory = "4X"
[system.a]
build = [["x"], "y"]
"#;
    let (_directory, recipes) = with_file("build.toml", text);
    let Err(RecipeError::Source(mut error)) = BuildRecipe::load(&recipes) else { panic!("it was taken") };
    error.file = "build.toml".into();
    assert_snapshot!(golden(&error));
}

#[test]
fn a_fact_that_the_base_lacks_is_marked_in_the_recipe_that_names_it() {
    let recipes = Recipes::built_in();
    let build = BuildRecipe::load(&recipes).unwrap();
    let mut bindings = Bindings::default();
    for variable in ["prefix", "name", "version"] {
        bindings.set(variable, "x");
    }
    let unbound = build.recipe.env.expand(&bindings).unwrap_err();
    let error = unbound.in_file(&build.file);
    assert_eq!(error.problems[0].message, "`${base.stdlib}` has no value here");
    assert!(error.text[error.problems[0].span.clone()].contains("${base.stdlib}/stublibs"));
}
