//! Builds a release again when the web app it carries was built.

use std::path::Path;

fn main() {
    let bundle = "../static/dist";
    // A release carries the bundle inside. A debug build reads it at run time, but must know that it exists.
    // Without a bundle, the folder around it is watched for its coming.
    let watched = match (Path::new(bundle).exists(), std::env::var("PROFILE").as_deref()) {
        (true, Ok("release")) => bundle,
        (true, _) => "build.rs",
        (false, _) => "../static",
    };
    println!("cargo::rerun-if-changed={watched}");
}
