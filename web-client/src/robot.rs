//! What the robot has told this page about itself.

use waldo_protocol::vr::{
    Capability, Health, Hold, HudValue, LeaseReason, LeaseReply, LeaseState, MotionScale, POLICY, ServerHello,
    ServerMessage,
};

/// Who drives, as far as this page knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// The server does not tell, or nothing has come yet.
    #[default]
    Unknown,
    /// Nobody.
    Nobody,
    /// This page.
    Me,
    /// Another client.
    Other,
    /// A policy, which gives way to whoever engages.
    Policy,
}

impl Driver {
    fn named(driver: Option<&str>, me: &str) -> Self {
        match driver {
            None => Self::Nobody,
            Some(driver) if driver == me => Self::Me,
            Some(POLICY) => Self::Policy,
            Some(_) => Self::Other,
        }
    }
}

/// A request to drive instead of the one who does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Takeover {
    /// This page asks; otherwise another client.
    pub mine: bool,
    /// When it is granted unless it is refused, on the page's clock.
    pub deadline: Option<f64>,
}

/// What came of this page's own request to drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It drives now.
    Granted,
    /// It does not, for this reason if one was told.
    Refused(Option<LeaseReason>),
}

/// The robot as told by its messages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RobotView {
    /// The answer of a server that speaks the extensions.
    pub hello: Option<ServerHello>,
    /// Number of the current episode.
    pub episode: Option<u64>,
    /// The engage toggle; `None` until the server has told it.
    pub engaged: Option<bool>,
    /// Why motion is held or limited.
    pub hold: Option<Hold>,
    /// Who drives.
    pub driver: Driver,
    /// Somebody asks to drive instead.
    pub takeover: Option<Takeover>,
    /// What came of the latest request of this page.
    pub answered: Option<Answered>,
    /// How well poses and pictures travel.
    pub health: Option<Health>,
    /// The scale of the clutch in force.
    pub motion: Option<MotionScale>,
    /// The popup of the driver's headset, relayed.
    pub popup: HudValue,
    /// The link broke since the arms last followed: why they do not follow now.
    pub link_was_lost: bool,
}

impl RobotView {
    /// Forgets what was true only of the last socket. `lost`: it was not given up but broke.
    pub fn disconnected(&mut self, lost: bool) {
        *self = Self { link_was_lost: lost || self.link_was_lost, ..Self::default() };
    }

    /// Whether both sides have agreed on an extension.
    pub fn has(&self, capability: Capability) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.has(capability))
    }

    /// Takes in a message that came at `now`, milliseconds of the page's clock. `stream` is this page's own id. What the
    /// headset sends as its state, pulses, pongs and video signalling are none of this view's business.
    pub fn apply(&mut self, message: &ServerMessage, stream: &str, now: f64) {
        match message {
            ServerMessage::Hello(hello) => self.hello = Some(hello.clone()),
            ServerMessage::Episode(episode) => self.episode = *episode,
            ServerMessage::Hud(popup) => self.popup.clone_from(popup),
            ServerMessage::Tracking(engaged) => self.set_engaged(*engaged),
            ServerMessage::Hold(hold) => self.hold.clone_from(hold),
            ServerMessage::Snapshot(snapshot) if self.hello.is_some() => {
                // Its `state` is information, not an override.
                self.episode = snapshot.episode;
                self.set_engaged(snapshot.tracking);
                self.hold.clone_from(&snapshot.hold);
                self.driver = Driver::named(snapshot.driver.as_deref(), stream);
                self.motion = snapshot.motion.or(self.motion);
            }
            ServerMessage::LeaseNotice(notice) => {
                self.driver = Driver::named(notice.driver.as_deref(), stream);
                self.takeover = notice
                    .requested_by
                    .as_deref()
                    .map(|by| Takeover { mine: by == stream, deadline: notice.deadline_ms.map(|ms| now + ms) });
                if self.takeover.is_some_and(|takeover| takeover.mine) {
                    self.answered = None;
                }
            }
            ServerMessage::LeaseReply(reply) => self.answer(reply),
            ServerMessage::Health(health) => self.health = Some(health.clone()),
            ServerMessage::Motion(scale) => self.motion = Some(*scale),
            ServerMessage::Snapshot(_)
            | ServerMessage::Mode(_)
            | ServerMessage::State(_)
            | ServerMessage::WebrtcOffer { .. }
            | ServerMessage::WebrtcPending
            | ServerMessage::WebrtcUnavailable
            | ServerMessage::ControlOffer { .. }
            | ServerMessage::Haptic(_)
            | ServerMessage::Pong(_) => {}
        }
    }

    fn set_engaged(&mut self, engaged: bool) {
        self.engaged = Some(engaged);
        self.link_was_lost &= !engaged;
    }

    fn answer(&mut self, reply: &LeaseReply) {
        self.answered = match (reply.ok, reply.state) {
            (_, LeaseState::Pending) => None,
            (true, LeaseState::Held) => Some(Answered::Granted),
            (true, LeaseState::Free) => None,
            (false, _) => Some(Answered::Refused(reply.reason)),
        };
    }
}

#[cfg(test)]
mod tests {
    use waldo_protocol::vr::{LeaseNotice, Snapshot, VrState};

    use super::*;

    fn hello() -> ServerMessage {
        ServerMessage::decode(r#"{"type":"hello","v":1,"server":"s/1","conn":"1","caps":["snapshot","lease"]}"#)
            .unwrap()
    }

    fn view(messages: &[ServerMessage]) -> RobotView {
        let mut view = RobotView::default();
        view.apply(&hello(), "me", 0.0);
        for message in messages {
            view.apply(message, "me", 1000.0);
        }
        view
    }

    fn snapshot(driver: Option<&str>) -> ServerMessage {
        ServerMessage::Snapshot(Snapshot {
            mode: None,
            episode: Some(4),
            state: VrState::Saving,
            tracking: true,
            hold: None,
            reset_n: 0,
            driver: driver.map(str::to_owned),
            cameras: Vec::new(),
            motion: Some(MotionScale { pos: 0.5, rot: 1.0 }),
        })
    }

    fn notice(driver: Option<&str>, requested_by: Option<&str>) -> ServerMessage {
        ServerMessage::LeaseNotice(LeaseNotice {
            driver: driver.map(str::to_owned),
            requested_by: requested_by.map(str::to_owned),
            deadline_ms: requested_by.map(|_| 10_000.0),
        })
    }

    #[test]
    fn only_what_was_agreed_on_counts() {
        assert!(view(&[]).has(Capability::Lease));
        assert!(!view(&[]).has(Capability::Stop));
        assert!(!RobotView::default().has(Capability::Lease));
    }

    #[test]
    fn a_snapshot_of_a_server_that_never_said_hello_is_ignored() {
        let mut view = RobotView::default();
        view.apply(&snapshot(Some("me")), "me", 0.0);
        assert_eq!(view, RobotView::default());
    }

    #[test]
    fn the_driver_is_told_apart() {
        for told in [|driver| snapshot(driver), |driver| notice(driver, None)] {
            assert_eq!(view(&[told(None)]).driver, Driver::Nobody);
            assert_eq!(view(&[told(Some("me"))]).driver, Driver::Me);
            assert_eq!(view(&[told(Some("you"))]).driver, Driver::Other);
            assert_eq!(view(&[told(Some("policy"))]).driver, Driver::Policy);
        }
        assert_eq!(view(&[ServerMessage::Tracking(true)]).driver, Driver::Unknown, "engaged does not tell by whom");
    }

    #[test]
    fn a_request_to_drive_is_shown_with_its_deadline_until_it_is_over() {
        let asked = notice(Some("me"), Some("you"));
        assert_eq!(
            view(std::slice::from_ref(&asked)).takeover,
            Some(Takeover { mine: false, deadline: Some(11_000.0) })
        );
        assert_eq!(view(&[asked, notice(Some("you"), None)]).takeover, None);
        assert!(view(&[notice(Some("you"), Some("me"))]).takeover.unwrap().mine);
    }

    #[test]
    fn the_answer_to_a_request_stays_until_the_next_request() {
        let reply = |ok, state, reason| ServerMessage::LeaseReply(LeaseReply { n: 1, ok, state, reason, driver: None });
        let pending = reply(false, LeaseState::Pending, None);
        let denied = reply(false, LeaseState::Held, Some(LeaseReason::Denied));
        let refused = Some(Answered::Refused(Some(LeaseReason::Denied)));
        assert_eq!(view(&[pending.clone(), denied.clone(), notice(Some("you"), None)]).answered, refused);
        assert_eq!(view(&[denied, pending]).answered, None);
        assert_eq!(view(&[reply(true, LeaseState::Held, None)]).answered, Some(Answered::Granted));
    }

    #[test]
    fn a_new_socket_starts_without_knowledge() {
        let mut view = view(&[snapshot(Some("me"))]);
        view.disconnected(false);
        assert_eq!(view, RobotView::default());
    }

    #[test]
    fn a_lost_link_is_remembered_until_the_arms_follow_again() {
        let mut view = view(&[ServerMessage::Tracking(true)]);
        view.disconnected(true);
        view.apply(&ServerMessage::Tracking(false), "me", 0.0);
        view.disconnected(false);
        assert!(view.link_was_lost);
        view.apply(&ServerMessage::Tracking(true), "me", 0.0);
        assert!(!view.link_was_lost);
    }
}
