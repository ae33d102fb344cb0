//! The policy service of `waldo serve`: where it listens, who may pass, who drives.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::ServeError;
use super::driven::Driven;
use super::in_health::InHealth;
use crate::config::Settings;
use crate::control::{Arbiter, ControlLoop, SourceId};
use crate::http::{self, BindError};
use crate::policy::{PolicyAccess, PolicyConfig, PolicyServer};
use crate::sensors::SensorHub;
use crate::vr::VrServer;

/// How long the first joint readings are waited for, so that policies are told the names of their streams.
const FIRST_READINGS: Duration = Duration::from_millis(250);

/// Where policies reach the robot.
#[derive(Clone, Debug, Default)]
pub struct PolicyPlaces {
    /// WebSockets.
    pub websocket: Option<SocketAddr>,
    /// Whether they are encrypted.
    pub tls: bool,
    /// An endpoint of Zenoh.
    pub zenoh: Option<String>,
}

/// The running policy service.
pub(super) struct Policies {
    server: PolicyServer,
    places: PolicyPlaces,
    operator: Option<AbortOnDropHandle<()>>,
    in_health: InHealth,
}

impl Policies {
    /// Serves policies, if the settings say so, over WebSockets on that port.
    pub(super) async fn start(
        settings: &Settings,
        vr: &VrServer,
        (control, arbiter, hub): (&ControlLoop, Arc<Mutex<Arbiter>>, &SensorHub),
        listener: Option<TcpListener>,
    ) -> Result<Option<Self>, ServeError> {
        let policy = &settings.policy;
        if !policy.on() {
            return Ok(None);
        }
        wait_for_readings(hub).await;
        let reports = vr.clone();
        let report = Box::new(move |event| reports.publish(event));
        let robot = Driven::new((control, arbiter, hub.clone()), policy.timeout, report)?;
        let gone = || io::Error::other("the server of the page has stopped");
        let access = vr.access().ok_or_else(gone)?;
        let tls = policy.tls.then(|| vr.tls().ok_or_else(gone)).transpose()?;
        let config = PolicyConfig {
            websocket: policy.port.map(|port| SocketAddr::new(settings.bind, port)),
            #[cfg(feature = "zenoh")]
            zenoh: policy.zenoh.as_ref().map(|endpoint| crate::policy::ZenohConfig {
                listen: vec![endpoint.to_string()],
                tls: vr.identity().filter(|_| endpoint.tls()).map(|identity| crate::policy::ZenohTls {
                    certfile: identity.certfile().to_owned(),
                    keyfile: identity.keyfile().to_owned(),
                }),
                ..crate::policy::ZenohConfig::default()
            }),
            access: PolicyAccess::Rule(access),
            tls,
            robot: policy.robot.clone(),
            max_message: policy.max_message,
            action_timeout: policy.timeout,
            lease: policy.lease,
            metrics: vr.metrics(),
            ..PolicyConfig::default()
        };
        let server = PolicyServer::new(config, hub.clone(), robot);
        let starting = server.clone();
        // Zenoh takes its time, and has a runtime of its own.
        let started = tokio::task::spawn_blocking(move || starting.start_on(listener)).await;
        started.map_err(|error| ServeError::Io(io::Error::other(error)))??;
        let zenoh = policy.zenoh.as_ref().map(ToString::to_string);
        if let Some(endpoint) = &policy.zenoh {
            tracing::info!(%endpoint, "policies over Zenoh: whoever reaches this endpoint may move the robot, it asks for no token");
        }
        let places = PolicyPlaces { websocket: server.addr(), tls: policy.tls, zenoh };
        let (shown, clients) = (places.clone(), server.clone());
        let in_health = InHealth::show(vr, "policy", move || {
            let websocket = shown.websocket.map(|addr| addr.port());
            json!({ "clients": clients.clients().len(), "port": websocket, "tls": shown.tls, "zenoh": shown.zenoh })
        });
        // Not on the thread of the poses: whoever is told is sent messages.
        let operator = server.spawn(tell_who_drives(server.clone(), control.driver()));
        Ok(Some(Self { server, places, operator: operator.map(AbortOnDropHandle::new), in_health }))
    }

    pub(super) fn server(&self) -> &PolicyServer {
        &self.server
    }

    /// Where policies reach the robot.
    pub(super) fn places(&self) -> PolicyPlaces {
        self.places.clone()
    }

    /// Begins to end the service; the result waits until it has ended.
    pub(super) fn stop(self) -> impl Future<Output = ()> {
        drop((self.operator, self.in_health));
        self.server.stop();
        async move { self.server.stopped().await }
    }
}

/// Refuses settings that make no sense.
pub(super) fn check(settings: &Settings) -> Result<(), ServeError> {
    let policy = &settings.policy;
    let zenoh = policy.zenoh.as_ref();
    let asked = [
        ("--port", Some(settings.port)),
        ("--policy-port", policy.port),
        ("--field-port", settings.field.port),
        ("--policy-zenoh", zenoh.map(|z| z.port())),
    ];
    for (i, (flag, port)) in asked.iter().enumerate() {
        let Some(port) = port.filter(|port| *port != 0) else { continue };
        if let Some((other, _)) = asked[..i].iter().find(|(_, other)| *other == Some(port)) {
            return Err(ServeError::SamePort { port, flags: [other, flag] });
        }
    }
    match zenoh {
        Some(_) if cfg!(not(feature = "zenoh")) => Err(ServeError::NoZenoh),
        Some(endpoint) if !settings.open && !endpoint.is_loopback() => {
            Err(ServeError::ZenohOpen { endpoint: endpoint.clone() })
        }
        _ => Ok(()),
    }
}

/// Takes the port of WebSockets, if there are to be any. Whoever connects waits until policies are served.
pub(super) fn bind(settings: &Settings) -> Result<Option<TcpListener>, BindError> {
    let bind = |port| http::bind_for(SocketAddr::new(settings.bind, port), "--policy-port (--no-policy does without)");
    settings.policy.port.map(bind).transpose()
}

async fn wait_for_readings(hub: &SensorHub) {
    let read = async {
        while hub.proprio().is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    // A robot without joint sensors is one too.
    let _ = tokio::time::timeout(FIRST_READINGS, read).await;
}

/// Tells the policy service whether a person drives.
async fn tell_who_drives(server: PolicyServer, mut driver: watch::Receiver<Option<SourceId>>) {
    let mut told = false;
    loop {
        let person = driver.borrow_and_update().is_some_and(|driver| driver.kind.is_human());
        if std::mem::replace(&mut told, person) != person {
            server.set_operator(person);
        }
        if driver.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FieldSettings, PolicySettings};

    fn settings(port: u16, policy_port: u16, zenoh: Option<&str>, open: bool) -> Settings {
        let zenoh = zenoh.map(|endpoint| endpoint.parse().unwrap());
        let policy = PolicySettings { port: Some(policy_port), zenoh, ..PolicySettings::default() };
        Settings { port, open, policy, ..Settings::default() }
    }

    #[test]
    fn two_services_on_one_port_are_an_error_that_names_both_flags() {
        let error = |port, policy_port, zenoh: Option<&str>| {
            check(&settings(port, policy_port, zenoh, false)).unwrap_err().to_string()
        };
        let local = |port: u16| format!("tcp/127.0.0.1:{port}");
        let field_on = |port| {
            let field = FieldSettings { port: Some(port), ..FieldSettings::default() };
            check(&Settings { field, ..settings(8000, 8765, None, false) }).unwrap_err().to_string()
        };
        for (text, flags) in [
            (error(8765, 8765, None), ["--port", "--policy-port"]),
            (error(7447, 8765, Some(&local(7447))), ["--port", "--policy-zenoh"]),
            (error(8000, 7447, Some(&local(7447))), ["--policy-port", "--policy-zenoh"]),
            (field_on(8765), ["--policy-port", "--field-port"]),
            (field_on(8000), ["--port", "--field-port"]),
        ] {
            assert!(flags.iter().all(|flag| text.contains(flag)), "{text}");
        }
        check(&settings(0, 0, Some(&local(7447)), false)).unwrap();
    }

    #[test]
    fn a_busy_port_names_the_flags_that_help() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut settings = settings(0, held.local_addr().unwrap().port(), None, false);
        settings.bind = std::net::Ipv4Addr::LOCALHOST.into();
        let text = bind(&settings).unwrap_err().to_string();
        assert!(text.contains("--policy-port") && text.contains("--no-policy"), "{text}");
    }

    #[test]
    fn zenoh_beyond_this_machine_asks_for_open() {
        let error = check(&settings(8000, 8765, Some("tcp/0.0.0.0:7447"), false)).unwrap_err().to_string();
        assert!(error.contains("--open") && error.contains("no token") && error.contains("127.0.0.1:7447"), "{error}");
        check(&settings(8000, 8765, Some("tcp/0.0.0.0:7447"), true)).unwrap();
    }
}
