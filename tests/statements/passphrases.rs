//! Keys with passphrases: where these come from, who gets to know them, and that they are minisign's.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use minisign::KeyPair;
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};

use crate::keys::holds;
use crate::party::trust;
use crate::support::{Ended, PROGRAM, TestUniverse, eventually, skip};
use crate::{STEADY, realised};

const PASSPHRASE: &str = "open sesame, it is I";
const SIGNED: &str = "realise universe.toml --party carol --sign-with carol.key --statement the.statement";

/// Makes `carol.key` under the passphrase, as rsign writes it: with 32 MiB instead of 1 GiB.
fn cheap_key(universe: &TestUniverse) -> KeyPair {
    let open = KeyPair::generate_encrypted_keypair(Some(PASSPHRASE.to_owned())).unwrap();
    secret(universe, "carol.key", &open.sk.to_box(None).unwrap().into_string());
    open
}

/// Writes a file for its owner alone.
fn secret(universe: &TestUniverse, name: &str, text: &str) {
    universe.write(name, text);
    fs::set_permissions(universe.path(name), Permissions::from_mode(0o600)).unwrap();
}

/// The program where it has no terminal to ask on.
fn run_alone(universe: &TestUniverse, arguments: &str) -> Ended {
    let mut command = universe.tool("setsid");
    command.args(["--wait", PROGRAM]).args(arguments.split_whitespace());
    Ended::new(arguments, command.output().expect("`setsid` of util-linux"))
}

/// The program on a terminal, with its standard output and error elsewhere.
struct OnTerminal {
    arguments: String,
    user: File,
    before: Termios,
    child: Child,
    shown: String,
}

impl OnTerminal {
    fn start(universe: &TestUniverse, arguments: &str) -> Self {
        let pair = nix::pty::openpty(None, None).unwrap();
        let mut command = universe.tool("setsid");
        command.args(["--ctty", "--wait", PROGRAM]).args(arguments.split_whitespace());
        command.stdin(pair.slave).stdout(Stdio::piped()).stderr(Stdio::piped());
        let before = tcgetattr(&pair.master).unwrap();
        let child = command.spawn().expect("`setsid` of util-linux");
        Self {
            arguments: arguments.to_owned(),
            user: pair.master.into(),
            before,
            child,
            shown: String::new(),
        }
    }

    /// Waits for the question, and types this.
    #[track_caller]
    fn answer(&mut self, question: &str, typed: &str) {
        let mut byte = [0];
        while !self.shown.ends_with(question) {
            assert_eq!(self.user.read(&mut byte).expect(&self.shown), 1, "{}", self.shown);
            self.shown.push(char::from(byte[0]));
        }
        self.user.write_all(typed.as_bytes()).unwrap();
    }

    /// How it ended; the terminal is as it was. What it has shown comes in place of standard output.
    #[track_caller]
    fn end(mut self) -> (Ended, Option<i32>) {
        let mut rest = Vec::new();
        // Ends with the error that says that nobody has the other end any more.
        let _ = self.user.read_to_end(&mut rest);
        let output = self.child.wait_with_output().unwrap();
        let signal = output.status.signal();
        let flags = LocalFlags::ECHO | LocalFlags::ISIG | LocalFlags::ICANON;
        let after = tcgetattr(&self.user).unwrap();
        assert_eq!(after.local_flags & flags, self.before.local_flags & flags);
        assert_eq!(after.control_chars, self.before.control_chars);
        let mut ended = Ended::new(&self.arguments, output);
        ended.stdout = self.shown + &String::from_utf8(rest).unwrap();
        (ended, signal)
    }
}

#[track_caller]
fn refused(universe: &TestUniverse, ended: &Ended, code: &str) {
    assert_eq!(ended.code, Some(3), "{ended}");
    assert!(ended.stderr.contains(&format!("jtwbuild::key::{code}")), "{ended}");
    let has_built =
        fs::read_dir(universe.path("store/history")).is_ok_and(|mut files| files.next().is_some());
    assert!(!has_built && !universe.path("the.statement").exists(), "{ended}");
}

#[test]
fn a_passphrase_is_asked_for_once_before_anything_is_built_and_never_shown() {
    let Some(universe) = TestUniverse::buildable(STEADY) else { return };
    let pair = cheap_key(&universe);
    let question = "passphrase of carol.key: ";

    let mut wrong = OnTerminal::start(&universe, SIGNED);
    wrong.answer(question, "open barley\n");
    let (ended, _) = wrong.end();
    refused(&universe, &ended, "wrong-passphrase");
    assert!(!ended.stdout.contains("barley"), "{ended}");

    let mut interrupted = OnTerminal::start(&universe, SIGNED);
    interrupted.answer(question, "open se\x03");
    let (ended, signal) = interrupted.end();
    assert_eq!(signal, Some(nix::libc::SIGINT), "{ended}");

    let mut right = OnTerminal::start(&universe, SIGNED);
    // With a slip, which is mended.
    right.answer(question, &format!("{}U\x7fI\n", PASSPHRASE.trim_end_matches('I')));
    let (ended, _) = right.end();
    let ended = ended.success();
    assert!(!ended.stdout.contains("open") && !ended.stderr.contains("open"), "{ended}");
    assert_eq!(ended.stdout.matches("passphrase").count(), 1, "{ended}");
    trust(&universe, &[&format!("[[party]]\nname = \"carol\"\nkey = \"{}\"\n", pair.pk.to_base64())]);
    universe.run("statement check the.statement").success();
}

#[test]
fn without_a_terminal_a_passphrase_is_read_from_a_file_of_its_owner() {
    let Some(universe) = TestUniverse::buildable(STEADY) else { return };
    cheap_key(&universe);
    let ended = run_alone(&universe, SIGNED);
    refused(&universe, &ended, "protected");
    assert!(ended.stderr.contains("--passphrase-file"), "{ended}");
    let from_file = format!("{SIGNED} --passphrase-file the.passphrase");
    secret(&universe, "the.passphrase", "open barley\n");
    refused(&universe, &run_alone(&universe, &from_file), "wrong-passphrase");
    secret(&universe, "the.passphrase", "open\nbarley\n");
    refused(&universe, &run_alone(&universe, &from_file), "passphrase");
    secret(&universe, "the.passphrase", &format!("{PASSPHRASE}\n"));
    fs::set_permissions(universe.path("the.passphrase"), Permissions::from_mode(0o644)).unwrap();
    refused(&universe, &run_alone(&universe, &from_file), "exposed");
    fs::set_permissions(universe.path("the.passphrase"), Permissions::from_mode(0o400)).unwrap();

    let mut told = run_alone(&universe, &format!("{from_file} --json --verbose")).success().to_string();
    let shown = run_alone(&universe, "key show carol.key --passphrase-file the.passphrase").success();
    told += &universe.run("realise universe.toml --party carol --statement draft").success().to_string();
    let sign = "statement sign draft --sign-with carol.key --passphrase-file the.passphrase";
    told += &run_alone(&universe, sign).success().to_string();
    universe.run("export-proof universe.toml -o the.proof").success();
    told += &run_alone(&universe, &from_file.replacen("realise universe.toml", "reproduce the.proof", 1))
        .success()
        .to_string();
    trust(&universe, &[&format!("[[party]]\nname = \"carol\"\nkey = \"{}\"\n", shown.stdout.trim())]);
    universe.run("statement check the.statement").success();
    assert!(fs::read_to_string(universe.path("draft")).unwrap().starts_with("untrusted comment: "));
    // It is nowhere else.
    assert!(!told.contains(PASSPHRASE), "{told}");
    for place in ["store", "the.statement", "draft", "the.proof", "universe.lock"] {
        assert!(!holds(&universe.path(place), PASSPHRASE.as_bytes()), "{place}");
    }
}

#[test]
fn no_process_of_a_build_has_a_key_in_its_memory() {
    // The test ends the sleep, and the builder goes on.
    let script = "script = \"sleep 86397 || true; echo one > $out/one\"";
    let text = STEADY.replace("script = \"echo one > $out/one\"", script);
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    cheap_key(&universe);
    secret(&universe, "the.passphrase", PASSPHRASE);
    let text = fs::read_to_string(universe.path("carol.key")).unwrap();
    let opened = minisign::SecretKeyBox::from(text).into_secret_key(Some(PASSPHRASE.to_owned())).unwrap();
    let key = &opened.to_bytes()[62..126];
    for verb in ["realise universe.toml", "reproduce the.proof"] {
        let arguments = SIGNED.replacen("realise universe.toml", verb, 1);
        let running = universe.start(&format!("{arguments} --passphrase-file the.passphrase"));
        let (mut others, mut sleeping) = (Vec::new(), None);
        eventually("a builder runs", || {
            others = descendants(running.id());
            sleeping = others.iter().copied().find(|id| command_line(*id).contains("sleep\u{0}86397"));
            sleeping.is_some()
        });
        let has = |id: u32, what: &[u8]| memory(id).windows(what.len()).any(|window| window == what);
        let is_there = has(running.id(), key);
        // A sandbox's processes show their memory to root only.
        let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
        let looked_at = !is_root || others.iter().all(|id| !memory(*id).is_empty());
        let finders = others.iter().filter(|id| has(**id, key) || has(**id, PASSPHRASE.as_bytes()));
        let finders: Vec<String> = finders.map(|id| format!("{id} {}", command_line(*id))).collect();
        let sleeping = sleeping.unwrap().to_string();
        assert!(Command::new("kill").arg(sleeping).status().unwrap().success());
        running.end().success();
        assert!(is_there, "{verb}: the program has it, or this looks in the wrong places");
        assert!(looked_at, "{verb}: not everywhere");
        assert!(finders.is_empty(), "{verb}: {finders:#?}");
        universe.run("export-proof universe.toml -o the.proof").success();
    }
}

/// The processes that descend from this one.
fn descendants(of: u32) -> Vec<u32> {
    let children = |id: u32| {
        let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        let told = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let told: Vec<String> = told.collect();
        told.join(" ").split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<u32>>()
    };
    let mut found = children(of);
    let mut at = 0;
    while let Some(id) = found.get(at) {
        found.extend(children(*id));
        at += 1;
    }
    found
}

fn command_line(id: u32) -> String {
    fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default()
}

/// All that a process may write to.
fn memory(id: u32) -> Vec<u8> {
    let maps = fs::read_to_string(format!("/proc/{id}/maps")).unwrap_or_default();
    let Ok(file) = File::open(format!("/proc/{id}/mem")) else { return Vec::new() };
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|end| u64::from_str_radix(end, 16).unwrap());
        let mut part = vec![0; usize::try_from(to - from).unwrap()];
        if file.read_exact_at(&mut part, from).is_ok() {
            all.extend(part);
        }
    }
    all
}

#[test]
fn minisign_itself_takes_our_protected_keys_and_we_take_its() {
    if Command::new("minisign").arg("-v").output().is_err() {
        return skip("minisign is not installed (`apt-get install minisign`)");
    }
    let Some(universe) = realised(STEADY) else { return };
    secret(&universe, "the.passphrase", &format!("{PASSPHRASE}\n"));
    let shell = |script: &str| {
        let output = universe.tool("sh").args(["-euc", script]).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&told));
    };
    // Its key in our hands.
    shell("cat the.passphrase the.passphrase | minisign -G -f -p carol.pub -s carol.key");
    run_alone(&universe, &format!("{SIGNED} --passphrase-file the.passphrase")).success();
    shell(
        "head -n 4 the.statement > the.json.minisig\n\
         tail -n +5 the.statement > the.json\n\
         minisign -V -p carol.pub -m the.json",
    );
    // Ours in its hands.
    let made = run_alone(&universe, "key generate dave.key --passphrase-file the.passphrase").success();
    assert!(!made.stderr.contains("no passphrase"), "{made}");
    shell(
        "minisign -S -s dave.key -x other.minisig -m the.json < the.passphrase\n\
         minisign -V -p dave.key.pub -x other.minisig -m the.json",
    );
}

#[test]
fn a_passphrase_for_a_new_key_is_typed_twice_alike_and_is_not_empty() {
    let universe = TestUniverse::bare(STEADY);
    let (question, again) = ("passphrase for erin.key: ", "the same again: ");
    for (first, second) in [("open sesame\n", "open barley\n"), ("\n", "\n")] {
        let mut generate = OnTerminal::start(&universe, "key generate erin.key --protect");
        generate.answer(question, first);
        generate.answer(again, second);
        let (ended, _) = generate.end();
        refused(&universe, &ended, "passphrase");
        assert!(!universe.path("erin.key").exists());
    }
    refused(&universe, &run_alone(&universe, "key generate erin.key --protect"), "protected");
    assert!(!universe.path("erin.key").exists());
    // Nobody is asked in vain.
    universe.write("erin.key.pub", "");
    refused(&universe, &run_alone(&universe, "key generate erin.key --protect"), "exists");
}
