//! The public handle of the VR service, with a listener of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Utf8Bytes, WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use rustls_pki_types::CertificateDer;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waldo_protocol::vr::{Mode, ServerMessage, VrFrame, VrState};

use super::connection::{self, MAX_MESSAGE};
use super::service::{OnFrame, Service};
use crate::control::{Event, Teleop};
use crate::metrics::Metrics;
use crate::video::{Feed, VideoSource};

/// Settings of a [`VrServer`].
#[derive(Clone, Debug)]
pub struct VrServerConfig {
    /// TCP port; 0 takes a free one. Default 8000.
    pub port: u16,
    /// Own certificate chain, PEM. Default: the one Waldo makes itself.
    pub certfile: Option<PathBuf>,
    /// Private key of `certfile`, PEM.
    pub keyfile: Option<PathBuf>,
    /// Address to listen on. Default: all.
    pub bind: IpAddr,
    /// Let everybody in, without token and from any origin. Default false.
    pub open: bool,
    /// Where certificate and token are kept. Default: `$XDG_DATA_HOME/waldo`.
    pub data_dir: PathBuf,
    /// Folder of the web app, instead of the built-in one.
    pub static_dir: Option<PathBuf>,
}

impl Default for VrServerConfig {
    fn default() -> Self {
        Self {
            port: 8000,
            certfile: None,
            keyfile: None,
            bind: Ipv4Addr::UNSPECIFIED.into(),
            open: false,
            data_dir: config::default_data_dir(),
            static_dir: None,
        }
    }
}

/// The server of the VR wire: poses in, feedback and camera pictures out. Cheap to clone; all clones are one server.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use waldo_server::vr::{VrServer, VrServerConfig};
///
/// let server = VrServer::new(VrServerConfig::default());
/// server.on_frame(Some(Arc::new(|frame| println!("{:?}", frame.left.pose))));
/// server.start().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct VrServer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: VrServerConfig,
    service: Arc<Service>,
    running: Mutex<Option<Running>>,
}
