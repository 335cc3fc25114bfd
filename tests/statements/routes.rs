//! Every way in for a statement of somebody else's: on each, each kind of bad statement is refused.
//!
//! The first test reads the sources: a way in that is not in the table here, or that does not come
//! through the one check, fails it.

use std::fs;
use std::path::Path;

use crate::party::{Server, key, trust};
use crate::support::{Ended, TestUniverse};
use crate::{STEADY, realised};

/// The verbs that take statements, by the type of their arguments; and how each is called.
const VERBS: [(&str, &str); 2] = [("Check", "statement check"), ("Challenge", "challenge universe.toml")];

/// From where a verb takes them.
const PLACES: [Place; 3] = [Place::File, Place::FileUrl, Place::Http];

#[derive(Clone, Copy, Debug)]
enum Place {
    File,
    FileUrl,
    Http,
}

struct World {
    universe: TestUniverse,
    server: Server,
}

impl World {
    /// Alice is trusted, bob's key has expired, mallory is nobody.
    fn new() -> Option<Self> {
        let universe = realised(STEADY)?;
        let (alice, bob) = (key(&universe, "alice"), key(&universe, "bob"));
        key(&universe, "mallory");
        trust(&universe, &[&alice, &(bob + "expires = \"2026-01-01\"\n")]);
        for party in ["alice", "bob", "mallory"] {
            let ended = universe.run(&format!(
                "realise universe.toml --party {party} --sign-with {party}.key --statement {party}.statement"
            ));
            ended.success();
        }
        let server = Server::start(universe.directory());
        Some(Self { universe, server })
    }

    fn place(&self, place: Place, file: &str) -> String {
        match place {
            Place::File => file.to_owned(),
            Place::FileUrl => format!("file://{}", self.universe.path(file).display()),
            Place::Http => self.server.url(file),
        }
    }

    /// Runs every verb with the statement from every place.
    fn on_each_route(&self, file: &str, look: &dyn Fn(&str, Ended)) {
        for (_, verb) in VERBS {
            for place in PLACES {
                let arguments = format!("{verb} {} --trust trust.toml", self.place(place, file));
                look(&format!("{verb} by {place:?}"), self.universe.run(&arguments));
            }
        }
    }

    #[track_caller]
    fn refused(&self, file: &str, code: &str) {
        self.on_each_route(file, &|route, ended| {
            assert_eq!(ended.code, Some(7), "{route}: {ended}");
            assert!(ended.stderr.contains(&format!("jtwbuild::statement::{code}")), "{route}: {ended}");
            assert_eq!(ended.stdout, "", "{route}: nothing of it is used");
        });
    }
}

fn source(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The files below `src/` that have this text.
fn files_with(text: &str) -> Vec<String> {
    fn walk(directory: &Path, text: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, text, found);
            } else if fs::read_to_string(&path).is_ok_and(|content| content.contains(text)) {
                let root = Path::new(env!("CARGO_MANIFEST_DIR"));
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), text, &mut found);
    found.retain(|file| !file.ends_with("/tests.rs"));
    found.sort();
    found
}

#[test]
fn all_ways_in_are_known_and_go_through_the_one_check() {
    // Reading one without the check is private to the module of statements, and its users there are the
    // check itself and the signing of one's own drafts.
    let statement = source("src/statement.rs");
    assert!(statement.contains("    fn parse(") && !statement.contains("pub fn parse("));
    assert!(!statement.contains("pub(crate) fn parse(") && !statement.contains("pub(super) fn parse("));
    assert_eq!(files_with("Statement::parse("), ["src/statement.rs", "src/statement/verify.rs"]);
    assert_eq!(statement.matches("Statement::parse(").count(), 1);
    assert_eq!(files_with("from_str::<Statement>"), [""; 0]);
    // What has been checked comes from the check alone, and the check is called in one place.
    let others = ["src/fetch/signature.rs", "src/store/verify.rs"];
    let mut makers = files_with("Verified {");
    makers.retain(|file| !others.contains(&file.as_str()));
    assert_eq!(makers, ["src/statement/verify.rs"]);
    assert_eq!(files_with("verify_all("), ["src/cli/statement/import.rs", "src/statement/verify.rs"]);
    // Places of statements are read there and nowhere else.
    let readers = files_with(".statements");
    for file in &readers {
        let users = ["src/cli/statement/import.rs", "src/cli/statement.rs"];
        assert!(users.contains(&file.as_str()), "{file} looks at the places of statements");
    }
    // The verbs that take them are those of the table.
    let arguments = source("src/cli/arguments/statements.rs");
    let mut verbs: Vec<&str> = Vec::new();
    let mut structure = "";
    for line in arguments.lines() {
        if let Some(name) = line.strip_prefix("pub struct ") {
            structure = name.trim_end_matches(" {");
        }
        if line.contains(": Imported") {
            verbs.push(structure);
        }
    }
    assert_eq!(verbs, VERBS.map(|(structure, _)| structure));
    assert_eq!(files_with(": Imported"), ["src/cli/arguments/statements.rs"]);
    let import = source("src/cli/statement/import.rs");
    // From the network, by URL, and from files.
    assert_eq!(import.matches("fetcher.download(").count() + import.matches("File::open(").count(), 2);
    assert!(import.contains(r#"["http://", "https://", "file://"]"#));
}

#[test]
fn a_good_statement_is_accepted_on_every_route() {
    let Some(world) = World::new() else { return };
    world.on_each_route("alice.statement", &|route, ended| {
        assert_eq!(ended.code, Some(0), "{route}: {ended}");
        assert!(ended.stdout.contains("alice"), "{route}: {ended}");
    });
}

#[test]
fn bad_statements_are_refused_on_every_route() {
    let Some(world) = World::new() else { return };
    let universe = &world.universe;
    let good = fs::read_to_string(universe.path("alice.statement")).unwrap();

    universe.run("realise universe.toml --party alice --statement unsigned.statement").success();
    world.refused("unsigned.statement", "unsigned");
    world.refused("mallory.statement", "untrusted");
    world.refused("bob.statement", "expired");

    universe.write("truncated.statement", &good[..good.len() - 40]);
    world.refused("truncated.statement", "signature");
    universe.write("truncated.statement", &good[..200]);
    world.refused("truncated.statement", "signature");
    universe.write("empty.statement", "");
    world.refused("empty.statement", "signature");

    // A bit in what is signed, in the signature, in the comments.
    for (from, to) in [("node/one", "node/ooe"), ("RUR", "RUS"), ("RUQ", "RUS"), ("trusted", "trvsted")] {
        if good.contains(from) {
            universe.write("flipped.statement", &good.replacen(from, to, 1));
            world.on_each_route("flipped.statement", &|route, ended| {
                assert_eq!(ended.code, Some(7), "{from}, {route}: {ended}");
                assert_eq!(ended.stdout, "", "{from}, {route}");
            });
        }
    }
    fs::write(universe.path("bytes.statement"), [0xff_u8; 1000]).unwrap();
    world.refused("bytes.statement", "malformed");
}

#[test]
fn a_replayed_statement_is_refused_on_every_route() {
    let Some(world) = World::new() else { return };
    let universe = &world.universe;
    let again = |file: &str| {
        universe
            .run(&format!("realise universe.toml --party alice --sign-with alice.key --statement {file}"))
            .success();
    };
    // Statements have whole seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    again("newer.statement");
    // Beside the newer one, the older one is refused, and so both are not used.
    for files in ["alice.statement newer.statement", "newer.statement alice.statement"] {
        let ended = universe.run(&format!("challenge universe.toml {files}"));
        assert_eq!(ended.code, Some(7), "{ended}");
        assert!(ended.stderr.contains("jtwbuild::statement::replayed"), "{ended}");
    }
    // Nothing was remembered by that.
    universe.run("statement check alice.statement").success();
    universe.run("statement check newer.statement").success();
    world.refused("alice.statement", "replayed");
    world.on_each_route("newer.statement", &|route, ended| {
        assert_eq!(ended.code, Some(0), "{route}: {ended}");
    });
    // A damaged memory is no empty one.
    let path = universe.path("store/statements");
    let mut bytes = fs::read(&path).unwrap();
    bytes[30] ^= 1;
    fs::write(&path, bytes).unwrap();
    let ended = universe.run("statement check alice.statement");
    assert_eq!(ended.code, Some(5), "{ended}");
    assert_eq!(universe.run("verify").code, Some(5));
    universe.run("verify --repair").success();
    universe.run("statement check newer.statement").success();
}

#[test]
fn one_refused_statement_keeps_all_from_being_used() {
    let Some(world) = World::new() else { return };
    let ended = world.universe.run("challenge universe.toml alice.statement mallory.statement bob.statement");
    assert_eq!(ended.code, Some(7), "{ended}");
    for code in ["untrusted", "expired"] {
        assert!(ended.stderr.contains(&format!("jtwbuild::statement::{code}")), "{ended}");
    }
    assert_eq!(ended.stdout, "");
    let unreachable = world.server.url("none.statement");
    let ended = world.universe.run(&format!("challenge universe.toml alice.statement {unreachable}"));
    assert_eq!(ended.code, Some(4), "{ended}");
    assert!(ended.stderr.contains("jtwbuild::statement::unreadable"), "{ended}");
}
