//! What a person types as the robot's address, and the URLs that follow from it.

/// A robot's `host[:port]`, taken from what a person typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RobotAddress {
    authority: String,
}

/// The typed text holds no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("type the robot's address, for example 192.168.1.20 or robot.local:8000")]
pub struct InvalidAddress;

impl RobotAddress {
    /// Reads the address as typed: scheme and path are cut; the port defaults to 8000, after `https` or `wss` to 443.
    ///
    /// # Errors
    /// [`InvalidAddress`] if no host remains.
    pub fn parse(_typed: &str) -> Result<Self, InvalidAddress> {
        unimplemented!()
    }

    /// `wss://<authority>/ws`
    pub fn socket_url(&self) -> String {
        format!("wss://{}/ws", self.authority)
    }

    /// `https://<authority>/__accept`, where a browser accepts the robot's certificate.
    pub fn accept_url(&self) -> String {
        format!("https://{}/__accept", self.authority)
    }
}
