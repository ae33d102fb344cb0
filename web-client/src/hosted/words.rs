//! What a cockpit in the headset says, and which buttons it has.

use super::acks::Progress;
use super::console::Button;
use super::summary::{Cockpit, Kind, Microphone, NoPicture, Way};
use crate::hud::{HudText, Tone};

/// The words above the picture; the first thing that matters hides the rest.
pub fn words(cockpit: &Cockpit) -> HudText {
    let text = |title: &str, detail: &str, tone| HudText { title: title.to_owned(), detail: detail.to_owned(), tone };
    match &cockpit.way {
        Way::Joining(step, _) => return text("Connecting", step, Tone::Caution),
        Way::Broken(_) => return text("Connection lost", "The robot stands still. Connecting anew…", Tone::Alarm),
        Way::Evicted => return text("You do not drive this robot any more", "Leave VR to decide", Tone::Alarm),
        Way::Failed(reason) => return text("Could not connect", reason, Tone::Alarm),
        Way::Live => {}
    }
    if cockpit.stop_unheard {
        return text("Stop not confirmed", "Trying again on every way there is", Tone::Alarm);
    }
    if cockpit.stopped {
        return text("Stopped", "Re-arm to drive again", Tone::Alarm);
    }
    if cockpit.stalled {
        return text("Video stalled", "Nothing moves until the picture does", Tone::Alarm);
    }
    if cockpit.release_first {
        let what = if cockpit.kind == Kind::Arm { "Release A and X to go on" } else { "Release the sticks to go on" };
        return text("Ready again", what, Tone::Caution);
    }
    match cockpit.no_picture {
        Some(NoPicture::Camera) => return text("No picture", "The robot’s camera stands still", Tone::Caution),
        Some(_) => return text("No picture yet", "", Tone::Caution),
        None => {}
    }
    if let Some(hold) = &cockpit.robot.hold {
        return text("The robot holds still", hold, Tone::Caution);
    }
    match (cockpit.kind, cockpit.robot.engaged.unwrap_or_default()) {
        (Kind::Arm, [false, false]) => text("Hold A or X to move an arm", &cockpit.hud.line, Tone::Idle),
        (Kind::Arm, _) => text("Your hand moves the arm", &cockpit.hud.line, Tone::Driving),
        (Kind::Drive, _) => text(&cockpit.name, &cockpit.hud.line, Tone::Driving),
    }
}

/// The buttons of the console. `waiting`: the one that waits for its second press.
pub fn buttons(cockpit: &Cockpit, waiting: Option<&'static str>) -> Vec<Button> {
    let button = |control: &'static str, label: &str, chosen: bool| Button {
        control,
        label: label.to_owned(),
        chosen,
        progress: cockpit.progress_of(control),
        ..Button::default()
    };
    let mut buttons = vec![Button { danger: true, progress: Progress::Idle, ..button("estop", "STOP", false) }];
    if cockpit.stopped {
        buttons.push(button("rearm", "Re-arm", false));
    }
    match cockpit.kind {
        Kind::Drive => {
            let posture = cockpit.robot.posture.as_deref();
            buttons.push(button("stand", "Stand", posture == Some("StandReady")));
            buttons.push(button("sit", "Sit", posture == Some("StandDown")));
            for (speed, label) in [("normal", "Normal"), ("high", "High"), ("rage", "Rage")] {
                buttons.push(button(speed, label, cockpit.speed == speed));
            }
            buttons.push(button("Hello", "Shake hand", false));
            buttons.push(button("Stretch", "Stretch", false));
            for (action, label) in [("FrontPounce", "Pounce"), ("FrontJump", "Jump")] {
                let label = if waiting == Some(action) { format!("{label}!?") } else { label.to_owned() };
                buttons.push(Button { confirmed: true, ..button(action, &label, false) });
            }
        }
        Kind::Arm => {
            buttons.push(button("cam1", "Cam 1", cockpit.cameras[0]));
            buttons.push(button("cam2", "Cam 2", cockpit.cameras[1]));
        }
    }
    if cockpit.microphone != Microphone::Missing {
        let on = cockpit.microphone == Microphone::On;
        buttons.push(button("microphone", if on { "Audio on" } else { "Audio off" }, on));
    }
    buttons.push(button("exit", "Leave VR", false));
    buttons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first() {
        let broken = Cockpit { way: Way::Broken(1), stopped: true, ..Cockpit::default() };
        assert_eq!(words(&broken).title, "Connection lost");
        let stopped = Cockpit { stopped: true, stalled: true, ..Cockpit::default() };
        assert_eq!(words(&stopped).title, "Stopped");
        assert_eq!(words(&Cockpit { stop_unheard: true, ..stopped }).tone, Tone::Alarm);
        let waits = Cockpit { kind: Kind::Arm, release_first: true, ..Cockpit::default() };
        assert_eq!(words(&waits).detail, "Release A and X to go on");
    }

    #[test]
    fn the_stop_is_always_there_and_re_arming_when_it_is_needed() {
        for kind in [Kind::Drive, Kind::Arm] {
            let cockpit = Cockpit { kind, ..Cockpit::default() };
            let has = |cockpit: &Cockpit, control| buttons(cockpit, None).iter().any(|b| b.control == control);
            assert!(has(&cockpit, "estop") && !has(&cockpit, "rearm"));
            assert!(has(&Cockpit { stopped: true, ..cockpit }, "rearm"));
        }
    }

    #[test]
    fn only_acrobatics_ask_twice() {
        let all = buttons(&Cockpit::default(), Some("FrontJump"));
        let asking: Vec<_> = all.iter().filter(|button| button.confirmed).map(|button| button.control).collect();
        assert_eq!(asking, ["FrontPounce", "FrontJump"]);
        assert!(all.iter().any(|button| button.label == "Jump!?"));
    }
}
