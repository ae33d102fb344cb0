//! The words shown in the headset: one line that says whether the arms follow, and one that says why not.

use waldo_protocol::vr::{Capability, Confirmation, Hold, HoldReason, LeaseReason, Severity, VrState};

use crate::answer::Answer;
use crate::link::Status;
use crate::robot::{Answered, Driver, RobotView};
use crate::summary::VideoStatus;

/// How serious a line is; decides its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Waiting for the operator.
    #[default]
    Idle,
    /// The arms follow.
    Driving,
    /// Motion is limited, or something is missing.
    Caution,
    /// The arms cannot follow.
    Alarm,
}

/// The two lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// Everything the words depend on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The link.
    pub link: Status,
    /// Whether the robot answers while it is driven.
    pub answer: Answer,
    /// What the robot told.
    pub robot: &'a RobotView,
    /// Camera signalling.
    pub video: VideoStatus,
    /// Which controllers have a pose, left and right.
    pub controllers: [bool; 2],
    /// What this headset sends as its state.
    pub state: VrState,
    /// The question that is open.
    pub confirmation: Option<Confirmation>,
    /// What is left until a recording starts, milliseconds.
    pub countdown: Option<f64>,
    /// The operator has stopped everything.
    pub stopped: bool,
    /// Time on the page's clock, milliseconds.
    pub now: f64,
}

fn text(title: &str, detail: &str, tone: Tone) -> HudText {
    HudText { title: title.to_owned(), detail: detail.to_owned(), tone }
}

impl Situation<'_> {
    /// What the headset shows. The first thing that matters hides the rest.
    pub fn text(&self) -> HudText {
        self.trouble()
            .or_else(|| self.question())
            .or_else(|| self.other_driver())
            .or_else(|| self.missing())
            .unwrap_or_else(|| self.arms())
    }

    fn held_for(&self, reason: HoldReason) -> bool {
        self.robot.hold.as_ref().is_some_and(|hold| hold.reason == reason)
    }

    fn engaged(&self) -> bool {
        self.robot.engaged == Some(true)
    }

    /// What makes everything else pointless.
    fn trouble(&self) -> Option<HudText> {
        match self.link {
            Status::Connected => {}
            Status::NotConnected | Status::Connecting => {
                return Some(text("Connecting to the robot…", "", Tone::Caution));
            }
            Status::Reconnecting | Status::Lost | Status::Failed => {
                return Some(text("Connection lost", "Your hands move nothing. Trying again…", Tone::Alarm));
            }
        }
        if self.stopped || self.held_for(HoldReason::Stopped) {
            return Some(text("Stopped", "Nothing moves until the stop is cleared on the page", Tone::Alarm));
        }
        let failed = self.state == VrState::Error;
        failed
            .then(|| text(state_name(self.state), self.robot.hold.as_ref().map_or("", |hold| &hold.text), Tone::Alarm))
    }

    /// What waits for the operator's decision.
    fn question(&self) -> Option<HudText> {
        if let Some(takeover) = self.robot.takeover
            && !takeover.mine
            && self.robot.driver == Driver::Me
        {
            let detail = match takeover.deadline {
                Some(deadline) => {
                    format!("Press B to refuse, hold B to agree · {} s left", seconds(deadline - self.now))
                }
                None => "Press B to refuse, hold B to agree".to_owned(),
            };
            return Some(text("Somebody asks to drive", &detail, Tone::Caution));
        }
        match self.confirmation {
            Some(Confirmation::Save) => {
                return Some(text("Save the episode?", "A saves it, X goes on recording", Tone::Caution));
            }
            Some(Confirmation::Discard) => {
                return Some(text("Discard the episode?", "X discards it, A goes on recording", Tone::Caution));
            }
            None => {}
        }
        let left = seconds(self.countdown?);
        Some(text(&format!("Recording in {left}"), "A or X cancels", Tone::Caution))
    }

    fn other_driver(&self) -> Option<HudText> {
        if self.robot.driver != Driver::Other && !self.held_for(HoldReason::NotDriver) {
            return None;
        }
        let asked = self.robot.takeover.filter(|takeover| takeover.mine);
        let detail = match (asked, self.robot.answered) {
            (Some(takeover), _) => match takeover.deadline {
                Some(deadline) => format!("You asked to drive · {} s", seconds(deadline - self.now)),
                None => "You asked to drive".to_owned(),
            },
            (None, Some(answered @ Answered::Refused(_))) => answered_text(answered).to_owned(),
            _ if self.robot.has(Capability::Lease) => "Hold B to ask for control".to_owned(),
            _ => self.state_line(),
        };
        Some(text("Somebody else is driving", &detail, Tone::Idle))
    }

    fn missing(&self) -> Option<HudText> {
        if self.engaged() && self.answer != Answer::Heard {
            return Some(text("No answer from the robot", "Your hands may move nothing", Tone::Alarm));
        }
        let (title, detail) = match self.controllers {
            [true, true] => return None,
            [false, true] => ("Left controller missing", "Wake it up by moving it"),
            [true, false] => ("Right controller missing", "Wake it up by moving it"),
            [false, false] => ("Controllers missing", "Take both into your hands"),
        };
        Some(text(title, detail, Tone::Caution))
    }

    fn arms(&self) -> HudText {
        let (engaged, waiting) = (self.engaged(), self.video == VideoStatus::Connecting);
        let lost = self.robot.link_was_lost && !engaged;
        let why = |hold: &Hold| if lost { format!("{LINK_WAS_LOST}. {}", hold.text) } else { hold.text.to_string() };
        match &self.robot.hold {
            Some(hold) if hold.reason == HoldReason::Resetting => text("Moving to rest", &hold.text, Tone::Caution),
            Some(hold) if hold.severity == Severity::Hold => text("Arms hold still", &why(hold), Tone::Alarm),
            Some(hold) if engaged && hold.severity == Severity::Clamp => text("Driving", &hold.text, Tone::Caution),
            _ if engaged && waiting => text("Driving", "The pictures stand still. Connecting cameras…", Tone::Caution),
            _ if engaged => text("Driving", &self.state_line(), Tone::Driving),
            None if self.robot.driver == Driver::Policy => {
                text("A policy is driving", "Squeeze both grips to take over", Tone::Idle)
            }
            Some(hold) => text("Not driving", &why(hold), if lost { Tone::Caution } else { Tone::Idle }),
            None if lost => text("Squeeze both grips to drive", LINK_WAS_LOST, Tone::Caution),
            None if waiting => text("Squeeze both grips to drive", "Connecting cameras…", Tone::Idle),
            None => text("Squeeze both grips to drive", &self.state_line(), Tone::Idle),
        }
    }

    fn state_line(&self) -> String {
        let state = state_name(self.state);
        match self.robot.episode {
            Some(episode) => format!("{state} · Episode {episode}"),
            None => state.to_owned(),
        }
    }
}

/// Why the arms let go although nobody released them.
pub const LINK_WAS_LOST: &str = "The link was lost";

/// The answer to this page's request to drive.
pub fn answered_text(answered: Answered) -> &'static str {
    match answered {
        Answered::Granted => "You may drive now",
        Answered::Refused(Some(LeaseReason::Denied)) => "The driver refused to hand over",
        Answered::Refused(Some(LeaseReason::Held)) => "Somebody else holds the control",
        Answered::Refused(Some(LeaseReason::Timeout | LeaseReason::Link) | None) => "The control was not handed over",
    }
}

/// Whole seconds that are left.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what a deadline can be")]
pub fn seconds(ms: f64) -> u32 {
    (ms / 1000.0).ceil().clamp(0.0, 3600.0) as u32
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use waldo_protocol::vr::{Hands, ServerMessage};

    use super::*;
    use crate::robot::Takeover;

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

    /// Connected, with pictures, both controllers in the hands.
    fn calm(robot: &RobotView) -> Situation<'_> {
        Situation {
            link: Status::Connected,
            answer: Answer::Heard,
            robot,
            video: VideoStatus::Live,
            controllers: [true, true],
            state: VrState::Teleop,
            confirmation: None,
            countdown: None,
            stopped: false,
            now: 1000.0,
        }
    }

    fn shown(robot: &RobotView) -> HudText {
        calm(robot).text()
    }

    #[test]
    fn a_lost_link_hides_everything_else() {
        let robot = robot(true, None);
        let text = Situation { link: Status::Reconnecting, controllers: [false; 2], ..calm(&robot) }.text();
        assert_eq!((text.title.as_str(), text.tone), ("Connection lost", Tone::Alarm));
    }

    #[test]
    fn after_a_lost_link_the_reason_is_told_until_the_arms_follow_again() {
        let mut lost = RobotView { link_was_lost: true, ..robot(false, None) };
        assert_eq!(shown(&lost).detail, "The link was lost");
        lost.hold = robot(false, Some(Severity::Hold)).hold;
        assert_eq!(shown(&lost).detail, "The link was lost. out of reach");
        lost.engaged = Some(true);
        assert_eq!(shown(&lost).detail, "out of reach");
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
    fn whoever_watches_a_policy_is_told_how_to_take_over() {
        let policy = RobotView { driver: Driver::Policy, ..robot(false, None) };
        assert_eq!((shown(&policy).title.as_str(), shown(&policy).tone), ("A policy is driving", Tone::Idle));
        let held = RobotView { driver: Driver::Policy, ..robot(false, Some(Severity::Hold)) };
        assert_eq!(shown(&held).title, "Arms hold still");
    }

    #[test]
    fn who_asks_to_drive_sees_the_wait_and_then_the_refusal() {
        let mut other = RobotView { driver: Driver::Other, ..robot(true, None) };
        other.takeover = Some(Takeover { mine: true, deadline: Some(8500.0) });
        assert_eq!(shown(&other).detail, "You asked to drive · 8 s");
        other.takeover = None;
        other.answered = Some(Answered::Refused(Some(LeaseReason::Denied)));
        assert_eq!(shown(&other).detail, "The driver refused to hand over");
    }

    #[test]
    fn only_the_driver_is_asked_to_hand_over() {
        let takeover = Some(Takeover { mine: false, deadline: Some(11_000.0) });
        let me = RobotView { driver: Driver::Me, takeover, ..robot(true, None) };
        assert_eq!(shown(&me).title, "Somebody asks to drive");
        assert!(shown(&me).detail.ends_with("10 s left"));
        let bystander = RobotView { driver: Driver::Other, takeover, ..robot(true, None) };
        assert_eq!(shown(&bystander).title, "Somebody else is driving");
    }

    #[test]
    fn questions_and_the_countdown_name_the_buttons() {
        let robot = robot(true, None);
        let ask = |confirmation| Situation { confirmation: Some(confirmation), ..calm(&robot) }.text();
        assert_eq!(ask(Confirmation::Save).detail, "A saves it, X goes on recording");
        assert_eq!(ask(Confirmation::Discard).detail, "X discards it, A goes on recording");
        assert_eq!(Situation { countdown: Some(2100.0), ..calm(&robot) }.text().title, "Recording in 3");
    }

    #[test]
    fn a_stop_is_told_whether_the_page_or_the_robot_knows_of_it() {
        let mut robot = robot(false, None);
        assert_eq!(Situation { stopped: true, ..calm(&robot) }.text().title, "Stopped");
        let told =
            r#"{"type":"hold","value":{"reason":"stopped","hand":"both","severity":"hold","text":"","since_ms":0}}"#;
        robot.apply(&ServerMessage::decode(told).unwrap(), "me", 0.0);
        assert_eq!(shown(&robot).title, "Stopped");
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
        let robot = robot(true, None);
        let text = Situation { answer: Answer::Silent, ..calm(&robot) }.text();
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
        let robot = robot(true, None);
        let with = |video| Situation { video, ..calm(&robot) }.text();
        assert_eq!(with(VideoStatus::Connecting).tone, Tone::Caution);
        assert_eq!(with(VideoStatus::Unavailable).tone, Tone::Driving, "a robot without cameras is no cause for alarm");
    }

    #[test]
    fn a_missing_controller_is_named() {
        let robot = robot(false, None);
        let text = Situation { controllers: [true, false], ..calm(&robot) }.text();
        assert_eq!(text.title, "Right controller missing");
    }
}
