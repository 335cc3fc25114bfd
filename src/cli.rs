//! The command line: what the user typed, and which function does it. Only this module and those
//! below it print.

mod arguments;
mod audit;
mod batch;
mod challenge;
mod diff;
mod doctor;
mod enter;
mod explanation;
mod gc;
mod history;
mod inspect;
mod load;
mod passphrase;
mod plan;
mod progress;
mod proof;
mod realise;
mod render;
mod reproduce;
mod request;
mod roots;
mod runs;
mod serve;
mod shortcut;
mod sources;
mod statement;
mod summary;
mod switch;
mod trouble;
mod update;
mod verify;
mod why_build;
mod why_depends;
mod why_not;

use std::process::ExitCode;

use clap::Parser;

pub use self::arguments::Arguments;
use self::arguments::Verb;
use self::trouble::Trouble;

/// Parses the command line, does what the user asked for, and prints. The exit code is documented
/// in the book.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    std::panic::catch_unwind(|| run(&arguments)).unwrap_or_else(|_| {
        let message = "an error in jtwbuild itself ended it; nothing in the store is damaged by that";
        let help = "please report this, with the lines above that begin with `thread`; the same command goes on from where it was";
        render::trouble(&Trouble::new(trouble::Exit::Internal, "jtwbuild::internal", message, Some(help)))
    })
}

fn run(arguments: &Arguments) -> ExitCode {
    let global = &arguments.global;
    let result = match &arguments.verb {
        Verb::Realise(verb) => realise::run(global, verb),
        Verb::Plan(verb) => plan::run(global, verb),
        Verb::Update(verb) => update::run(global, verb),
        Verb::Batch(verb) => batch::batch(global, verb),
        Verb::HealthCheck(verb) => batch::health_check(global, verb),
        Verb::WhyNot(verb) => why_not::run(global, verb),
        Verb::WhyBuild(verb) => why_build::run(global, verb),
        Verb::WhyDepends(verb) => why_depends::run(global, verb),
        Verb::Enter(verb) => enter::run(global, verb),
        Verb::Diff(verb) => diff::run(global, verb),
        Verb::Show(verb) => inspect::show(global, verb),
        Verb::Log(verb) => inspect::log(global, verb),
        Verb::History(verb) => history::run(global, verb),
        Verb::ExportProof(verb) => proof::export(global, verb),
        Verb::Reproduce(verb) => reproduce::run(global, verb),
        Verb::Key(verb) => statement::key(global, verb),
        Verb::Statement(verb) => statement::run(global, verb),
        Verb::Challenge(verb) => challenge::run(global, verb),
        Verb::Audit(verb) => audit::run(global, verb),
        Verb::Verify(verb) => verify::run(global, verb),
        Verb::Serve(verb) => serve::run(global, verb),
        Verb::Opam(verb) => switch::opam(global, verb),
        Verb::OpamAll(verb) => switch::opam_all(global, verb),
        Verb::Gc(verb) => gc::run(global, verb),
        Verb::Roots(verb) => roots::run(global, verb),
        Verb::Doctor(verb) => doctor::run(global, verb),
    };
    result.unwrap_or_else(|trouble: Trouble| render::trouble(&trouble))
}
