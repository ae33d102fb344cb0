//! The field service of `waldo serve`: its port, its arms, its certificate.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};
use waldo_protocol::field::HandlingConfig;

use super::ServeError;
use crate::config::{FieldBackendKind, Settings};
use crate::control::{Arbiter, ControlLoop};
use crate::field::{
    FieldAccess, FieldBackend, FieldConfig, FieldServer, MultiArmPassThroughBackend, Physics, RobotField,
};
use crate::http::{self, Access};
use crate::tls::ServerTls;
use crate::vr::{StartError, VrServer};

/// The field service, before and after its start.
pub(super) struct Field {
    server: FieldServer,
    backend: FieldBackendKind,
    scheme: &'static str,
    /// Present while the service is in `/healthz`; who shows it keeps it alive.
    in_health: Option<InHealth>,
    /// Keeps the certificate of the port of its own current.
    _renewal: Option<DropGuard>,
}

/// Takes the service out of `/healthz` when it ends.
struct InHealth(VrServer);

impl Drop for InHealth {
    fn drop(&mut self) {
        self.0.hide_in_health("field");
    }
}

impl Field {
    /// The service, if the settings say so; its route is on the page's port from the start of that on, and answers once the
    /// arms are there.
    pub(super) fn prepare(
        settings: &Settings,
        vr: &VrServer,
        arbiter: &Arc<Mutex<Arbiter>>,
    ) -> Result<Option<Self>, ServeError> {
        let field = &settings.field;
        if !field.on {
            return Ok(None);
        }
        if field.silence() < field.deadman {
            let limit = field.silence();
            tracing::warn!("--field-deadman: the robot's arms are let go after {limit:?} of silence, not later");
        }
        let access = Access::load(&settings.data_dir, settings.open).map_err(StartError::from)?;
        let tls = (field.tls && field.port.is_some()).then(|| ServerTls::new(settings)).transpose();
        let tls = tls.map_err(StartError::from)?;
        let config = FieldConfig {
            listen: field.port.map(|port| SocketAddr::new(settings.bind, port)),
            tls: tls.as_ref().map(|tls| tls.config()),
            access: FieldAccess::Rule(Arc::new(access)),
            deadman: field.silence(),
            strict_deadman: field.is_strict(),
            stop: Some(arbiter.lock().unwrap_or_else(std::sync::PoisonError::into_inner).stop_view()),
            metrics: vr.metrics(),
            ..FieldConfig::default()
        };
        let server = FieldServer::new(config);
        vr.set_sockets(Some(server.routes()));
        let renewal = tls.map(|tls| {
            let ended = CancellationToken::new();
            tokio::spawn(tls.keep_current(ended.clone()));
            ended.drop_guard()
        });
        Ok(Some(Self {
            server,
            backend: field.backend,
            scheme: if field.tls { "wss" } else { "ws" },
            in_health: None,
            _renewal: renewal,
        }))
    }

    /// Lets clients in.
    pub(super) fn start(
        &mut self,
        vr: &VrServer,
        (control, arbiter): (&ControlLoop, Arc<Mutex<Arbiter>>),
    ) -> Result<(), ServeError> {
        let backend: Box<dyn FieldBackend> = match self.backend {
            FieldBackendKind::PassThrough => Box::new(MultiArmPassThroughBackend::new()),
            FieldBackendKind::Soft => simulated(Physics::Soft),
            FieldBackendKind::Kinematic => simulated(Physics::Kinematic),
            FieldBackendKind::Robot => {
                let reports = vr.clone();
                Box::new(RobotField::new(control, arbiter, move |event| reports.publish(event)))
            }
        };
        self.server.start(backend)?;
        let shown = self.server.clone();
        vr.show_in_health("field", move || {
            let port = shown.addr().map(|addr| addr.port());
            let status = if shown.has_failed() { "fault" } else { "ok" };
            let users = shown.users();
            let away = users.iter().filter(|user| user.away).count();
            json!({ "status": status, "clients": shown.clients(), "users": users.len(), "away": away, "port": port })
        });
        self.in_health = Some(InHealth(vr.clone()));
        Ok(())
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

fn simulated(physics: Physics) -> Box<dyn FieldBackend> {
    Box::new(MultiArmPassThroughBackend::simulated(physics, HandlingConfig::default()))
}

/// Whether the port is to be had, before any motor moves.
pub(super) fn check_port(settings: &Settings) -> Result<(), ServeError> {
    if let Some(port) = settings.field.port {
        http::bind_for(SocketAddr::new(settings.bind, port), "--field-port")?;
    }
    Ok(())
}
