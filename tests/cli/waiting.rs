//! A builder that waits in its sandbox until a test lets it go.

use std::fs;
use std::path::PathBuf;

use crate::TWO_NODES;
use crate::support::eventually;

/// Two nodes, the first of which says `token` on its command line and waits at a pipe.
pub fn universe_that_waits(token: &str) -> String {
    TWO_NODES.replace(
        "echo hello > $out/hello",
        &format!("mkfifo /tmp/go; : {token}; read word < /tmp/go; echo $word > $out/hello"),
    )
}

/// A word that no other process of this machine has.
pub fn token(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// The pipes that builders with this word read from, seen from outside.
pub fn pipes_of(token: &str) -> Vec<PathBuf> {
    let pipes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let process = entry.ok()?.path();
        let line = fs::read(process.join("cmdline")).ok()?;
        let pipe = process.join("root/tmp/go");
        (String::from_utf8_lossy(&line).contains(token) && pipe.exists()).then_some(pipe)
    });
    pipes.collect()
}

/// Lets the builder go that waits with this word.
pub fn let_go(token: &str) {
    eventually("a builder waits at its pipe", || !pipes_of(token).is_empty());
    let pipe = pipes_of(token).swap_remove(0);
    // The shell may not have opened its end yet; then this waits for it.
    fs::write(pipe, "hello\n").unwrap();
}
