//! Keys: who may read them, where they never turn up, and that they are minisign's.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::party::{key, trust};
use crate::support::{TestUniverse, skip};
use crate::{STEADY, realised};

const SIGNED: &str = "realise universe.toml --party alice --sign-with alice.key --statement the.statement";

#[test]
fn a_build_is_good_when_its_statement_cannot_be_signed_and_the_exit_code_says_so() {
    let Some(universe) = TestUniverse::buildable(STEADY) else { return };
    let unsigned = |code: &str| {
        let ended = universe.run(SIGNED);
        assert_eq!(ended.code, Some(7), "{ended}");
        assert!(ended.stderr.contains(&format!("jtwbuild::key::{code}")), "{ended}");
        assert!(ended.stderr.contains("what was built is good; the.statement is unsigned"), "{ended}");
        let text = fs::read_to_string(universe.path("the.statement")).unwrap();
        assert!(text.starts_with('{'), "{text}");
    };
    // No key; then the build is there, and nothing is built again.
    unsigned("io");
    let ended = universe.run("realise universe.toml --json").success();
    assert!(ended.outcomes().iter().all(|(_, outcome)| outcome == "reused"), "{ended}");

    key(&universe, "alice");
    let path = universe.path("alice.key");
    for mode in [0o644, 0o640, 0o606] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        unsigned("exposed");
        let shown = universe.run("key show alice.key");
        assert_eq!(shown.code, Some(3), "{shown}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    universe.write("alice.key", "untrusted comment: x\nRWQAAEIyAAAA\n");
    unsigned("malformed");
    universe.write("alice.key", &good);
    // No place for it.
    let ended = universe.run(&SIGNED.replace("the.statement", "none/the.statement"));
    assert_eq!(ended.code, Some(7), "{ended}");
    assert!(ended.stderr.contains("jtwbuild::statement::unwritable"), "{ended}");
    universe.run(SIGNED).success();
    // Without a key it was not asked for.
    universe.run("realise universe.toml --statement draft.statement").success();
}

#[test]
fn a_draft_is_signed_later_and_elsewhere() {
    let Some(universe) = realised(STEADY) else { return };
    let alice = key(&universe, "alice");
    trust(&universe, &[&alice]);
    universe.run("realise universe.toml --party alice --statement the.statement").success();
    universe.run("statement sign the.statement --sign-with alice.key").success();
    universe.run("statement check the.statement").success();
    let twice = universe.run("statement sign the.statement --sign-with alice.key");
    assert_eq!(twice.code, Some(3), "{twice}");
    assert!(twice.stderr.contains("jtwbuild::statement::malformed"), "{twice}");
}

#[test]
fn a_secret_key_is_in_no_log_document_or_message() {
    let Some(universe) = TestUniverse::buildable(&STEADY.replace("echo one", "env; echo one")) else {
        return;
    };
    key(&universe, "alice");
    let secret = fs::read_to_string(universe.path("alice.key")).unwrap();
    let secret = secret.lines().nth(1).unwrap().to_owned();
    let generated = universe.run("key generate other.key").success();
    assert_eq!(fs::metadata(universe.path("other.key")).unwrap().permissions().mode() & 0o777, 0o600);
    let exists = universe.run("key generate other.key");
    assert_eq!(exists.code, Some(3), "{exists}");
    let mut command = universe.command(&format!("{SIGNED} --json --verbose"));
    // Whoever puts it into the environment all the same does not find it in a build.
    let output = command.env("JTWBUILD_KEY", &secret).output().unwrap();
    assert!(output.status.success());
    universe.run("export-proof universe.toml -o the.proof").success();
    let told = format!(
        "{}{}{generated}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!told.contains(&secret));
    // The key given where its file's name belongs is not told either.
    let ended = universe.run(&format!("realise universe.toml --statement x.statement --sign-with {secret}"));
    assert_eq!(ended.code, Some(7), "{ended}");
    // Raw bytes would do as well as text.
    let places = [universe.path("store"), universe.path("the.statement"), universe.path("the.proof")];
    places.iter().for_each(|place| assert!(!holds(place, &secret.as_bytes()[20..]), "{}", place.display()));
}

pub fn holds(path: &Path, secret: &[u8]) -> bool {
    let metadata = fs::symlink_metadata(path).unwrap();
    if metadata.is_dir() {
        return fs::read_dir(path).unwrap().any(|entry| holds(&entry.unwrap().path(), secret));
    }
    metadata.is_file() && fs::read(path).unwrap().windows(secret.len()).any(|window| window == secret)
}

#[test]
fn minisign_itself_checks_our_signatures_and_we_check_its() {
    if Command::new("minisign").arg("-v").output().is_err() {
        return skip("minisign is not installed (`apt-get install minisign`)");
    }
    let Some(universe) = realised(STEADY) else { return };
    let alice = key(&universe, "alice");
    universe.run(SIGNED).success();
    let shell = |script: &str| {
        let output = universe.tool("sh").args(["-euc", script]).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&told));
    };
    // Ours, by its file of the public key, as the book says.
    shell(
        "head -n 4 the.statement > the.json.minisig\n\
         tail -n +5 the.statement > the.json\n\
         minisign -V -p alice.key.pub -m the.json",
    );
    // Our key in its hands.
    shell(
        "minisign -S -W -s alice.key -x other.minisig -m the.json && minisign -V -p alice.key.pub -x other.minisig -m the.json",
    );
    // Its key and its signature.
    shell("minisign -G -W -f -p bob.pub -s bob.key");
    let public = fs::read_to_string(universe.path("bob.pub")).unwrap();
    let bob = format!("[[party]]\nname = \"bob\"\nkey = \"{}\"\n", public.lines().nth(1).unwrap());
    trust(&universe, &[&alice, &bob]);
    universe.run("realise universe.toml --party bob --statement bob.json").success();
    shell(
        "minisign -S -W -s bob.key -m bob.json -c 'jtwbuild statement' -t 'jtwbuild statement 1'\n\
         cat bob.json.minisig bob.json > bob.statement",
    );
    let checked = universe.run("statement check bob.statement the.statement").success();
    assert!(checked.stdout.contains("bob.statement: bob about steady"), "{checked}");
    // Its key in our hands.
    let ours = "realise universe.toml --party bob --sign-with bob.key --statement later.statement";
    universe.run(ours).success();
}
