//! The summary as `data-*` attributes of the page's body: for support, and for tests that look from outside.
//!
//! `data-stage`, `data-account`, `data-robots`, `data-way`, `data-robot`, `data-presence`, `data-support`, `data-stopped`,
//! `data-unheard`, `data-stalled`, `data-blocked`, `data-picture`, `data-strip`, `data-commands`, `data-messages`,
//! `data-posture`, `data-twist`, `data-health`, `data-map`, `data-goal`. Read-only: the app never reads them.

use super::summary::Summary;
use crate::report::Attributes;

/// Writes the attributes that changed.
pub(super) fn write(attributes: &mut Attributes, summary: &Summary) {
    attributes.set("data-stage", format!("{:?}", summary.stage));
    attributes.set("data-account", summary.board.account.clone());
    let robots = summary.board.robots.as_ref().map_or_else(String::new, |robots| robots.len().to_string());
    attributes.set("data-robots", robots);
    attributes.set("data-presence", format!("{:?}", summary.presence));
    attributes.set("data-support", format!("{:?}", summary.support));
    let cockpit = summary.cockpit.clone().unwrap_or_default();
    attributes.set("data-way", summary.cockpit.as_ref().map_or_else(String::new, |_| format!("{:?}", cockpit.way)));
    attributes.set("data-robot", cockpit.name.clone());
    attributes.set("data-stopped", cockpit.stopped.to_string());
    attributes.set("data-unheard", cockpit.stop_unheard.to_string());
    attributes.set("data-stalled", cockpit.stalled.to_string());
    attributes.set("data-blocked", cockpit.release_first.to_string());
    attributes.set("data-picture", format!("{}x{}", cockpit.picture.0, cockpit.picture.1));
    attributes.set("data-strip", cockpit.strip.to_string());
    attributes.set("data-commands", cockpit.commands.to_string());
    attributes.set("data-messages", cockpit.messages.to_string());
    attributes.set("data-posture", cockpit.robot.posture.clone().unwrap_or_default());
    attributes.set("data-engaged", format!("{:?}", cockpit.robot.engaged.unwrap_or_default()));
    attributes.set("data-twist", format!("{:?}", cockpit.twist));
    attributes.set("data-health", format!("{:?}", cockpit.hud.quality));
    attributes.set("data-line", cockpit.hud.line.clone());
    attributes.set("data-map", cockpit.map.to_string());
    attributes.set("data-goal", cockpit.goal.map_or_else(String::new, |goal| format!("{goal:?}")));
}
