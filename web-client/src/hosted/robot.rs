//! What the robot has told about itself.

use waldo_protocol::hosted::{CommandFigures, Odom, RobotTelemetry, SpeedMode, Velocities, VideoState};

/// As told by its telemetry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Robot {
    /// Percent. Stays when a report does not say.
    pub battery: Option<i32>,
    /// How its commands arrive.
    pub commands: Option<CommandFigures>,
    /// Name of its posture.
    pub posture: Option<String>,
    /// Its firmware drives beyond the ordinary.
    pub rage: Option<bool>,
    /// Whether it avoids obstacles.
    pub avoidance: Option<bool>,
    /// Brightness of its light, 0 to 1.
    pub light: Option<f64>,
    /// It says that it is stopped.
    pub stopped: bool,
    /// Its camera stands still.
    pub camera_stalled: bool,
    /// Which hands its arms follow, left and right.
    pub engaged: Option<[bool; 2]>,
    /// How far its arms move for a motion of the hands.
    pub scale: Option<f64>,
    /// Why it holds still.
    pub hold: Option<String>,
    /// How much of a picture it sends, and why no more.
    pub video: Option<VideoState>,
}

impl Robot {
    /// Takes a report. `settled`: no command is under way, so that what the report says is what the page shall show;
    /// otherwise it may be older than the command. A stop is always taken, with what it did to the robot.
    pub fn apply(&mut self, report: &RobotTelemetry, settled: bool) {
        self.battery = report.soc.and_then(|soc| i32::try_from(soc).ok()).or(self.battery);
        self.commands = report.cmd;
        let state = &report.state;
        self.stopped = state.estopped.unwrap_or(self.stopped);
        self.camera_stalled = state.video_stalled.unwrap_or(false);
        self.engaged = state.engaged.map(|engaged| [engaged.left, engaged.right]).or(self.engaged);
        self.hold.clone_from(&state.hold);
        self.video.clone_from(&state.video);
        if settled || self.stopped {
            self.posture = state.posture.clone().or_else(|| self.posture.take());
            self.rage = state.rage.or(self.rage);
            self.avoidance = state.obstacle_avoidance.or(self.avoidance);
            self.light = state.light.or(self.light);
            self.scale = state.teleop_scale.or(self.scale);
        }
    }

    /// Whether it can be driven with velocities; robots that say nothing of postures always can.
    pub fn stands(&self) -> bool {
        self.posture.as_deref().is_none_or(|posture| matches!(posture, "StandReady" | "PoseStand"))
    }
}

/// The same motion for a base that scales by itself: parts of its own speed, which is taken for the page's normal one. Such
/// bases go up to twice as fast.
pub fn normalized(velocities: Velocities) -> Velocities {
    let [linear, angular] = SpeedMode::Normal.speeds();
    let part = |velocity: f64, speed: f64| (velocity / speed).clamp(-2.0, 2.0);
    let [x, y, z, roll, pitch, yaw] = velocities;
    [part(x, linear), part(y, linear), part(z, linear), part(roll, angular), part(pitch, angular), part(yaw, angular)]
}

/// Where the robot is in the world, if that can be drawn.
pub fn placed(odom: &Odom) -> Option<[f64; 3]> {
    let place = [odom.x, odom.y, odom.yaw];
    place.iter().all(|value| value.is_finite()).then_some(place)
}

/// The page's own stop: raised by the person and by the robot, lowered by the person alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StopLatch {
    latched: bool,
    /// The robot acknowledged the stop, or said that it is stopped.
    heard: bool,
}

impl StopLatch {
    /// The person stops the robot.
    pub fn stop(&mut self) {
        self.heard &= self.latched;
        self.latched = true;
    }

    /// The robot answered a stop.
    pub fn answered(&mut self, ok: bool) {
        self.heard |= self.latched && ok;
    }

    /// The robot said whether it is stopped.
    pub fn told(&mut self, stopped: bool) {
        self.latched |= stopped;
        self.heard |= stopped;
    }

    /// The person re-arms.
    pub fn rearm(&mut self) {
        *self = Self::default();
    }

    /// Nothing may be sent that moves.
    pub fn is_latched(&self) -> bool {
        self.latched
    }

    /// The stop has to be said again.
    pub fn is_unheard(&self) -> bool {
        self.latched && !self.heard
    }
}

#[cfg(test)]
mod tests {
    use waldo_protocol::hosted::{Engaged, RobotState};

    use super::*;

    fn report(state: RobotState) -> RobotTelemetry {
        RobotTelemetry { state, ..RobotTelemetry::default() }
    }

    #[test]
    fn what_a_report_does_not_say_stays_as_it_was() {
        let mut robot = Robot::default();
        let state = RobotState { posture: Some("StandReady".to_owned()), light: Some(0.5), ..RobotState::default() };
        robot.apply(&RobotTelemetry { soc: Some(88), ..report(state) }, true);
        let engaged = Some(Engaged { left: false, right: true });
        robot.apply(&report(RobotState { engaged, ..RobotState::default() }), true);
        assert_eq!((robot.battery, robot.light, robot.engaged), (Some(88), Some(0.5), Some([false, true])));
        assert_eq!(robot.posture.as_deref(), Some("StandReady"));
    }

    #[test]
    fn a_report_does_not_undo_a_command_that_is_under_way() {
        let mut robot = Robot { light: Some(1.0), ..Robot::default() };
        robot.apply(&report(RobotState { light: Some(0.0), ..RobotState::default() }), false);
        assert_eq!(robot.light, Some(1.0));
        let posture = Some("Damp".to_owned());
        robot.apply(&report(RobotState { posture, estopped: Some(true), ..RobotState::default() }), false);
        assert!(robot.stopped && !robot.stands(), "but a stop counts");
    }

    #[test]
    fn only_a_robot_that_stands_drives() {
        let with = |posture: Option<&str>| Robot { posture: posture.map(str::to_owned), ..Robot::default() };
        assert!(with(None).stands() && with(Some("StandReady")).stands());
        assert!(!with(Some("Damp")).stands() && !with(Some("StandDown")).stands() && !with(Some("Sit")).stands());
    }

    #[test]
    fn a_base_that_scales_by_itself_is_told_parts_of_its_speed_and_at_most_twice_of_it() {
        assert_eq!(normalized([0.5, -0.25, 0.0, 0.0, 0.0, 0.5]), [1.0, -0.5, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(normalized([4.0, 0.0, 0.0, 0.0, 0.0, -1.5]), [2.0, 0.0, 0.0, 0.0, 0.0, -2.0]);
    }

    #[test]
    fn the_robot_raises_the_stop_and_only_the_person_lowers_it() {
        let mut stop = StopLatch::default();
        stop.told(true);
        stop.told(false);
        assert!(stop.is_latched() && !stop.is_unheard());
        stop.rearm();
        assert!(!stop.is_latched());
    }

    #[test]
    fn a_stop_is_said_until_it_was_heard() {
        let mut stop = StopLatch::default();
        stop.stop();
        assert!(stop.is_latched() && stop.is_unheard());
        stop.answered(false);
        assert!(stop.is_unheard(), "the robot refused");
        stop.told(false);
        assert!(stop.is_unheard(), "it does not stand yet");
        stop.answered(true);
        assert!(stop.is_latched() && !stop.is_unheard());
    }
}
