//! Rebuilds the crate when a recipe is added or removed: `include_dir!` notices only changes of
//! files that it already knows.

fn main() {
    println!("cargo:rerun-if-changed=recipes");
}
