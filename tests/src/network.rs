//! Hard networks on this machine: the robot, its headsets and a broker in network namespaces of their own, joined by
//! cables that delay, lose, hold back, reorder and cut as a seeded model tells.
//!
//! A thread that makes a namespace, and every packet between two of them, belong to this process: when it ends, however
//! it ends, the kernel removes all of it. This takes root (`CAP_SYS_ADMIN`, `CAP_NET_ADMIN`) and `/dev/net/tun`.

mod cable;
mod link;
mod namespace;
mod profile;
mod wire;

pub use cable::{Cable, Direction};
pub use link::{Conditions, Counts, Fate, Link, Rate};
pub use namespace::{Inside, Namespace, robot};
pub use profile::{Profile, Profiles};
pub use wire::Wire;

/// Whether namespaces and cables can be made here. Where they cannot, says so in one line for the developer whose test
/// does nothing then.
///
/// # Panics
/// In CI (`CI` is set), where a test must not pass because it did nothing.
#[must_use]
pub fn permitted() -> bool {
    let Err(error) = Cable::lay(&Conditions::default(), 0) else { return true };
    assert!(std::env::var_os("CI").is_none(), "CI must allow network namespaces and /dev/net/tun: {error:#}");
    eprintln!("SKIPPED: no network namespaces here, run the tests as root to have them: {error:#}");
    false
}
