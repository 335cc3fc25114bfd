//! Packages built as their opam files say, in real sandboxes: the order of a build, its variables and
//! its environment, and what hostile packages try.
//!
//! The base is made of programs of this machine: a static busybox, and GNU `patch` and `make` with the
//! libraries that they are linked to.

mod commands;
mod files;
mod hostile;
mod variables;
mod world;
