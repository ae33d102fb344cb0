//! Hosted teleoperation of `waldo serve` and `waldo hosted`.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::ServeError;
use super::in_health::InHealth;
use crate::config::Settings;
use crate::control::{Arbiter, ControlLoop};
use crate::hosted::{HostedStatus, HostedTeleop, Listeners, Pictures, Robot};
use crate::rtc::Network;
use crate::sensors::SensorHub;
use crate::vr::VrServer;

/// Hosted teleoperation, before and after its start.
pub(super) struct Hosted {
    teleop: HostedTeleop,
    /// Once it has started.
    in_health: Option<InHealth>,
    /// Present while it runs, if anybody listens to what it puts out.
    listeners: Option<Listeners>,
}

impl Hosted {
    /// Hosted teleoperation, if the settings say so; what makes no sense is refused before any motor moves.
    pub(super) fn prepare(settings: &Settings) -> Result<Option<Self>, ServeError> {
        let Some(hosted) = &settings.hosted else { return Ok(None) };
        let teleop = HostedTeleop::new(hosted.clone())?;
        let listeners = Listeners::start(hosted, &settings.data_dir, teleop.outputs())?;
        Ok(Some(Self { teleop, in_health: None, listeners }))
    }

    /// Dials the broker.
    pub(super) fn start(
        &mut self,
        settings: &Settings,
        vr: &VrServer,
        (control, arbiter, hub): (&ControlLoop, Arc<Mutex<Arbiter>>, &SensorHub),
    ) -> Result<(), ServeError> {
        let (reports, local) = (vr.clone(), settings.local);
        let report = Box::new(move |event| {
            // Without clients nobody asks for what there is to tell.
            if local {
                reports.publish(event);
            }
        });
        let robot = Robot::new(control, arbiter, hub.clone(), report);
        let network = Network::new(settings.media_ports.map(crate::config::PortRange::ports), Vec::new());
        let (feeds, feed) = (vr.clone(), vr.clone());
        let pictures = Pictures {
            feeds: Box::new(move || feeds.feeds()),
            feed: Box::new(move |name, source| feed.feed(name, source)),
        };
        let cameras = ["cam1".to_owned(), "cam2".to_owned()].to_vec();
        self.teleop.start(robot, network, vr.metrics(), (pictures, cameras))?;
        let shown = self.teleop.clone();
        self.in_health = Some(InHealth::show(vr, "hosted", move || match &*shown.status().borrow() {
            HostedStatus::Off => json!({ "status": "off" }),
            HostedStatus::Dialing(why) => json!({ "status": "dialing", "reason": why }),
            HostedStatus::Registered(session) => json!({ "status": "registered", "session": session }),
        }));
        Ok(())
    }

    pub(super) fn teleop(&self) -> &HostedTeleop {
        &self.teleop
    }

    /// Begins to end it; the result waits until the broker has been told.
    pub(super) fn stop(self) -> impl Future<Output = ()> {
        drop(self.in_health);
        self.teleop.stop();
        async move {
            self.teleop.stopped().await;
            if let Some(listeners) = self.listeners {
                // Waits for the disk. A panic in there was printed by the panic hook.
                let _ = tokio::task::spawn_blocking(move || listeners.stop()).await;
            }
        }
    }
}
