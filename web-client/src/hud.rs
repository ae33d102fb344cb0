//! The words shown in the headset: one line that says whether the arms follow, and one that says why not.

use waldo_protocol::vr::{HoldReason, Severity, VrState};

use crate::answer::Answer;
use crate::link::Status;
use crate::robot::{Driver, RobotView};
use crate::summary::VideoStatus;

/// How serious a line is; decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Waiting for the operator.
    Idle,
    /// The arms follow.
    Driving,
    /// Motion is limited, or something is missing.
    Caution,
    /// The arms cannot follow.
    Alarm,
}

/// The two lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HudText {
    /// The state in a few words.
    pub title: String,
    /// A reason or a hint; may be empty.
    pub detail: String,
    /// The colour of the title.
    pub tone: Tone,
}

/// The server state or recording state in words.
pub fn state_name(state: VrState) -> &'static str {
    match state {
        VrState::Teleop => "Teleop",
        VrState::DataCollection => "Data collection",
        VrState::Recording => "Recording",
        VrState::Saving => "Saving…",
        VrState::Error => "Robot error",
    }
}

/// What the headset shows. `controllers` tells which controllers have a pose, left and right.
pub fn compose(link: Status, answer: Answer, robot: &RobotView, video: VideoStatus, controllers: [bool; 2]) -> HudText {
    let text = |title: &str, detail: &str, tone| HudText { title: title.to_owned(), detail: detail.to_owned(), tone };
    match link {
        Status::Connected => {}
        Status::NotConnected | Status::Connecting => return text("Connecting to the robot…", "", Tone::Caution),
        Status::Reconnecting | Status::Lost | Status::Failed => {
            return text("Connection lost", "Your hands move nothing. Trying again…", Tone::Alarm);
        }
    }
    if robot.state == VrState::Error {
        return text(state_name(robot.state), hold_text(robot), Tone::Alarm);
    }
    let held_for = robot.hold.as_ref().map(|hold| hold.reason);
    if robot.driver == Driver::Other || held_for == Some(HoldReason::NotDriver) {
        return text("Somebody else is driving", &state_line(robot), Tone::Idle);
    }
    let engaged = robot.engaged == Some(true);
    if engaged && answer != Answer::Heard {
        return text("No answer from the robot", "Your hands may move nothing", Tone::Alarm);
    }
    match controllers {
        [true, true] => {}
        [false, true] => {
            return text("Left controller missing", "Wake it up by moving it", Tone::Caution);
        }
        [true, false] => {
            return text("Right controller missing", "Wake it up by moving it", Tone::Caution);
        }
        [false, false] => {
            return text("Controllers missing", "Take both into your hands", Tone::Caution);
        }
    }
    match &robot.hold {
        Some(hold) if hold.reason == HoldReason::Resetting => text("Moving to rest", &hold.text, Tone::Caution),
        Some(hold) if hold.severity == Severity::Hold => text("Arms hold still", &hold.text, Tone::Alarm),
        Some(hold) if engaged && hold.severity == Severity::Clamp => text("Driving", &hold.text, Tone::Caution),
        _ if engaged && video == VideoStatus::Connecting => {
            text("Driving", "The pictures stand still. Connecting cameras…", Tone::Caution)
        }
        _ if engaged => text("Driving", &state_line(robot), Tone::Driving),
        Some(hold) => text("Not driving", &hold.text, Tone::Idle),
        None if video == VideoStatus::Connecting => {
            text("Squeeze both grips to drive", "Connecting cameras…", Tone::Idle)
        }
        None => text("Squeeze both grips to drive", &state_line(robot), Tone::Idle),
    }
}

fn hold_text(robot: &RobotView) -> &str {
    robot.hold.as_ref().map_or("", |hold| &hold.text)
}

fn state_line(robot: &RobotView) -> String {
    let state = state_name(robot.state);
    match robot.episode {
        Some(episode) => format!("{state} · Episode {episode}"),
        None => state.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use waldo_protocol::vr::{Hands, Hold};

    use super::*;

    fn robot(engaged: bool, hold: Option<Severity>) -> RobotView {
        let hold = hold.map(|severity| Hold {
            reason: HoldReason::Workspace,
            hand: Hands::Both,
            severity,
            text: Cow::Borrowed("out of reach"),
            since_ms: 0.0,
        });
        RobotView { engaged: Some(engaged), hold, ..RobotView::default() }
    }

    fn shown(robot: &RobotView) -> HudText {
        compose(Status::Connected, Answer::Heard, robot, VideoStatus::Live, [true, true])
    }

    #[test]
    fn a_lost_link_hides_everything_else() {
        let text = compose(Status::Reconnecting, Answer::Heard, &robot(true, None), VideoStatus::Off, [false, false]);
        assert_eq!((text.title.as_str(), text.tone), ("Connection lost", Tone::Alarm));
    }

    #[test]
    fn engaged_and_disengaged_read_differently() {
        assert_eq!(shown(&robot(true, None)).tone, Tone::Driving);
        assert_eq!(shown(&robot(false, None)).title, "Squeeze both grips to drive");
    }

    #[test]
    fn arms_that_somebody_else_drives_are_not_ours() {
        let other = RobotView { driver: Driver::Other, ..robot(true, None) };
        assert_eq!((shown(&other).title.as_str(), shown(&other).tone), ("Somebody else is driving", Tone::Idle));
    }

    #[test]
    fn arms_on_their_way_to_rest_are_not_said_to_hold_still() {
        let mut resetting = robot(true, Some(Severity::Hold));
        if let Some(hold) = &mut resetting.hold {
            hold.reason = HoldReason::Resetting;
        }
        assert_eq!((shown(&resetting).title.as_str(), shown(&resetting).tone), ("Moving to rest", Tone::Caution));
    }

    #[test]
    fn a_driver_is_told_that_the_robot_is_silent() {
        let text = compose(Status::Connected, Answer::Silent, &robot(true, None), VideoStatus::Live, [true, true]);
        assert_eq!((text.title.as_str(), text.tone), ("No answer from the robot", Tone::Alarm));
    }

    #[test]
    fn the_reason_of_a_hold_or_clamp_is_told() {
        let hold = shown(&robot(true, Some(Severity::Hold)));
        assert_eq!((hold.detail.as_str(), hold.tone), ("out of reach", Tone::Alarm));
        let clamp = shown(&robot(true, Some(Severity::Clamp)));
        assert_eq!((clamp.detail.as_str(), clamp.tone), ("out of reach", Tone::Caution));
        assert_eq!(shown(&robot(false, Some(Severity::Info))).detail, "out of reach");
    }

    #[test]
    fn driving_on_pictures_that_stand_still_is_told() {
        let text = compose(Status::Connected, Answer::Heard, &robot(true, None), VideoStatus::Connecting, [true, true]);
        assert_eq!(text.tone, Tone::Caution);
        let blind =
            compose(Status::Connected, Answer::Heard, &robot(true, None), VideoStatus::Unavailable, [true, true]);
        assert_eq!(blind.tone, Tone::Driving, "a robot without cameras is no cause for alarm");
    }

    #[test]
    fn a_missing_controller_is_named() {
        let text = compose(Status::Connected, Answer::Heard, &robot(false, None), VideoStatus::Live, [true, false]);
        assert_eq!(text.title, "Right controller missing");
    }
}
