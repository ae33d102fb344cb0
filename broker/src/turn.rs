//! placeholder
use waldo_protocol::hosted::IceServer;
/// x
#[derive(Clone, Debug, Default)]
pub struct Turn;
impl Turn {
    /// x
    pub fn new(_settings: TurnSettings) -> Self {
        Self
    }

    /// x
    pub async fn ice_servers(&self, _subject: &str) -> Vec<IceServer> {
        self.stun_list()
    }
    /// x
    pub fn stun_list(&self) -> Vec<IceServer> {
        vec![IceServer::stun("stun:stun.cloudflare.com:3478")]
    }
}

/// x
#[derive(Clone, Debug, Default)]
pub struct TurnSettings;
