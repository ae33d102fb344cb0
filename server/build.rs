//! Compiles the bridge to libvpx if wanted.

fn main() {
    // Without it cargo would look at every file of the package.
    println!("cargo::rerun-if-changed=build.rs");
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
