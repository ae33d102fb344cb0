//! The field service of `waldo serve`: its port, its arms, its certificate.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use waldo_protocol::field::{ClutchMode, HandlingConfig};

use super::ServeError;
use super::in_health::InHealth;
use crate::config::{FieldBackendKind, FieldSettings, Settings};
use crate::control::{Arbiter, ControlLoop};
use crate::field::{
    FieldAccess, FieldBackend, FieldConfig, FieldDoor, FieldMapping, FieldServer, FieldTokens, FieldTokensError,
    MultiArmPassThroughBackend, Physics, RobotField,
};
use crate::http::{self, BindError};
use crate::vr::VrServer;

/// The running field service.
pub(super) struct Field {
    server: FieldServer,
    scheme: &'static str,
    in_health: InHealth,
}

/// The way to the field from the page's port, if the settings say that there is one: to be opened before the page is
/// served, to answer once the arms are there.
pub(super) fn open_a_door(settings: &Settings, vr: &VrServer) -> Option<FieldDoor> {
    let door = settings.field.on.then(FieldDoor::default);
    vr.set_sockets(door.as_ref().map(FieldDoor::routes));
    door
}

impl Field {
    /// Lets clients in.
    pub(super) fn start(
        settings: &Settings,
        vr: &VrServer,
        (control, arbiter): (&ControlLoop, Arc<Mutex<Arbiter>>),
        (door, listener, tokens): (FieldDoor, Option<TcpListener>, FieldTokens),
    ) -> Result<Self, ServeError> {
        let field = &settings.field;
        if field.silence() < field.deadman {
            let limit = field.silence();
            tracing::warn!("--field-deadman: the robot's arms are let go after {limit:?} of silence, not later");
        }
        let gone = || io::Error::other("the server of the page has stopped");
        let config = FieldConfig {
            listen: field.port.map(|port| SocketAddr::new(settings.bind, port)),
            tls: field.tls.then(|| vr.tls().ok_or_else(gone)).transpose()?,
            access: FieldAccess::Rule(vr.access().ok_or_else(gone)?),
            tokens,
            origins: field.origins.clone(),
            mapping: mapping(field),
            deadman: field.silence(),
            strict_deadman: field.is_strict(),
            stop: Some(arbiter.lock().unwrap_or_else(PoisonError::into_inner).stop_view()),
            metrics: vr.metrics(),
            ..FieldConfig::default()
        };
        let server = FieldServer::behind(door, config);
        let backend: Box<dyn FieldBackend> = match field.backend {
            FieldBackendKind::PassThrough => Box::new(MultiArmPassThroughBackend::new()),
            FieldBackendKind::Soft => simulated(Physics::Soft, field.clutch),
            FieldBackendKind::Kinematic => simulated(Physics::Kinematic, field.clutch),
            FieldBackendKind::Robot => {
                let reports = vr.clone();
                Box::new(RobotField::new(control, arbiter, move |event| reports.publish(event)))
            }
        };
        server.start_on(listener, backend)?;
        let shown = server.clone();
        let in_health = InHealth::show(vr, "field", move || {
            let port = shown.addr().map(|addr| addr.port());
            let status = if shown.has_failed() { "fault" } else { "ok" };
            let users = shown.users();
            let away = users.iter().filter(|user| user.away).count();
            json!({ "status": status, "clients": shown.clients(), "users": users.len(), "away": away, "port": port })
        });
        Ok(Self { server, scheme: if field.tls { "wss" } else { "ws" }, in_health })
    }

    pub(super) fn server(&self) -> &FieldServer {
        &self.server
    }

    /// The port of its own, and what it speaks.
    pub(super) fn place(&self) -> Option<(SocketAddr, &'static str)> {
        Some((self.server.addr()?, self.scheme))
    }

    /// Begins to end the service; the result waits until it has ended.
    pub(super) fn stop(self) -> impl Future<Output = ()> {
        drop(self.in_health);
        self.server.stop();
        async move { self.server.stopped().await }
    }
}

fn simulated(physics: Physics, clutch: ClutchMode) -> Box<dyn FieldBackend> {
    Box::new(MultiArmPassThroughBackend::simulated(physics, HandlingConfig { clutch, ..HandlingConfig::default() }))
}

/// The arbiter must see the robot's hands as they are: smoothed, a leap looks like a run of small steps.
fn mapping(field: &FieldSettings) -> FieldMapping {
    let smoothing = field.mapping.smoothing.filter(|_| field.backend != FieldBackendKind::Robot);
    if smoothing != field.mapping.smoothing {
        tracing::warn!("--field-smoothing: hands that drive the robot are not smoothed; its joints' limits do that");
    }
    FieldMapping { smoothing, ..field.mapping }
}

/// The tokens beside that of the page.
pub(super) fn tokens(settings: &Settings) -> Result<FieldTokens, FieldTokensError> {
    settings.field.tokens.as_deref().map(FieldTokens::read).transpose().map(Option::unwrap_or_default)
}

/// Takes the port of its own, if there is to be one. Whoever connects waits until the field is served.
pub(super) fn bind(settings: &Settings) -> Result<Option<TcpListener>, BindError> {
    let port = settings.field.port.filter(|_| settings.field.on);
    port.map(|port| http::bind_for(SocketAddr::new(settings.bind, port), "--field-port")).transpose()
}
