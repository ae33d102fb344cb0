//! STUN servers for peers.

use waldo_protocol::hosted::IceServer;

/// The servers to name.
#[derive(Clone, Debug)]
pub struct TurnSettings {
    /// `stun:` URLs.
    pub stun: Vec<String>,
}

impl Default for TurnSettings {
    fn default() -> Self {
        Self { stun: vec!["stun:stun.cloudflare.com:3478".to_owned()] }
    }
}

/// Names servers.
#[derive(Clone, Debug)]
pub struct Turn(TurnSettings);

impl Turn {
    /// With these settings.
    pub fn new(settings: TurnSettings) -> Self {
        Self(settings)
    }

    /// What a peer of this subject may use; never fails.
    pub async fn ice_servers(&self, _subject: &str) -> Vec<IceServer> {
        self.stun_list()
    }

    /// The STUN servers.
    pub fn stun_list(&self) -> Vec<IceServer> {
        self.0.stun.iter().map(IceServer::stun).collect()
    }
}
