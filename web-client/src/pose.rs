//! From what the controllers show in one XR frame to the pose frame on the wire: button edges, the reset pulse, `seq`.

use glam::DVec3;
use waldo_protocol::geometry::{LocalFloor, Pose};
use waldo_protocol::vr::{Controller, Hand, VrFrame, VrState, estimate_elbow};

/// A reset is held for this many frames, so that one lost frame cannot swallow it; it stays one rising edge.
pub const RESET_FRAMES: u32 = 10;

/// A reset that could not be sent within this long of the press is dropped: the arms must not move at a time the operator
/// does not expect.
pub const RESET_WAIT_MS: f64 = 500.0;

/// Where a controller points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aim {
    /// The target-ray pose.
    pub pose: Pose<LocalFloor>,
    /// False while the position is only dead-reckoned.
    pub tracked: bool,
}

/// One controller in one XR frame. Buttons of a controller that is absent rest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ControllerInput {
    /// `None` while the controller has no pose.
    pub aim: Option<Aim>,
    /// 0 released … 1 pulled.
    pub trigger: f64,
    /// 0 released … 1 squeezed.
    pub squeeze: f64,
    /// Stick, right and back are +1.
    pub stick: [f64; 2],
    /// Stick pressed in.
    pub stick_click: bool,
    /// X on the left controller, A on the right one.
    pub lower_button: bool,
    /// Y on the left controller, B on the right one.
    pub upper_button: bool,
}

/// Everything one XR frame tells about the operator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// The left hand.
    pub left: ControllerInput,
    /// The right hand.
    pub right: ControllerInput,
    /// The head, where known.
    pub head: Option<Pose<LocalFloor>>,
    /// Tracked elbows, left and right, in metres, where the headset tracks the body.
    pub elbows: Option<[DVec3; 2]>,
    /// Time of the XR frame, milliseconds of the page's monotonic clock.
    pub t: f64,
}

/// What follows from one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The frame to send.
    pub frame: Option<VrFrame>,
    /// The operator pressed Y: leave the presentation after the frame.
    pub leave: bool,
}

/// The stream of pose frames of one page load.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoseStream {
    seq: i64,
    reset_frames: u32,
    /// When X was pressed, on the clock of the samples.
    reset_pressed_at: f64,
    reset_held: bool,
    leave_held: bool,
    last: Option<VrFrame>,
}

impl PoseStream {
    /// A presentation starts. Buttons that are down already make no edge; an unsent reset is forgotten.
    pub fn begin(&mut self) {
        *self = Self { seq: self.seq, reset_held: true, leave_held: true, ..Self::default() };
    }

    /// Frames sent since the page was loaded.
    pub fn sent(&self) -> i64 {
        self.seq
    }

    /// Feeds one sample. Edges count even if `may_send` is false or a pose is missing: a reset then waits for the next
    /// frame, but no longer than [`RESET_WAIT_MS`].
    pub fn next(&mut self, sample: &Sample, state: VrState, may_send: bool) -> Outcome {
        let reset_pressed = sample.left.lower_button && !self.reset_held;
        let leave = sample.left.upper_button && !self.leave_held;
        self.reset_held = sample.left.lower_button;
        self.leave_held = sample.left.upper_button;
        if reset_pressed && state != VrState::Saving {
            self.reset_frames = RESET_FRAMES;
            self.reset_pressed_at = sample.t;
        }
        if sample.t - self.reset_pressed_at > RESET_WAIT_MS {
            self.reset_frames = 0;
        }
        let mut outcome = Outcome { frame: None, leave };
        if let (true, Some(left), Some(right)) = (may_send, sample.left.aim, sample.right.aim) {
            let reset = leave || self.reset_frames > 0;
            self.reset_frames = self.reset_frames.saturating_sub(1);
            outcome.frame = Some(self.numbered(frame(sample, left, right, state, reset)));
        }
        outcome
    }

    /// The last frame again, asking for the rest move: for leaving by the page's button, as Y does it in the headset.
    pub fn farewell(&mut self, t: f64) -> Option<VrFrame> {
        let last = self.last?;
        let farewell = self.numbered(VrFrame { reset: true, t: Some(t), ..last });
        self.last = None;
        Some(farewell)
    }

    fn numbered(&mut self, frame: VrFrame) -> VrFrame {
        self.seq += 1;
        let frame = VrFrame { seq: Some(self.seq), ..frame };
        self.last = Some(frame);
        frame
    }
}

fn frame(sample: &Sample, left: Aim, right: Aim, state: VrState, reset: bool) -> VrFrame {
    let elbow = |hand, aim: Aim| match sample.head {
        Some(head) => estimate_elbow(hand, head, aim.pose),
        None => aim.pose.position(),
    };
    let [left_elbow, right_elbow] =
        sample.elbows.unwrap_or_else(|| [elbow(Hand::Left, left), elbow(Hand::Right, right)]);
    VrFrame {
        left: controller(&sample.left, left, left_elbow),
        right: controller(&sample.right, right, right_elbow),
        l_stick_y: sample.left.stick[1],
        reset,
        state,
        t: Some(sample.t),
        seq: None,
        elbow_est: sample.elbows.is_none(),
        reset_n: None,
        ep_n: None,
        ep_op: None,
    }
}

fn controller(input: &ControllerInput, aim: Aim, elbow: DVec3) -> Controller {
    Controller {
        pose: aim.pose,
        elbow,
        grip: 1.0 - input.trigger,
        lock: input.squeeze >= 1.0,
        tracked: aim.tracked,
        stick_x: input.stick[0],
        stick_click: input.stick_click,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aimed() -> ControllerInput {
        ControllerInput { aim: Some(Aim { pose: Pose::IDENTITY, tracked: true }), ..ControllerInput::default() }
    }

    /// Both controllers aimed, elbows tracked, X as given.
    fn sample(x: bool) -> Sample {
        let left = ControllerInput { lower_button: x, ..aimed() };
        Sample { left, right: aimed(), elbows: Some([DVec3::X, DVec3::Y]), t: 5.0, head: None }
    }

    fn started() -> PoseStream {
        let mut stream = PoseStream::default();
        stream.begin();
        stream.next(&sample(false), VrState::Teleop, false);
        stream
    }

    fn resets(stream: &mut PoseStream, sample: &Sample, frames: usize) -> usize {
        let sent = (0..frames).filter_map(|_| stream.next(sample, VrState::Teleop, true).frame);
        sent.filter(|frame| frame.reset).count()
    }

    #[test]
    fn x_held_for_long_is_one_pulse_of_ten_frames() {
        let mut stream = started();
        assert_eq!(resets(&mut stream, &sample(true), 50), 10);
        assert_eq!(resets(&mut stream, &sample(false), 5), 0);
        assert_eq!(resets(&mut stream, &sample(true), 50), 10);
    }

    #[test]
    fn x_pressed_while_a_pose_is_missing_waits_for_a_frame_that_comes_soon() {
        let mut stream = started();
        let blind = Sample { right: ControllerInput::default(), ..sample(true) };
        assert_eq!(stream.next(&blind, VrState::Teleop, true).frame, None);
        let soon = Sample { t: blind.t + 300.0, ..sample(false) };
        assert_eq!(resets(&mut stream, &soon, 20), 10);
    }

    #[test]
    fn x_pressed_while_nothing_can_be_sent_for_long_is_forgotten() {
        let mut stream = started();
        stream.next(&sample(true), VrState::Teleop, false);
        let late = Sample { t: sample(false).t + 600.0, ..sample(false) };
        assert_eq!(resets(&mut stream, &late, 20), 0);
    }

    #[test]
    fn buttons_that_are_down_when_the_presentation_starts_do_nothing() {
        let mut stream = PoseStream::default();
        stream.begin();
        let mut held = sample(true);
        held.left.upper_button = true;
        let outcome = stream.next(&held, VrState::Teleop, true);
        assert!(!outcome.leave);
        assert!(!outcome.frame.is_some_and(|frame| frame.reset));
    }

    #[test]
    fn x_does_nothing_while_an_episode_is_being_saved() {
        let mut stream = started();
        let outcome = stream.next(&sample(true), VrState::Saving, true);
        assert!(!outcome.frame.is_some_and(|frame| frame.reset));
    }

    #[test]
    fn y_leaves_with_a_reset_frame_even_while_saving() {
        let mut stream = started();
        let mut y = sample(false);
        y.left.upper_button = true;
        let outcome = stream.next(&y, VrState::Saving, true);
        assert!(outcome.leave);
        assert!(outcome.frame.is_some_and(|frame| frame.reset));
    }

    #[test]
    fn seq_counts_only_what_is_sent_and_goes_on_over_presentations() {
        let mut stream = started();
        stream.next(&sample(false), VrState::Teleop, false);
        let first = stream.next(&sample(false), VrState::Teleop, true).frame;
        assert_eq!(first.and_then(|frame| frame.seq), Some(1));
        stream.begin();
        let second = stream.next(&sample(false), VrState::Teleop, true).frame;
        assert_eq!(second.and_then(|frame| frame.seq), Some(2));
    }

    #[test]
    fn the_farewell_repeats_the_last_pose_with_a_reset_once() {
        let mut stream = started();
        assert_eq!(stream.farewell(1.0), None, "nothing was sent");
        stream.next(&sample(false), VrState::Teleop, true);
        let farewell = stream.farewell(9.0).unwrap();
        assert_eq!((farewell.reset, farewell.seq, farewell.t), (true, Some(2), Some(9.0)));
        assert_eq!(stream.farewell(10.0), None);
    }

    #[test]
    fn triggers_close_the_grippers_and_only_a_full_squeeze_locks() {
        let mut stream = started();
        let mut pulled = sample(false);
        pulled.left.trigger = 0.25;
        pulled.left.squeeze = 0.99;
        pulled.right.squeeze = 1.0;
        let frame = stream.next(&pulled, VrState::Teleop, true).frame.unwrap();
        assert_eq!(frame.left.grip, 0.75);
        assert!(!frame.left.lock);
        assert!(frame.right.lock);
        assert!(!frame.elbow_est);
    }
}
