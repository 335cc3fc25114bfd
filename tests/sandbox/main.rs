//! The sandbox with real namespaces and real builders: the host's static busybox, and an attacker of
//! our own (`attacker/`), which is compiled when the tests first need it.
//!
//! Without namespaces, busybox or a compiler, tests say so and pass, except under `CI`, where that
//! is a failure. `JTWBUILD_LONG=1` multiplies rounds.

mod attacker;
mod attacks;
mod builder;
mod channels;
mod layers;
mod lifecycle;
mod limits;
mod outputs;
mod overlay;
mod probe;
mod refusals;
mod world;

/// How many times as many rounds to do as in a run that somebody waits for.
fn rounds() -> u64 {
    if std::env::var_os("JTWBUILD_LONG").is_some() { 100 } else { 1 }
}
