//! How long a universe of 10,000 nodes takes to read: `cargo bench --bench universe`.
//!
//! Prints CPU milliseconds of the fastest of several runs; nothing is compared with earlier ones.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use jtwbuild::diagnostic::SourceFile;
use jtwbuild::universe::Universe;
use nix::time::{ClockId, clock_gettime};

/// Nodes of the universe, and rounds of each measurement.
const NODES: usize = 10_000;
const ROUNDS: usize = 20;

fn main() {
    let text = universe(NODES);
    println!("{NODES} nodes, {} bytes", text.len());
    let file = SourceFile::new("universe.toml", &text);
    measure("toml tree with spans", || toml::de::DeTable::parse(&text).map(|_| ()).is_ok());
    measure("serde into a plain value", || toml::from_str::<toml::Table>(&text).is_ok());
    measure("Universe::parse", || {
        let universe = Universe::parse(file.clone(), Path::new(""), |_| unreachable!("nothing is included"));
        universe.is_ok_and(|universe| universe.nodes.len() == NODES)
    });
}

/// Layers of nodes, each with up to three inputs from the layer before.
fn universe(nodes: usize) -> String {
    let mut text = String::from("name = \"large\"\n");
    for node in 0..nodes {
        let width = 100;
        let inputs: Vec<String> = (0..3)
            .filter_map(|step| (node / width * width).checked_sub(width - (node * 7 + step * 31) % width))
            .map(|input| format!("\"node-{input}\""))
            .collect();
        let inputs = inputs.join(", ");
        write!(text, "\n[[node]]\nname = \"node-{node}\"\ninputs = [{inputs}]\n").expect("memory");
        text.push_str("script = \"cat /in/*/value > $out/value\"\noutputs = [\"value\"]\n");
    }
    text
}

fn measure(what: &str, mut work: impl FnMut() -> bool) {
    let cpu = || Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock"));
    let rounds = (0..ROUNDS).map(|_| {
        let start = cpu();
        assert!(work(), "{what} failed");
        cpu().saturating_sub(start)
    });
    println!("{what}: {:.1?} CPU", rounds.min().unwrap_or_default());
}
