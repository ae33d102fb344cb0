//! One line on how well poses travel.

use leptos::prelude::*;
use waldo_protocol::vr::Health;

use crate::summary::{CableStatus, Summary, Transport};

#[component]
pub(super) fn HealthLine(summary: RwSignal<Summary>) -> impl IntoView {
    let line = Memo::new(move |_| summary.with(line));
    view! {
        <p id="health" class="note">{move || line.get()}</p>
    }
}

fn line(summary: &Summary) -> String {
    let transport = match summary.transport {
        None => None,
        Some(_) if summary.viewer => None,
        Some(Transport::Channel) => Some("Poses over the channel".to_owned()),
        Some(Transport::Socket) => Some("Poses over the socket".to_owned()),
    };
    let cable = (summary.cable == CableStatus::Open).then(|| "and over USB".to_owned());
    let round_trip = summary.clock.map(|clock| format!("round trip {:.0} ms", clock.round_trip_ms));
    let health = summary.robot.health.as_ref().map(poses);
    [transport, cable, round_trip, health].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn poses(health: &Health) -> String {
    let Health { pose_hz, jitter_ms, delay_ms, lost, .. } = health;
    format!("{pose_hz:.0} poses/s · jitter {jitter_ms:.0} ms · delay {delay_ms:.0} ms · {lost} lost")
}
