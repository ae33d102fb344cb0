//! The short form of the settings, for programs that embed the server.

use std::path::PathBuf;

use waldo_protocol::vr::{MotionScale, PlayoutConfig};

use crate::config::Settings;

/// The short form of [`Settings`], for programs that embed the server.
#[derive(Clone, Debug)]
pub struct VrServerConfig {
    /// TCP port; 0 takes a free one. Default 8000.
    pub port: u16,
    /// Own certificate chain, PEM. Default: the one Waldo makes itself.
    pub certfile: Option<PathBuf>,
    /// Private key of `certfile`, PEM.
    pub keyfile: Option<PathBuf>,
    /// How [`VrServer::render_frame`](super::VrServer::render_frame) smooths. Default: the compatible profile.
    pub playout: PlayoutConfig,
    /// How far the grippers move for a motion of the hands, each factor from 0.1 to 2. Default 1.
    pub motion: MotionScale,
}

impl Default for VrServerConfig {
    fn default() -> Self {
        let (playout, motion) = (PlayoutConfig::default(), MotionScale::default());
        Self { port: 8000, certfile: None, keyfile: None, playout, motion }
    }
}

impl From<VrServerConfig> for Settings {
    fn from(config: VrServerConfig) -> Self {
        let VrServerConfig { port, certfile, keyfile, playout, motion } = config;
        Self { port, certfile, keyfile, playout, motion, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::vr::VrServer;

    #[test]
    fn the_short_settings_have_the_defaults_of_the_wire() {
        let settings = Settings::from(VrServerConfig::default());
        assert_eq!((settings.port, settings.certfile, settings.keyfile), (8000, None, None));
        let PlayoutConfig { enabled, profile, min_delay, max_delay, smooth_window, outlier_k } = settings.playout;
        assert_eq!((enabled, profile), (true, waldo_protocol::vr::PlayoutProfile::Compatible));
        assert_eq!([min_delay, max_delay, smooth_window].map(|time| time.as_millis()), [0, 150, 120]);
        assert_eq!((outlier_k, settings.motion), (4.0, MotionScale { pos: 1.0, rot: 1.0 }));
    }

    #[test]
    fn the_short_settings_are_those_of_the_server() {
        let motion = MotionScale { pos: 0.5, rot: 2.0 };
        let playout = PlayoutConfig { enabled: false, ..PlayoutConfig::default() };
        let (certfile, keyfile) = (Some(PathBuf::from("/a.pem")), Some(PathBuf::from("/b.pem")));
        let config = VrServerConfig { port: 9, certfile, keyfile, playout, motion };
        let server = VrServer::new(config.clone());
        let settings = Settings::from(config);
        assert_eq!((settings.port, settings.playout, settings.motion), (9, playout, motion));
        assert_eq!(settings.certfile.as_deref(), Some(Path::new("/a.pem")));
        assert_eq!(settings.keyfile.as_deref(), Some(Path::new("/b.pem")));
        assert_eq!(server.attach_control().lock().unwrap().scale(), motion);
    }
}
