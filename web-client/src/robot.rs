//! What the robot has told this page about itself.

use waldo_protocol::vr::{Hold, Mode, ServerMessage, VrState};

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
}

/// The robot as told by its messages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RobotView {
    /// `<name>/<version>` of a server that speaks the extensions.
    pub server: Option<String>,
    /// Announced operating mode.
    pub mode: Option<Mode>,
    /// What this page sends as its recording state. Survives reconnects.
    pub state: VrState,
    /// Number of the current episode.
    pub episode: Option<u64>,
    /// The engage toggle; `None` until the server has told it.
    pub engaged: Option<bool>,
    /// Why motion is held or limited.
    pub hold: Option<Hold>,
    /// Who drives.
    pub driver: Driver,
}

impl RobotView {
    /// Forgets what was true only of the last socket.
    pub fn disconnected(&mut self) {
        *self = Self { mode: self.mode, state: self.state, ..Self::default() };
    }

    /// Takes in a message. `stream` is this page's own id. Video signalling is none of this view's business.
    ///
    /// Who drives is told by snapshots alone: the server sends a new one whenever the driver changes.
    pub fn apply(&mut self, message: &ServerMessage, stream: &str) {
        match message {
            ServerMessage::Hello(hello) => self.server = Some(hello.server.clone()),
            ServerMessage::Mode(mode) => self.set_mode(*mode),
            ServerMessage::State(state) => self.state = *state,
            ServerMessage::Episode(episode) => self.episode = *episode,
            ServerMessage::Tracking(engaged) => self.engaged = Some(*engaged),
            ServerMessage::Hold(hold) => self.hold.clone_from(hold),
            ServerMessage::Snapshot(snapshot) => {
                // Its `state` is information, not an override.
                if let Some(mode) = snapshot.mode {
                    self.set_mode(mode);
                }
                self.episode = snapshot.episode;
                self.engaged = Some(snapshot.tracking);
                self.hold.clone_from(&snapshot.hold);
                self.driver = match snapshot.driver.as_deref() {
                    None => Driver::Nobody,
                    Some(driver) if driver == stream => Driver::Me,
                    Some(_) => Driver::Other,
                };
            }
            ServerMessage::Hud(_)
            | ServerMessage::WebrtcOffer { .. }
            | ServerMessage::WebrtcPending
            | ServerMessage::WebrtcUnavailable
            | ServerMessage::ControlOffer { .. }
            | ServerMessage::LeaseReply(_)
            | ServerMessage::LeaseNotice(_)
            | ServerMessage::Haptic(_)
            | ServerMessage::Pong(_)
            | ServerMessage::Health(_)
            | ServerMessage::Motion(_) => {}
        }
    }

    fn set_mode(&mut self, mode: Mode) {
        self.mode = Some(mode);
        match (mode, self.state) {
            (Mode::Teleop, _) => self.state = VrState::Teleop,
            (Mode::DataCollection, VrState::Teleop) => self.state = VrState::DataCollection,
            (Mode::DataCollection, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use waldo_protocol::vr::Snapshot;

    use super::*;

    fn view(messages: &[ServerMessage]) -> RobotView {
        let mut view = RobotView::default();
        for message in messages {
            view.apply(message, "me");
        }
        view
    }

    fn snapshot(state: VrState, driver: Option<&str>) -> ServerMessage {
        ServerMessage::Snapshot(Snapshot {
            mode: None,
            episode: None,
            state,
            tracking: false,
            hold: None,
            reset_n: 0,
            driver: driver.map(str::to_owned),
            cameras: Vec::new(),
        })
    }

    #[test]
    fn data_collection_mode_leaves_teleop_but_ends_no_recording() {
        let mode = ServerMessage::Mode(Mode::DataCollection);
        assert_eq!(view(std::slice::from_ref(&mode)).state, VrState::DataCollection);
        let recording = ServerMessage::State(VrState::Recording);
        assert_eq!(view(&[recording, mode]).state, VrState::Recording);
    }

    #[test]
    fn the_state_of_a_snapshot_is_no_override() {
        assert_eq!(view(&[snapshot(VrState::Saving, None)]).state, VrState::Teleop);
    }

    #[test]
    fn the_driver_is_told_apart() {
        assert_eq!(view(&[snapshot(VrState::Teleop, None)]).driver, Driver::Nobody);
        assert_eq!(view(&[snapshot(VrState::Teleop, Some("me"))]).driver, Driver::Me);
        assert_eq!(view(&[snapshot(VrState::Teleop, Some("you"))]).driver, Driver::Other);
        assert_eq!(view(&[ServerMessage::Tracking(true)]).driver, Driver::Unknown, "engaged does not tell by whom");
    }

    #[test]
    fn a_new_socket_keeps_only_mode_and_state() {
        let mut view = view(&[ServerMessage::Mode(Mode::DataCollection), ServerMessage::Tracking(true)]);
        view.disconnected();
        assert_eq!((view.mode, view.state), (Some(Mode::DataCollection), VrState::DataCollection));
        assert_eq!((view.engaged, view.driver), (None, Driver::Unknown));
    }
}
