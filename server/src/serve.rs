//! `waldo serve`: a robot, its control loop and its services, put together.

use std::sync::{Arc, Mutex};

use tokio::signal::unix::{SignalKind, signal};

use crate::cli;
use crate::config::Settings;
use crate::control::{Arbiter, ControlLoop};
use crate::robot::{Robot, RobotError};
use crate::sensors::SensorHub;
use crate::video::VideoSource;
use crate::vr::{StartError, VrServer};

/// Why Waldo does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The services do not start.
    #[error(transparent)]
    Server(#[from] StartError),
    /// The robot does not start.
    #[error("the robot does not start: {0}")]
    Robot(#[from] RobotError),
    /// The addresses cannot be printed, or Ctrl-C cannot be heard.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A running robot with its services.
pub struct Waldo {
    server: VrServer,
    control: ControlLoop,
    hub: SensorHub,
}

impl Waldo {
    /// Starts the services, then the robot, so that a busy port moves no motor.
    ///
    /// # Errors
    /// [`ServeError`] says what to do; nothing is left running.
    pub async fn start(settings: Settings, robot: Box<dyn Robot>) -> Result<Self, ServeError> {
        let mode = settings.mode;
        let server = VrServer::new(settings);
        server.set_mode(mode);
        server.set_video_expected(true);
        // Before anybody can connect: arms that have not started are held.
        let arbiter = server.attach_control();
        server.start().await?;
        match Self::start_robot(&server, arbiter, robot).await {
            Ok((control, hub)) => Ok(Self { server, control, hub }),
            Err(error) => {
                server.stop().await;
                Err(error.into())
            }
        }
    }

    async fn start_robot(
        server: &VrServer,
        arbiter: Arc<Mutex<Arbiter>>,
        robot: Box<dyn Robot>,
    ) -> Result<(ControlLoop, SensorHub), RobotError> {
        let hub = SensorHub::default();
        let reports = server.clone();
        let on_event = Box::new(move |event| reports.publish(event));
        let sensors = hub.clone();
        // Arms may take their time to find their posture; the page shows meanwhile that they are held.
        let control = tokio::task::spawn_blocking(move || ControlLoop::start(robot, &sensors, arbiter, on_event))
            .await
            .map_err(|e| RobotError(e.to_string()))??;
        let cameras = hub.cameras();
        let sources = cameras.into_iter().map(|c| (c.name().to_owned(), VideoSource::Camera(c))).collect();
        server.set_video_sources(Some(sources));
        Ok((control, hub))
    }

    /// The VR service.
    pub fn server(&self) -> &VrServer {
        &self.server
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
        drop(self.control);
        self.server.stop().await;
    }
}

/// Runs until Ctrl-C or a termination signal.
///
/// # Errors
/// As [`Waldo::start`].
pub async fn serve(settings: Settings, robot: Box<dyn Robot>) -> Result<(), ServeError> {
    // From the first moment on, so that a signal never finds arms in motion and nobody who listens.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stopped = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::pin!(stopped);
    let waldo = tokio::select! {
        waldo = Waldo::start(settings, robot) => waldo?,
        () = &mut stopped => return Ok(()),
    };
    let server = waldo.server();
    if let (Some(addr), Some(access), Some(identity)) = (server.addr(), server.access(), server.identity()) {
        cli::welcome(addr, &access, &identity)?;
    }
    stopped.await;
    tracing::info!("stopping");
    waldo.stop().await;
    Ok(())
}
