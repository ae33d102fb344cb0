//! The summary as `data-*` attributes of the page's body: for support, and for tests that look from outside.
//!
//! `data-link`, `data-transport`, `data-cable`, `data-presence`, `data-engaged`, `data-driver`, `data-takeover`, `data-hold`,
//! `data-stopped`, `data-lost`, `data-state`, `data-question`, `data-countdown`, `data-video`, `data-support`, `data-frames-sent`,
//! `data-round-trip` and `data-cameras` (`name:widthxheight`, separated by blanks; only cameras with a fresh picture). Read-only:
//! the app never reads them.

use std::collections::BTreeMap;

use crate::browser::document;
use crate::summary::Summary;

/// Attributes of the body, of which only those are written that changed.
#[derive(Default)]
pub(crate) struct Attributes {
    written: BTreeMap<&'static str, String>,
}

impl Attributes {
    pub(crate) fn set(&mut self, name: &'static str, value: String) {
        if self.written.get(name) == Some(&value) {
            return;
        }
        if let Some(body) = document().body() {
            let _ = body.set_attribute(name, &value);
        }
        self.written.insert(name, value);
    }

    /// Writes what the page of the robot tells.
    pub(crate) fn write(&mut self, summary: &Summary) {
        let robot = &summary.robot;
        let cameras = summary.cameras.iter().filter(|camera| camera.live);
        let cameras: Vec<_> =
            cameras.map(|camera| format!("{}:{}x{}", camera.name, camera.size.0, camera.size.1)).collect();
        let engaged = match robot.engaged {
            None => "unknown",
            Some(true) => "true",
            Some(false) => "false",
        };
        self.set("data-link", format!("{:?}", summary.link));
        self.set("data-presence", format!("{:?}", summary.presence));
        self.set("data-engaged", engaged.to_owned());
        self.set("data-driver", format!("{:?}", robot.driver));
        self.set("data-hold", robot.hold.as_ref().map_or_else(String::new, |hold| format!("{:?}", hold.reason)));
        self.set("data-transport", optional(summary.transport));
        self.set("data-cable", format!("{:?}", summary.cable));
        let takeover = robot.takeover.map(|takeover| if takeover.mine { "mine" } else { "other" });
        self.set("data-takeover", takeover.unwrap_or_default().to_owned());
        self.set("data-stopped", summary.stopped.to_string());
        self.set("data-lost", robot.link_was_lost.to_string());
        self.set("data-state", format!("{:?}", summary.recording.state));
        self.set("data-question", optional(summary.recording.confirmation));
        self.set("data-countdown", optional(summary.recording.countdown));
        self.set("data-round-trip", optional(summary.clock.map(|clock| clock.round_trip_ms)));
        self.set("data-video", format!("{:?}", summary.video));
        self.set("data-support", format!("{:?}", summary.support));
        self.set("data-frames-sent", summary.frames_sent.to_string());
        self.set("data-cameras", cameras.join(" "));
    }
}

fn optional(value: Option<impl std::fmt::Debug>) -> String {
    value.map_or_else(String::new, |value| format!("{value:?}"))
}
