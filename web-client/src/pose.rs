//! From what the controllers show in one XR frame to the pose frame on the wire: recording states, `seq`, the counters.

use glam::DVec3;
use waldo_protocol::geometry::{LocalFloor, Pose};
use waldo_protocol::vr::{Controller, Hand, HeadsetRecording, RecordingButtons, VrFrame, VrState, estimate_elbow};

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
    /// The frame must not get lost: send it on the socket too, not only on the lossy channel.
    pub surely: bool,
    /// The operator pressed Y: leave the presentation after the frame.
    pub leave: bool,
    /// The popup of the headset changed: publish it before the frame.
    pub hud_changed: bool,
}

/// Stopping a robot that knows no stop message: one press of one grip, which disengages and can never engage, then silence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Halt {
    /// Poses flow.
    #[default]
    No,
    /// This many of the three frames of the press are sent.
    Pressing(usize),
    /// No poses.
    Silent,
}

/// Locks of the left grip in the frames of that press; the right one rests.
const PRESS: [bool; 3] = [false, true, false];

/// The stream of pose frames of one page load.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoseStream {
    /// The states of the headset, which every frame carries.
    pub recording: HeadsetRecording,
    seq: i64,
    counting: bool,
    halt: Halt,
    /// The presentation has sent its last frame.
    over: bool,
    last: Option<VrFrame>,
}

impl PoseStream {
    /// A presentation begins or has ended. Returns whether the popup of the headset changed.
    pub fn begin(&mut self) -> bool {
        (self.over, self.last) = (false, None);
        self.recording.begin()
    }

    /// Another robot is wanted: it has states of its own, and has not been stopped.
    pub fn forget_robot(&mut self) {
        self.recording = HeadsetRecording::default();
        self.resume();
    }

    /// The presentation ends without a last frame: the arms stay where they are.
    pub fn fall_silent(&mut self) {
        (self.over, self.last) = (true, None);
    }

    /// Frames sent since the page was loaded.
    pub fn sent(&self) -> i64 {
        self.seq
    }

    /// From now on frames carry the counters, or not; to be told on every new socket.
    pub fn count_presses(&mut self, counting: bool) {
        self.counting = counting;
        if counting {
            self.recording.begin_counting();
        }
    }

    /// Disengages with the next frames, then sends none until [`PoseStream::resume`].
    pub fn halt(&mut self) {
        self.halt = Halt::Pressing(0);
    }

    /// Ends a halt.
    pub fn resume(&mut self) {
        self.halt = Halt::No;
    }

    /// Feeds one sample. Buttons count even if `may_send` is false or a pose is missing, see [`HeadsetRecording::frame`].
    pub fn next(&mut self, sample: &Sample, may_send: bool) -> Outcome {
        let aims =
            sample.left.aim.zip(sample.right.aim).filter(|_| may_send && !self.over && self.halt != Halt::Silent);
        let buttons =
            RecordingButtons { x: sample.left.lower_button, y: sample.left.upper_button, a: sample.right.lower_button };
        let step = self.recording.frame(sample.t, buttons, aims.is_some());
        let mut outcome = Outcome { frame: None, surely: step.leave, leave: step.leave, hud_changed: step.hud_changed };
        if let Some((left, right)) = aims {
            let mut frame = frame(sample, left, right);
            (frame.state, frame.reset) = (step.state, step.reset);
            if let Halt::Pressing(done) = self.halt {
                (frame.left.lock, frame.right.lock) = (PRESS[done], false);
                outcome.surely = true;
                self.halt = if done + 1 < PRESS.len() { Halt::Pressing(done + 1) } else { Halt::Silent };
            }
            outcome.frame = Some(self.numbered(frame));
        }
        if step.leave {
            self.fall_silent();
        }
        outcome
    }

    /// The last frame again, asking for the rest move: for leaving by other ways than Y. Comes once per presentation.
    pub fn farewell(&mut self, t: f64) -> Option<VrFrame> {
        let last = self.last.filter(|_| self.halt == Halt::No)?;
        self.recording.farewell();
        let farewell = self.numbered(VrFrame { reset: true, t: Some(t), ..last });
        self.fall_silent();
        Some(farewell)
    }

    fn numbered(&mut self, frame: VrFrame) -> VrFrame {
        self.seq += 1;
        let counters = Some(self.recording.counters()).filter(|_| self.counting);
        let frame = VrFrame {
            seq: Some(self.seq),
            reset_n: counters.map(|counters| counters.reset_n),
            ep_n: counters.map(|counters| counters.ep_n),
            ep_op: counters.and_then(|counters| counters.ep_op),
            ..frame
        };
        self.last = Some(frame);
        frame
    }
}

fn frame(sample: &Sample, left: Aim, right: Aim) -> VrFrame {
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
        reset: false,
        state: VrState::default(),
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

    /// Both controllers aimed, elbows tracked.
    fn sample() -> Sample {
        Sample { left: aimed(), right: aimed(), elbows: Some([DVec3::X, DVec3::Y]), t: 5.0, head: None }
    }

    fn with_y() -> Sample {
        Sample { left: ControllerInput { upper_button: true, ..aimed() }, ..sample() }
    }

    fn started() -> PoseStream {
        let mut stream = PoseStream::default();
        stream.begin();
        stream.next(&sample(), false);
        stream
    }

    #[test]
    fn nothing_is_sent_while_a_controller_has_no_pose() {
        let mut stream = started();
        let blind = Sample { right: ControllerInput::default(), ..sample() };
        assert_eq!(stream.next(&blind, true).frame, None);
    }

    #[test]
    fn x_pressed_while_a_pose_is_missing_rides_on_the_next_frame() {
        let mut stream = started();
        let x = ControllerInput { lower_button: true, ..aimed() };
        let blind = Sample { left: x, right: ControllerInput::default(), ..sample() };
        stream.next(&blind, true);
        assert!(stream.next(&sample(), true).frame.unwrap().reset);
    }

    #[test]
    fn y_leaves_with_a_reset_frame_that_must_arrive() {
        let outcome = started().next(&with_y(), true);
        assert!(outcome.leave && outcome.surely && outcome.frame.unwrap().reset);
    }

    #[test]
    fn nothing_follows_the_last_frame_until_the_next_presentation() {
        let mut stream = started();
        stream.next(&with_y(), true);
        assert_eq!((stream.next(&sample(), true).frame, stream.farewell(9.0)), (None, None));
        stream.begin();
        assert!(stream.next(&sample(), true).frame.is_some());
    }

    #[test]
    fn seq_counts_only_what_is_sent_and_goes_on_over_presentations() {
        let mut stream = started();
        stream.next(&sample(), false);
        let first = stream.next(&sample(), true).frame;
        assert_eq!(first.and_then(|frame| frame.seq), Some(1));
        stream.begin();
        let second = stream.next(&sample(), true).frame;
        assert_eq!(second.and_then(|frame| frame.seq), Some(2));
    }

    #[test]
    fn the_farewell_repeats_the_last_pose_with_a_reset_once() {
        let mut stream = started();
        stream.count_presses(true);
        assert_eq!(stream.farewell(1.0), None, "nothing was sent");
        stream.next(&sample(), true);
        let farewell = stream.farewell(9.0).unwrap();
        assert_eq!((farewell.reset, farewell.seq, farewell.t), (true, Some(2), Some(9.0)));
        assert_eq!(farewell.reset_n, Some(1));
        assert_eq!(stream.farewell(10.0), None);
    }

    #[test]
    fn only_a_server_that_counts_gets_counters_and_it_gets_them_in_every_frame() {
        let mut stream = started();
        assert_eq!(stream.next(&sample(), true).frame.unwrap().reset_n, None);
        stream.count_presses(true);
        for _ in 0..3 {
            let frame = stream.next(&sample(), true).frame.unwrap();
            assert_eq!((frame.reset_n, frame.ep_n, frame.ep_op), (Some(0), Some(0), None));
        }
        stream.count_presses(false);
        assert_eq!(stream.next(&sample(), true).frame.unwrap().ep_n, None);
    }

    #[test]
    fn a_halt_presses_one_grip_once_whatever_the_hands_hold_and_falls_silent() {
        let mut stream = started();
        let squeezed = ControllerInput { squeeze: 1.0, ..aimed() };
        let held = Sample { left: squeezed, right: squeezed, ..sample() };
        stream.halt();
        let locks: Vec<_> = std::iter::from_fn(|| stream.next(&held, true).frame)
            .map(|frame| (frame.left.lock, frame.right.lock))
            .collect();
        assert_eq!(locks, [(false, false), (true, false), (false, false)]);
        assert_eq!(stream.farewell(9.0), None, "who stopped the arms wants no rest move");
        stream.resume();
        assert!(stream.next(&held, true).frame.unwrap().right.lock);
    }

    #[test]
    fn triggers_close_the_grippers_and_only_a_full_squeeze_locks() {
        let mut pulled = sample();
        pulled.left.trigger = 0.25;
        pulled.left.squeeze = 0.99;
        pulled.right.squeeze = 1.0;
        let frame = started().next(&pulled, true).frame.unwrap();
        assert_eq!(frame.left.grip, 0.75);
        assert!(!frame.left.lock);
        assert!(frame.right.lock);
        assert!(!frame.elbow_est);
    }

    #[test]
    fn sticks_and_their_clicks_travel() {
        let mut steering = sample();
        steering.left.stick = [0.5, -1.0];
        steering.left.stick_click = true;
        steering.right.stick = [-0.25, 0.75];
        let frame = started().next(&steering, true).frame.unwrap();
        assert_eq!((frame.left.stick_x, frame.l_stick_y, frame.right.stick_x), (0.5, -1.0, -0.25));
        assert!(frame.left.stick_click && !frame.right.stick_click);
    }
}
