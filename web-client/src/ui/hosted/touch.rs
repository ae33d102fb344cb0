//! The keys, to see which are held and to hold them with a finger.

use leptos::ev::PointerEvent;
use leptos::prelude::*;

use super::HostedHandle;
use super::cockpit::{flag, part, text};
use crate::hosted::summary::Summary;

/// Code of the key, and what is on it.
type Cap = (&'static str, &'static str);

const CAPS: [[Cap; 3]; 2] =
    [[("KeyQ", "Q"), ("KeyW", "W"), ("KeyE", "E")], [("KeyA", "A"), ("KeyS", "S"), ("KeyD", "D")]];
const WIDE: [Cap; 4] = [("ShiftLeft", "Shift"), ("Space", "Space"), ("KeyR", "R"), ("KeyF", "F")];

#[component]
pub(super) fn Touch(hosted: HostedHandle, summary: RwSignal<Summary>, arm: bool) -> impl IntoView {
    let pose_mode = part(summary, |cockpit| cockpit.pose_mode);
    let held = part(summary, |cockpit| cockpit.held.clone());
    let may_drive = part(summary, |cockpit| cockpit.may_drive);
    let shifted = move || held.get().contains(&"ShiftLeft");
    let title = move || match (arm, shifted(), pose_mode.get()) {
        (true, false, _) => "Translate",
        (true, true, _) => "Rotate (Shift)",
        (false, _, true) => "Tilt",
        (false, _, false) => "Drive",
    };
    let cap = move |(code, label): Cap| {
        let holds = move |down: bool| -> Box<dyn FnMut(PointerEvent)> {
            Box::new(move |event| {
                event.prevent_default();
                hosted.with_value(|hosted| hosted.touch(code, down));
            })
        };
        view! {
            <button
                class="cap"
                tabindex="-1"
                data-code=code
                hidden=flag(move || matches!(code, "KeyR" | "KeyF") && !pose_mode.get())
                class:held=flag(move || held.get().contains(&code))
                class:wide={label.len() > 1}
                on:pointerdown=holds(true)
                on:pointerup=holds(false)
                on:pointercancel=holds(false)
                on:pointerleave=holds(false)
            >
                <b>{label}</b>
                <i>{text(move || hint(code, arm, shifted(), pose_mode.get()).to_owned())}</i>
            </button>
        }
        .into_any()
    };
    let row = |caps: &[Cap]| caps.iter().copied().map(cap).collect::<Vec<_>>();
    view! {
        <div class="touch" class:off=flag(move || !may_drive.get())>
            <span class="title">{text(move || title().to_owned())}</span>
            <div class="caps">{row(&CAPS[0])}</div>
            <div class="caps">{row(&CAPS[1])}</div>
            <div class="caps">{row(&WIDE)}</div>
        </div>
    }
}

fn hint(code: &str, arm: bool, shifted: bool, pose_mode: bool) -> &'static str {
    let texts = match (arm, shifted, pose_mode) {
        (false, _, false) => {
            ["strafe left", "forward", "strafe right", "turn left", "back", "turn right", "fast", "slow"]
        }
        (false, _, true) => ["roll", "pitch", "roll", "yaw", "pitch", "yaw", "more", "less"],
        (true, false, _) => ["up", "forward", "down", "left", "back", "right", "rotate", "gripper"],
        (true, true, _) => ["yaw", "pitch", "yaw", "roll", "pitch", "roll", "rotate", "gripper"],
    };
    let codes = ["KeyQ", "KeyW", "KeyE", "KeyA", "KeyS", "KeyD", "ShiftLeft", "Space"];
    match code {
        "KeyR" => "up",
        "KeyF" => "down",
        _ => codes.iter().position(|known| *known == code).map_or("", |index| texts[index]),
    }
}
