//! Where the output goes: closed pipes, full devices, odd locales, tiny terminals, none at all.

use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use crate::TWO_NODES;
use crate::support::{PROGRAM, TestUniverse, eventually, processes_with, skip};

/// Every verb that ends by itself, in an order in which all of them succeed.
const VERBS: &[&str] = &[
    "realise universe.toml --json -v",
    "realise universe.toml --json",
    "plan universe.toml",
    "plan universe.toml --json",
    "plan universe.toml --dot",
    "show universe.toml greeting",
    "show universe.toml greeting --json",
    "log universe.toml greeting",
    "why-build universe.toml",
    "why-build universe.toml --json",
    "why-depends universe.toml shout greeting",
    "why-depends universe.toml shout greeting --json",
    "doctor --json",
    "doctor",
    "--help",
    "realise --help",
    "--version",
];

fn noisy() -> String {
    TWO_NODES.replace("echo hello >", "seq 3000; echo hello >")
}

/// The status of a run, which must have ended by itself and without a panic.
#[track_caller]
fn code(command: &mut Command) -> i32 {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{command:?}: {said}");
    output.status.code().unwrap_or_else(|| panic!("{command:?} was ended by a signal: {said}"))
}

#[test]
fn readers_that_go_away_are_no_failure_of_any_verb() {
    let Some(universe) = TestUniverse::buildable(&noisy()) else { return };
    for verb in VERBS {
        let expected = if verb.starts_with("doctor") { code(&mut universe.command(verb)) } else { 0 };
        for end in ["stdout", "stderr", "both"] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut command = universe.command(verb);
            if end != "stderr" {
                command.stdout(writer.try_clone().unwrap());
            }
            if end != "stdout" {
                command.stderr(writer);
            }
            assert_eq!(code(&mut command), expected, "{verb}, {end}");
        }
        // No descriptors at all.
        let mut command = universe.tool("sh");
        command.args(["-c", &format!("exec {PROGRAM} {verb} <&- >&- 2>&-")]);
        assert_eq!(code(&mut command), expected, "{verb}, all closed");
    }
}

#[test]
fn data_that_cannot_be_written_is_a_trouble_of_the_machine() {
    let Some(universe) = TestUniverse::buildable(&noisy()) else { return };
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    for verb in VERBS {
        let output = universe.command(verb).stdout(full()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "{verb}: {said}");
        // clap prints these itself, and does not mind.
        if !verb.starts_with("--") && !verb.ends_with("--help") {
            assert_eq!(output.status.code(), Some(4), "{verb}: {said}");
            assert!(
                said.contains("cannot write to standard output: No space left on device"),
                "{verb}: {said}"
            );
        }
        // Messages are not what was asked for.
        let expected = if verb.starts_with("doctor") { code(&mut universe.command(verb)) } else { 0 };
        assert_eq!(code(universe.command(verb).stderr(full()).stdout(Stdio::null())), expected, "{verb}");
    }
}

#[test]
fn every_locale_gets_the_same_bytes() {
    let text = format!("{}\n# straße 漢字\n", noisy()).replace("hello", "grüße");
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    universe.run("realise universe.toml").success();
    for verb in
        ["plan universe.toml --json", "show universe.toml greeting", "log universe.toml shout", "--help"]
    {
        let usual = universe.run(verb).success();
        for (name, value) in
            [("LC_ALL", "C"), ("LC_ALL", "de_DE.ISO-8859-1"), ("LANG", "\u{fffd}"), ("LC_ALL", "")]
        {
            let output = universe.command(verb).env(name, value).output().unwrap();
            assert_eq!(output.status.code(), Some(0));
            assert_eq!(String::from_utf8(output.stdout).unwrap(), usual.stdout, "{verb}, {name}={value}");
        }
    }
    // Words of the command line and of the environment that are not UTF-8.
    let odd = std::ffi::OsStr::from_bytes(b"caf\xe9");
    assert_eq!(code(universe.command("plan").arg(odd)), 3);
    assert_eq!(code(universe.command("plan universe.toml").env("HOME", odd).env("TERM", odd)), 0);
    assert_eq!(code(universe.command("plan universe.toml").env("JTWBUILD_STORE", odd)), 0);
    assert_eq!(code(universe.command("plan universe.toml --store").arg(odd)), 0);
}

#[test]
fn terminals_of_every_size_are_drawn_on() {
    let text = format!("{}[[node]]\nname = \"long-{}\"\nscript = \"exit 1\"\n", noisy(), "x".repeat(60));
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    for (round, columns) in [80, 20, 1, 0].into_iter().enumerate() {
        universe.edit("echo hello", &format!("echo {round} >/dev/null; echo hello"));
        for verb in
            ["realise universe.toml", "realise universe.toml -v", "plan universe.toml", "--help", "plan x"]
        {
            let inside = format!("stty cols {columns} rows 3; {PROGRAM} {verb}; echo code=$? > code");
            let mut command = universe.tool("script");
            command.args(["-qec", &inside, "/dev/null"]).env("TERM", "xterm-256color");
            let Ok(output) = command.output() else { return skip("no `script` of util-linux") };
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(!said.contains("panicked"), "{verb} at {columns} columns: {said}");
            let code = std::fs::read_to_string(universe.path("code")).unwrap();
            let expected = match verb {
                "plan x" => 3,
                verb if verb.starts_with("realise") => 1,
                _ => 0,
            };
            assert_eq!(code, format!("code={expected}\n"), "{verb} at {columns} columns: {said}");
        }
    }
}

/// Whoever closes the terminal wants the run to end in order: alone in it, or below a shell that dies.
#[test]
fn terminal_that_is_closed_stops_the_run_in_order() {
    for shell in ["exec", "true;"] {
        let token = format!("terminal-{}-{}", std::process::id(), shell.len());
        let text = format!(
            "name = \"x\"\n[[node]]\nname = \"a\"\nscript = \": {token}; (trap '' HUP TERM; sleep 1000) & sleep 1000; true\"\n"
        );
        let Some(universe) = TestUniverse::buildable(&text) else { return };
        let path = universe.path("universe.toml");
        let inside = format!("{shell} {PROGRAM} realise {}", path.display());
        let mut command = universe.tool("script");
        command.args(["-qec", &inside, "/dev/null"]).env("TERM", "xterm-256color").env("SHELL", "/bin/sh");
        let Ok(mut terminal) = command.stdout(Stdio::null()).spawn() else {
            return skip("no `script` of util-linux");
        };
        eventually("the builder runs", || processes_with(&token) > 0);
        terminal.kill().unwrap();
        terminal.wait().unwrap();
        eventually("the run has ended", || processes_with(path.to_str().unwrap()) == 0);
        assert_eq!(processes_with(&token), 0);
        // Only a run that stops in order takes its scratch directory away.
        assert_eq!(universe.leftovers(), [""; 0]);
        assert!(universe.run("log universe.toml a").code == Some(0), "the log is kept");
    }
}
