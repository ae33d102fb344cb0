//! The summary as `data-*` attributes of the page's body: for support, and for tests that look from outside.
//!
//! `data-link`, `data-part`, `data-user`, `data-arms`, `data-others`, `data-away`, `data-people`, `data-words`, `data-detail`,
//! `data-followed`, `data-seat`, `data-presence`, `data-support`, `data-scenes`, `data-inputs`, `data-meshes`,
//! `data-mesh-reads`, `data-fault`. Read-only: the app never reads them.

use super::summary::Summary;
use crate::report::Attributes;

/// Writes the attributes that changed.
pub(super) fn write(attributes: &mut Attributes, summary: &Summary) {
    attributes.set("data-link", format!("{:?}", summary.link));
    attributes.set("data-part", summary.part.map_or_else(String::new, |part| format!("{part:?}")));
    attributes.set("data-user", summary.user.clone());
    attributes.set("data-arms", summary.arms.map_or_else(String::new, |arms| arms.to_string()));
    attributes.set("data-others", summary.others.to_string());
    attributes.set("data-away", summary.away.join(" "));
    attributes.set("data-people", summary.people.to_string());
    attributes.set("data-words", summary.words.title.clone());
    attributes.set("data-detail", summary.words.detail.clone());
    attributes.set("data-followed", summary.followed.clone().unwrap_or_default());
    attributes.set("data-seat", summary.seat.clone().unwrap_or_default());
    attributes.set("data-presence", format!("{:?}", summary.presence));
    attributes.set("data-support", format!("{:?}", summary.support));
    attributes.set("data-scenes", summary.scenes.to_string());
    attributes.set("data-inputs", summary.inputs.to_string());
    attributes.set("data-meshes", summary.meshes.to_string());
    attributes.set("data-mesh-reads", summary.mesh_reads.to_string());
    attributes.set("data-fault", summary.fault.clone().unwrap_or_default());
}
