//! The keys, to see which are held and to hold them with a finger.

use leptos::ev::PointerEvent;
use leptos::prelude::*;

use super::HostedHandle;
use super::cockpit::part;
use crate::hosted::summary::{Kind, Summary};

/// Code of the key, and what is on it.
type Cap = (&'static str, &'static str);

const CAPS: [[Cap; 3]; 2] =
    [[("KeyQ", "Q"), ("KeyW", "W"), ("KeyE", "E")], [("KeyA", "A"), ("KeyS", "S"), ("KeyD", "D")]];
const WIDE: [Cap; 2] = [("ShiftLeft", "Shift"), ("Space", "Space")];

#[component]
pub(super) fn Touch(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let kind = part(summary, |cockpit| cockpit.kind);
    let pose_mode = part(summary, |cockpit| cockpit.pose_mode);
    let held = part(summary, |cockpit| cockpit.held.clone());
    let may_drive = part(summary, |cockpit| cockpit.may_drive);
    let shifted = Memo::new(move |_| held.with(|held| held.contains(&"ShiftLeft")));
    let title = move || match (kind.get(), shifted.get(), pose_mode.get()) {
        (Kind::Arm, false, _) => "Translate",
        (Kind::Arm, true, _) => "Rotate (Shift)",
        (Kind::Drive, _, true) => "Tilt",
        (Kind::Drive, _, false) => "Drive",
    };
    let hint = move |code: &'static str| hint(code, kind.get(), shifted.get(), pose_mode.get());
    let cap = move |(code, label): Cap| {
        let hold = move |down: bool| hosted.with_value(|hosted| hosted.touch(code, down));
        view! {
            <button
                class="cap"
                tabindex="-1"
                data-code=code
                class:held=move || held.with(|held| held.contains(&code))
                class:wide={label.len() > 1}
                on:pointerdown=move |event: PointerEvent| {
                    event.prevent_default();
                    hold(true);
                }
                on:pointerup=move |_| hold(false)
                on:pointercancel=move |_| hold(false)
                on:pointerleave=move |_| hold(false)
                on:contextmenu=move |event: web_sys::MouseEvent| event.prevent_default()
            >
                <b>{label}</b>
                <i>{move || hint(code)}</i>
            </button>
        }
    };
    view! {
        <div class="touch" class:off=move || !may_drive.get()>
            <span class="title">{title}</span>
            {CAPS.into_iter().map(|row| view! { <div class="caps">{row.into_iter().map(cap).collect_view()}</div> }).collect_view()}
            <div class="caps">
                {WIDE.into_iter().map(cap).collect_view()}
                <Show when=move || pose_mode.get()>{[("KeyR", "R"), ("KeyF", "F")].into_iter().map(cap).collect_view()}</Show>
            </div>
        </div>
    }
}

fn hint(code: &str, kind: Kind, shifted: bool, pose_mode: bool) -> &'static str {
    let texts = match (kind, shifted, pose_mode) {
        (Kind::Drive, _, false) => {
            ["strafe left", "forward", "strafe right", "turn left", "back", "turn right", "fast", "slow"]
        }
        (Kind::Drive, _, true) => ["roll", "pitch", "roll", "yaw", "pitch", "yaw", "more", "less"],
        (Kind::Arm, false, _) => ["up", "forward", "down", "left", "back", "right", "rotate", "gripper"],
        (Kind::Arm, true, _) => ["yaw", "pitch", "yaw", "roll", "pitch", "roll", "rotate", "gripper"],
    };
    let codes = ["KeyQ", "KeyW", "KeyE", "KeyA", "KeyS", "KeyD", "ShiftLeft", "Space"];
    match code {
        "KeyR" => "up",
        "KeyF" => "down",
        _ => codes.iter().position(|known| *known == code).map_or("", |index| texts[index]),
    }
}
