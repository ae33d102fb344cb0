//! The summary as `data-*` attributes of the page's body: for support, and for tests that look from outside.
//!
//! `data-link`, `data-presence`, `data-engaged`, `data-driver`, `data-hold`, `data-state`, `data-video`, `data-support`, `data-frames-sent`
//! and `data-cameras` (`name:widthxheight`, separated by blanks; only cameras with a fresh picture). Read-only: the app never reads them.

use std::collections::BTreeMap;

use crate::browser::document;
use crate::summary::Summary;

/// Writes the attributes that changed.
#[derive(Default)]
pub(crate) struct Report {
    written: BTreeMap<&'static str, String>,
}

impl Report {
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
        self.set("data-state", format!("{:?}", robot.state));
        self.set("data-video", format!("{:?}", summary.video));
        self.set("data-support", format!("{:?}", summary.support));
        self.set("data-frames-sent", summary.frames_sent.to_string());
        self.set("data-cameras", cameras.join(" "));
    }

    fn set(&mut self, name: &'static str, value: String) {
        if self.written.get(name) == Some(&value) {
            return;
        }
        if let Some(body) = document().body() {
            let _ = body.set_attribute(name, &value);
        }
        self.written.insert(name, value);
    }
}
