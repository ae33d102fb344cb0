//! Robots on Zenoh.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use waldo_protocol::policy::{
    AppMap, Capabilities, ClientMessage, LEGACY_C2S, LEGACY_S2C, MetadataResponse, ObservationHeader, ObservationKind,
    ProprioHeader, RobotId,
};
use waldo_server::policy::{
    ActionData, Observation, PolicyConfig, PolicyError, PolicyRobot, PolicyServer, ZenohConfig,
};
use waldo_server::sensors::SensorHub;
use zenoh::pubsub::Subscriber;
use zenoh::{Session, Wait};

/// Remembers what it was told to do.
#[derive(Clone, Default)]
pub struct Obedient {
    hub: SensorHub,
    /// How long a reset takes.
    pub reset_takes: Duration,
    actions: Arc<Mutex<Vec<Vec<f32>>>>,
    resets: Arc<Mutex<usize>>,
}

impl Obedient {
    /// A robot with these sensors.
    pub fn new(hub: SensorHub) -> Self {
        Self { hub, ..Self::default() }
    }

    /// The actions so far.
    pub fn actions(&self) -> Vec<Vec<f32>> {
        self.actions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The resets so far.
    pub fn resets(&self) -> usize {
        *self.resets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it never moved.
    pub fn is_still(&self) -> bool {
        self.actions().is_empty() && self.resets() == 0
    }

    /// Serves it over Zenoh only.
    ///
    /// # Errors
    /// The service does not start.
    pub fn serve(&self, robot: &str, zenoh: ZenohConfig) -> Result<PolicyServer> {
        let config = PolicyConfig {
            websocket: None,
            zenoh: Some(zenoh),
            robot: RobotId::parse(robot)?,
            // Tests take their time.
            lease: Duration::from_secs(600),
            ..PolicyConfig::default()
        };
        let server = PolicyServer::new(config, self.hub.clone(), self.clone());
        server.start()?;
        Ok(server)
    }
}

impl PolicyRobot for Obedient {
    fn reset(&self) -> Result<(Observation, AppMap), PolicyError> {
        thread::sleep(self.reset_takes);
        *self.resets.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Ok((self.hub.snapshot().into(), AppMap::default()))
    }

    fn apply_action(&self, action: &ActionData) -> Result<(), PolicyError> {
        self.actions.lock().unwrap_or_else(PoisonError::into_inner).push(action.values.clone());
        Ok(())
    }

    fn on_stale(&self) {}
}

/// A server as the original's are: it knows no extensions, shows no token, publishes as Zenoh does by default, and answers
/// in the order of the requests.
pub struct OriginalServer {
    /// Its session with the network.
    pub session: Session,
    actions: Arc<Mutex<Vec<Vec<f32>>>>,
    _subscriber: Subscriber<()>,
}

impl OriginalServer {
    /// One joint, which has the value 0.5.
    ///
    /// # Errors
    /// Zenoh refuses.
    pub fn serve(session: Session) -> Result<Self> {
        let actions = Arc::<Mutex<Vec<Vec<f32>>>>::default();
        let publisher = session.declare_publisher(LEGACY_S2C).wait().map_err(|error| anyhow!(error))?;
        let remembered = Arc::clone(&actions);
        let subscriber = session.declare_subscriber(LEGACY_C2S).callback(move |sample| {
            let (request, mut reply) = (sample.payload().to_bytes(), Vec::new());
            match ClientMessage::decode(&request, Capabilities::NONE) {
                Ok(ClientMessage::Metadata(_)) => MetadataResponse::default().encode(&mut reply),
                Ok(ClientMessage::Reset(_)) => observe(ObservationKind::Reset { info: &AppMap::default() }, &mut reply),
                Ok(ClientMessage::ObsRequest(_)) => observe(ObservationKind::Requested, &mut reply),
                Ok(ClientMessage::ApplyAction(action)) => {
                    let values = action.array.view(&request).expect("as decoded").f32s().collect();
                    remembered.lock().unwrap_or_else(PoisonError::into_inner).push(values);
                    return;
                }
                _ => return,
            }
            publisher.put(reply).wait().expect("the session is open");
        });
        let subscriber = subscriber.wait().map_err(|error| anyhow!(error))?;
        Ok(Self { session, actions, _subscriber: subscriber })
    }

    /// The actions so far.
    pub fn actions(&self) -> Vec<Vec<f32>> {
        self.actions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn observe(kind: ObservationKind<'_>, out: &mut Vec<u8>) {
    let proprios = [ProprioHeader { name: "joint", len: 1 }];
    let extra = AppMap::default();
    let header = ObservationHeader {
        timestamp: 0.0,
        cameras: &[],
        proprios: &proprios,
        extra: &extra,
        align: None,
        episode: None,
    };
    header.encode(kind, None, out);
    out.extend(0.5f32.to_le_bytes());
}
