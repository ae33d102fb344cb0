//! Builds the broker again when its tables change.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
