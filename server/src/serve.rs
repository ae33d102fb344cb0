//! `waldo serve`: a robot, its control loop and its services, put together.

mod driven;
mod error;
mod field;
mod hosted;
mod in_health;
mod policy;

use std::io;
use std::sync::{Arc, Mutex};

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use waldo_program::stopped;

pub use self::error::ServeError;
use self::field::Field;
use self::hosted::Hosted;
use self::policy::Policies;
pub use self::policy::PolicyPlaces;
use crate::cli;
use crate::config::{Settings, Stereo};
use crate::control::{Arbiter, ControlLoop};
use crate::field::{FieldDoor, FieldServer};
use crate::hosted::HostedTeleop;
use crate::policy::PolicyServer;
use crate::priority::{Urgent, urgent_runtime};
use crate::robot::{Robot, RobotError};
use crate::sensors::{Camera, SensorHub, V4l2Camera};
use crate::video::VideoSource;
use crate::vr::VrServer;

/// A running robot with its services.
pub struct Waldo {
    server: VrServer,
    policies: Option<Policies>,
    field: Option<Field>,
    hosted: Option<Hosted>,
    control: ControlLoop,
    hub: SensorHub,
    following: AbortOnDropHandle<()>,
    _cameras: Vec<V4l2Camera>,
}

impl Waldo {
    /// Starts the services, then the robot, so that a busy port moves no motor.
    ///
    /// # Errors
    /// [`ServeError`] says what to do; nothing is left running.
    pub async fn start(settings: Settings, robot: Box<dyn Robot>) -> Result<Self, ServeError> {
        policy::check(&settings)?;
        let (mode, cameras) = (settings.mode, settings.cameras.clone());
        for address in &cameras.v4l2 {
            V4l2Camera::check(address)?;
        }
        cameras.encoder.check()?;
        let (server, hub) = (VrServer::new(settings.clone()), SensorHub::default());
        server.set_sensors(Some(hub.clone()));
        server.set_mode(mode);
        server.set_video_expected(true);
        // Before anybody can connect: arms that have not started are held.
        let arbiter = server.attach_control();
        let door = field::open_a_door(&settings, &server);
        let hosted = Hosted::prepare(&settings)?;
        if settings.local {
            server.start().await?;
        }
        match Self::start_rest(&server, &settings, (arbiter, hub), robot, (door, hosted)).await {
            Ok(waldo) => Ok(waldo),
            Err(error) => {
                server.stop().await;
                Err(error)
            }
        }
    }

    /// Everything that needs the server.
    async fn start_rest(
        server: &VrServer,
        settings: &Settings,
        (arbiter, hub): (Arc<Mutex<Arbiter>>, SensorHub),
        robot: Box<dyn Robot>,
        (door, mut hosted): (Option<FieldDoor>, Option<Hosted>),
    ) -> Result<Self, ServeError> {
        // Before any motor moves.
        let port = policy::bind(settings)?;
        let (field_port, field_tokens) = (field::bind(settings)?, field::tokens(settings)?);
        let control = Self::start_robot(server, settings.local, &hub, Arc::clone(&arbiter), robot).await?;
        let own = settings.cameras.v4l2.iter().map(|address| V4l2Camera::start(address.clone(), &hub));
        let own = own.collect::<Result<_, _>>()?;
        let policies = Policies::start(settings, server, (&control, Arc::clone(&arbiter), &hub), port).await?;
        let start =
            |door| Field::start(settings, server, (&control, Arc::clone(&arbiter)), (door, field_port, field_tokens));
        let field = door.map(start).transpose()?;
        let (changed, stereo) = (hub.cameras_changed(), settings.cameras.stereo);
        server.set_video_sources(Some(sources(hub.cameras(), stereo)));
        let following =
            AbortOnDropHandle::new(tokio::spawn(offer_cameras(server.clone(), hub.clone(), changed, stereo)));
        if let Some(hosted) = &mut hosted {
            hosted.start(settings, server, (&control, arbiter, &hub))?;
        }
        Ok(Self { server: server.clone(), policies, field, hosted, control, hub, following, _cameras: own })
    }

    async fn start_robot(
        server: &VrServer,
        local: bool,
        hub: &SensorHub,
        arbiter: Arc<Mutex<Arbiter>>,
        robot: Box<dyn Robot>,
    ) -> Result<ControlLoop, RobotError> {
        let reports = server.clone();
        let on_event = Box::new(move |event| {
            // Without clients nobody asks for what there is to tell.
            if local {
                reports.publish(event);
            }
        });
        let sensors = hub.clone();
        // Arms may take their time to find their posture; the page shows meanwhile that they are held.
        tokio::task::spawn_blocking(move || ControlLoop::start(robot, &sensors, arbiter, on_event))
            .await
            .map_err(|e| RobotError(e.to_string()))?
    }

    /// The VR service.
    pub fn server(&self) -> &VrServer {
        &self.server
    }

    /// The policy service, unless the settings leave it out.
    pub fn policies(&self) -> Option<&PolicyServer> {
        self.policies.as_ref().map(Policies::server)
    }

    /// The field service, unless the settings leave it out.
    pub fn field(&self) -> Option<&FieldServer> {
        self.field.as_ref().map(Field::server)
    }

    /// Hosted teleoperation, if the settings have it.
    pub fn hosted(&self) -> Option<&HostedTeleop> {
        self.hosted.as_ref().map(Hosted::teleop)
    }

    /// The control loop.
    pub fn control(&self) -> &ControlLoop {
        &self.control
    }

    /// The robot's sensors.
    pub fn hub(&self) -> &SensorHub {
        &self.hub
    }

    /// Holds the robot, closes every socket and frees the port.
    pub async fn stop(self) {
        drop(self.following);
        // At once, so that nobody far away drives a robot that stops; the broker is told once the robot is held.
        let hosted = self.hosted.map(Hosted::stop);
        // So that whoever waits for the robot is told; the control loop ends what they wait for.
        let policies = self.policies.map(Policies::stop);
        let field = self.field.map(Field::stop);
        drop(self.control);
        if let Some(stopped) = policies {
            stopped.await;
        }
        if let Some(stopped) = field {
            stopped.await;
        }
        if let Some(stopped) = hosted {
            stopped.await;
        }
        self.server.stop().await;
    }
}

/// Offers the cameras of the hub to the clients whenever one was added.
async fn offer_cameras(server: VrServer, hub: SensorHub, mut changed: watch::Receiver<()>, stereo: Stereo) {
    while changed.changed().await.is_ok() {
        server.set_video_sources(Some(sources(hub.cameras(), stereo)));
    }
}

/// The sources of these cameras. A packed pair takes the place of its left camera.
fn sources(mut cameras: Vec<Camera>, stereo: Stereo) -> Vec<(String, VideoSource)> {
    let mut sources = Vec::new();
    while !cameras.is_empty() {
        let camera = cameras.remove(0);
        let pair = |own: &str, other: &str| {
            let base = camera.name().strip_suffix(own).filter(|_| stereo == Stereo::Packed)?;
            let other = format!("{base}{other}");
            cameras.iter().position(|c| *c.name() == other).map(|at| (format!("{base}_sbs"), at))
        };
        let (left, right) = (pair("_left", "_right"), pair("_right", "_left"));
        sources.push(match (left, right) {
            (Some((name, at)), _) => (name, VideoSource::SideBySide(camera, cameras.remove(at))),
            (None, Some((name, at))) => (name, VideoSource::SideBySide(cameras.remove(at), camera)),
            (None, None) => (camera.name().to_owned(), VideoSource::Camera(camera)),
        });
    }
    sources
}

/// The runtime for [`serve`]: one thread that does nothing but what is small and bounded, with real-time priority where
/// the system allows it, so that poses reach the robot however busy the computer is.
///
/// # Errors
/// If the system has no thread or no file for it.
pub fn runtime() -> io::Result<Runtime> {
    urgent_runtime("tokio-rt-worker", Urgent::Poses)
}

/// Runs until Ctrl-C or a termination signal.
///
/// # Errors
/// As [`Waldo::start`].
pub async fn serve(settings: Settings, robot: Box<dyn Robot>) -> Result<(), ServeError> {
    // From the first moment on, so that a signal never finds arms in motion and nobody who listens.
    let stopped = stopped()?;
    tokio::pin!(stopped);
    let waldo = tokio::select! {
        waldo = Waldo::start(settings, robot) => waldo?,
        () = &mut stopped => return Ok(()),
    };
    let server = waldo.server();
    if let (Some(addr), Some(access), Some(identity)) = (server.addr(), server.access(), server.identity()) {
        let policies = waldo.policies.as_ref().map(Policies::places).unwrap_or_default();
        let field = waldo.field.as_ref().and_then(Field::place);
        cli::welcome(addr, &access, &identity, &policies, field)?;
    }
    stopped.await;
    tracing::info!("stopping");
    waldo.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(names: &[&str], stereo: Stereo) -> Vec<String> {
        let hub = SensorHub::default();
        let _writers: Vec<_> = names.iter().map(|name| hub.add_camera(*name)).collect();
        let name = |(name, source)| match source {
            VideoSource::SideBySide(left, right) => format!("{name} of {} and {}", left.name(), right.name()),
            _ => name,
        };
        sources(hub.cameras(), stereo).into_iter().map(name).collect()
    }

    #[test]
    fn a_pair_keeps_its_two_names_unless_it_is_packed() {
        let names = ["overhead_left", "overhead_right", "left_arm", "right_arm"];
        assert_eq!(offered(&names, Stereo::Pair), names);
        let packed = offered(&names, Stereo::Packed);
        assert_eq!(packed, ["overhead_sbs of overhead_left and overhead_right", "left_arm", "right_arm"]);
    }

    #[test]
    fn pairs_are_found_in_any_order_and_single_cameras_stay() {
        let names = ["a_right", "b_left", "x", "a_left", "_left", "c_right"];
        let expected = ["a_sbs of a_left and a_right", "b_left", "x", "_left", "c_right"];
        assert_eq!(offered(&names, Stereo::Packed), expected);
    }
}
