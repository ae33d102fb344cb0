//! Builds a release of the server again when the web app it carries was built.

use std::path::Path;

fn main() {
    let bundle = "../static/dist";
    // A debug build reads the bundle at run time. Cargo takes a missing path for one that changes all the time.
    let watched = match std::env::var("PROFILE").as_deref() {
        Ok("release") if Path::new(bundle).exists() => bundle,
        Ok("release") => "../static",
        _ => "build.rs",
    };
    println!("cargo::rerun-if-changed={watched}");
}
