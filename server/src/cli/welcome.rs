//! What a person sees on stdout once the robot can be reached.
use std::io;
use std::net::SocketAddr;

use crate::http::Access;
use crate::tls::Identity;

/// Prints the addresses to open, a QR code of the best one, and the certificate's fingerprint to stdout.
///
/// # Errors
/// If stdout cannot be written.
pub fn welcome(_listening: SocketAddr, _access: &Access, _identity: &Identity) -> io::Result<()> {
    unimplemented!()
}
