//! A hostile builder: a static program of the standard library and the C library alone, compiled by
//! `tests/sandbox/attacker.rs` and run inside sandboxes.
//!
//! `attacker list` prints the table of all attacks, from which the book's page is made; `attacker
//! all GROUP` tries one group, each attack in a process of its own, and prints what came of each.

/// One line of a group's table; the last argument is what is done.
macro_rules! attack {
    ($name:literal, $tried:literal, $outcome:expr, $run:expr) => {
        Attack { name: $name, tried: $tried, outcome: $outcome, run: || $run }
    };
}

mod calls;
mod channels;
mod denied;
mod escape;
mod inputs;
mod kernel;
mod network;
mod observe;
mod outputs;
mod overlay;

use std::process::Command;

use calls::Tried;

/// What must come of an attack.
pub enum Outcome {
    /// The kernel answers with one of these errors.
    Refused(&'static [i32]),
    /// It works, and reaches nothing but what is the builder's own.
    Own(&'static str),
    /// It works and is told in the book as a limit of the sandbox.
    Limit(&'static str),
}

/// One line of the table.
pub struct Attack {
    pub name: &'static str,
    pub tried: &'static str,
    pub outcome: Outcome,
    pub run: fn() -> Tried,
}

/// Number in the list of faults, name of the group, attacks.
fn groups() -> Vec<(&'static str, &'static str, Vec<Attack>)> {
    vec![
        ("R39", "inputs", inputs::attacks()),
        ("R42", "network", network::attacks()),
        ("R43", "escape", escape::attacks()),
        ("R43", "kernel", kernel::attacks()),
    ]
}

/// The table's words for an outcome.
fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Refused(errors) => {
            let names: Vec<_> = errors.iter().map(|errno| calls::name(*errno)).collect();
            format!("refused: {}", names.join(" or "))
        }
        Outcome::Own(what) => (*what).to_owned(),
        Outcome::Limit(what) => format!("**works**: {what}"),
    }
}

fn list() {
    for (number, group, attacks) in groups() {
        for attack in attacks {
            println!("{number}\t{group}\t{}\t{}\t{}", attack.name, attack.tried, words(&attack.outcome));
        }
    }
}

fn find(name: &str) -> Option<Attack> {
    groups().into_iter().flat_map(|(_, _, attacks)| attacks).find(|attack| attack.name == name)
}

/// One attack: status 0 when it came out as the table says.
fn one(name: &str) -> i32 {
    let Some(attack) = find(name) else {
        println!("{name}\tunknown");
        return 2;
    };
    let got = (attack.run)();
    let is_expected = match (&attack.outcome, &got) {
        (Outcome::Refused(errors), Err(errno)) => errors.contains(errno),
        (Outcome::Own(_) | Outcome::Limit(_), Ok(())) => true,
        _ => false,
    };
    let said = got.map_or_else(calls::name, |()| "works".to_owned());
    println!("{name}\t{said}\t{}", if is_expected { "as told" } else { "NOT AS TOLD" });
    i32::from(!is_expected)
}

fn all(group: &str) -> i32 {
    let own = std::env::args().next().expect("a program has a name");
    let attacks = groups().into_iter().filter(|(_, name, _)| *name == group).flat_map(|(_, _, all)| all);
    let mut worst = 0;
    for attack in attacks {
        let done = Command::new(&own).args(["one", attack.name]).output().expect("this program starts");
        print!("{}", String::from_utf8_lossy(&done.stdout));
        if done.status.code().is_none() {
            // Ended by a signal: refused, in the rudest way.
            println!("{}\t{}\tNOT AS TOLD", attack.name, done.status);
        }
        worst |= i32::from(!done.status.success());
    }
    println!("{group} done");
    worst
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let status = match arguments[..] {
        ["list"] => {
            list();
            0
        }
        ["one", name] => one(name),
        ["all", group] => all(group),
        ["outputs"] => outputs::list(),
        ["output", name] => outputs::make(name),
        ["channels"] => channels::list(),
        ["serve"] => channels::serve(),
        ["seek"] => channels::seek(),
        ["leave-sockets"] => channels::leave_sockets(),
        ["denied", kind, program, ref arguments @ ..] => denied::run(kind, program, arguments),
        ["observe"] => observe::print(),
        ["overlay", seed, operations] => overlay::run(seed, operations),
        _ => {
            eprintln!("attacker: what? {arguments:?}");
            2
        }
    };
    std::process::exit(status);
}
