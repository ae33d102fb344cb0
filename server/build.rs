//! Builds a release of the server again when the web app it carries was built; compiles the bridge to libvpx if wanted.

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
    #[cfg(feature = "vp8")]
    vp8();
}

/// Against the headers of the library that is linked: its structures differ from release to release.
#[cfg(feature = "vp8")]
fn vp8() {
    let bridge = "src/video/encoder/vp8.c";
    println!("cargo::rerun-if-changed={bridge}");
    match pkg_config::probe_library("vpx") {
        Ok(vpx) => cc::Build::new().file(bridge).includes(vpx.include_paths).compile("waldo_vp8"),
        Err(error) => println!("cargo::error=the feature `vp8` needs libvpx (Debian: libvpx-dev, pkg-config): {error}"),
    }
}
