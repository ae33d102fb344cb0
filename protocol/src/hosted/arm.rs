//! A robot with arms: poses and Joys of two hands become motions of their arms, keys become a jog, 50 times a second.
//!
//! Whatever arrives, nothing is put out for a hand that is not engaged, and nothing but the buttons while the emergency
//! stop is latched.

use std::time::Duration;

use glam::{DQuat, DVec3};

use super::dead_man::DeadMan;
use super::engage::{Engage, EngageBy};
use super::frames::{HANDS, HandDelta, controller_pose, webxr_to_robot};
use super::joy::HandJoy;
use super::staleness::{Dropped, Freshness, Now, StalenessGate};
use crate::geometry::{Base, Pose};
use crate::lcm::Twist;
use crate::time::MonoTime;
use crate::vr::Hand;

/// The largest scale an operator can ask for.
pub const MAX_TELEOP_SCALE: f64 = 100.0;
/// The smallest one.
pub const MIN_TELEOP_SCALE: f64 = 1e-3;

/// How [`ArmTeleop`] judges what arrives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArmSettings {
    /// Which stamps count.
    pub freshness: Freshness,
    /// After this long without one, a hand's pose or controller is forgotten and the hand disengages.
    pub input_timeout: Duration,
    /// How a hand engages.
    pub engage_by: EngageBy,
    /// Whether the operator may change the scale.
    pub ui_scaling: bool,
    /// No component of a jog is faster, m/s.
    pub max_jog_linear: f64,
    /// No component of a jog is faster, rad/s.
    pub max_jog_angular: f64,
    /// A jog ends this long after its last command.
    pub jog_dead_man: Duration,
}

impl Default for ArmSettings {
    fn default() -> Self {
        Self {
            freshness: Freshness::default(),
            input_timeout: Duration::from_secs(1),
            engage_by: EngageBy::Hold,
            ui_scaling: false,
            max_jog_linear: 0.25,
            max_jog_angular: 1.5,
            jog_dead_man: Duration::from_millis(200),
        }
    }
}

/// What one tick of the control loop publishes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ArmTick {
    /// The motions of the hands that are engaged, left first.
    pub deltas: [Option<StampedDelta>; 2],
    /// What both controllers hold, for the buttons word: published in every tick, engaged or not. With
    /// [`EngageBy::Toggle`] the primary bits say who is engaged.
    pub controllers: [Option<HandJoy>; 2],
    /// A jog's end: a zero to publish. Its own commands were published as they came.
    pub jog: Option<Twist>,
    /// The hands whose arms followed and were let go because nothing more was heard of them.
    pub expired: [bool; 2],
}

/// A hand's motion with the stamp of the pose that it ends at, Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StampedDelta {
    /// The motion since engaging.
    pub delta: HandDelta,
    /// The stamp of the newest pose.
    pub stamp: f64,
}

#[derive(Debug, Default)]
struct HandInput {
    poses: StalenessGate,
    joys: StalenessGate,
    pose: Option<(MonoTime, f64, Pose<Base>)>,
    joy: Option<(MonoTime, HandJoy)>,
    engage: Engage,
}

impl HandInput {
    /// Forgets what is too old; true if the hand has nothing fresh of a kind that it had.
    fn expire(&mut self, now: MonoTime, timeout: Duration) -> bool {
        let old = |at: MonoTime| now.since(at) > timeout;
        let pose = self.pose.take_if(|(at, ..)| old(*at)).is_some();
        let joy = self.joy.take_if(|(at, _)| old(*at)).is_some();
        pose || joy
    }

    fn forget(&mut self) {
        self.pose = None;
        self.joy = None;
        self.poses = StalenessGate::default();
        self.joys = StalenessGate::default();
    }
}

/// The state of one operator's two hands and of the jog.
#[derive(Debug)]
pub struct ArmTeleop {
    settings: ArmSettings,
    hands: [HandInput; 2],
    jogs: StalenessGate,
    jog: DeadMan,
    jog_ends: bool,
    latched: bool,
    scale: f64,
}

impl ArmTeleop {
    /// Nothing engaged, nothing latched.
    pub fn new(settings: ArmSettings) -> Self {
        let hand = || HandInput { engage: Engage::new(settings.engage_by), ..HandInput::default() };
        Self {
            settings,
            hands: [hand(), hand()],
            jogs: StalenessGate::default(),
            jog: DeadMan::new(settings.jog_dead_man),
            jog_ends: false,
            latched: false,
            scale: 1.0,
        }
    }

    /// A pose of a hand as it is on the wire: WebXR `local-floor`, metres; `stamp` in Unix seconds.
    ///
    /// # Errors
    /// Why it was left out.
    pub fn pose(
        &mut self,
        hand: Hand,
        stamp: f64,
        position: DVec3,
        orientation: DQuat,
        now: Now,
    ) -> Result<(), Dropped> {
        if self.latched {
            return Err(Dropped::Latched);
        }
        let input = &mut self.hands[hand as usize];
        input.poses.check(stamp, now.unix, &self.settings.freshness)?;
        let pose = controller_pose(position, orientation)?;
        input.pose = Some((now.mono, stamp, webxr_to_robot(&pose, hand)));
        Ok(())
    }

    /// A Joy of a hand, also while the stop is latched: after it, the button must be seen released.
    ///
    /// # Errors
    /// Why it was left out. That its button is released counts nevertheless.
    pub fn joy(&mut self, hand: Hand, stamp: f64, axes: &[f32], buttons: &[i32], now: Now) -> Result<(), Dropped> {
        let input = &mut self.hands[hand as usize];
        let accepted =
            input.joys.check(stamp, now.unix, &self.settings.freshness).and_then(|()| HandJoy::read(axes, buttons));
        match accepted {
            Ok(joy) => {
                if !joy.primary() {
                    input.engage.released();
                }
                input.joy = Some((now.mono, joy));
                Ok(())
            }
            Err(dropped) => {
                match buttons.get(HandJoy::PRIMARY) {
                    Some(button) if *button > 0 => {}
                    Some(_) => {
                        input.engage.released();
                        if let Some((_, joy)) = &mut input.joy {
                            joy.buttons[HandJoy::PRIMARY] = false;
                        }
                    }
                    // Nobody knows what is held: no reason to go on.
                    None => drop(input.engage.stop()),
                }
                Err(dropped)
            }
        }
    }

    /// A jog of the end effector, m/s and rad/s; gives what to publish at once: the linear part times the scale, and no
    /// component above its limit.
    ///
    /// # Errors
    /// Why it was left out.
    pub fn jog(&mut self, stamp: f64, twist: Twist, now: Now) -> Result<Twist, Dropped> {
        if self.latched {
            return Err(Dropped::Latched);
        }
        self.jogs.check(stamp, now.unix, &self.settings.freshness)?;
        if !twist.is_finite() {
            return Err(Dropped::NotFinite);
        }
        let scaled = Twist { linear: twist.linear * self.scale, angular: twist.angular };
        let jog = scaled.clamped(self.settings.max_jog_linear, self.settings.max_jog_angular);
        self.jog_ends = false;
        if jog.is_zero() {
            self.jog.rest();
        } else {
            self.jog.feed(now.mono);
        }
        Ok(jog)
    }

    /// One tick of the control loop.
    pub fn tick(&mut self, now: MonoTime) -> ArmTick {
        let mut tick = ArmTick::default();
        if self.jog.ran_out(now) || std::mem::take(&mut self.jog_ends) {
            tick.jog = Some(Twist::ZERO);
        }
        for hand in HANDS {
            let (at, input) = (hand as usize, &mut self.hands[hand as usize]);
            if input.expire(now, self.settings.input_timeout) {
                tick.expired[at] = input.engage.stop();
            }
            if self.latched {
                input.engage.stop();
            }
            let pose = input.pose.as_ref().map(|(_, _, pose)| pose);
            let engaged = input.engage.update(input.joy.map(|(_, joy)| joy.primary()), pose);
            if let (true, Some((_, stamp, pose))) = (engaged, &input.pose) {
                tick.deltas[at] =
                    input.engage.delta(pose, self.scale).map(|delta| StampedDelta { delta, stamp: *stamp });
            }
            tick.controllers[at] = input.joy.map(|(_, mut joy)| {
                if self.settings.engage_by == EngageBy::Toggle {
                    joy.buttons[HandJoy::PRIMARY] = engaged;
                }
                joy
            });
        }
        tick
    }

    /// The emergency stop: both hands disengage, a jog ends with the next tick, and everything but Joys is left out.
    pub fn latch(&mut self) {
        self.latched = true;
        self.stop();
    }

    /// The emergency stop is over. Nothing engages before the buttons were seen released.
    pub fn clear(&mut self) {
        self.latched = false;
        // Pressed since the last tick is no fresh press either.
        for hand in &mut self.hands {
            hand.engage.stop();
        }
    }

    /// Both hands disengage until their buttons were seen released, and a jog ends with the next tick.
    pub fn let_go(&mut self) {
        self.stop();
    }

    /// The operator is gone: both hands disengage, a jog ends with the next tick, and what they sent is forgotten.
    pub fn operator_lost(&mut self) {
        self.stop();
        for hand in &mut self.hands {
            hand.forget();
        }
        self.jogs = StalenessGate::default();
    }

    /// Another scale of the motion of hands and of jogs; false, and no change, if operators may not set it or it is not
    /// within [`MIN_TELEOP_SCALE`] and [`MAX_TELEOP_SCALE`]. An arm that follows does not leap: only its further motion counts differently.
    pub fn set_scale(&mut self, scale: f64) -> bool {
        if !self.settings.ui_scaling || !(MIN_TELEOP_SCALE..=MAX_TELEOP_SCALE).contains(&scale) {
            return false;
        }
        let ratio = scale / self.scale;
        self.scale = scale;
        for hand in &mut self.hands {
            if let Some((_, _, pose)) = &hand.pose {
                hand.engage.rescale(pose, ratio);
            }
        }
        true
    }

    /// Whether a command of the gripper counts.
    pub const fn gripper_allowed(&self) -> bool {
        !self.latched
    }

    /// Whether the emergency stop is latched.
    pub const fn latched(&self) -> bool {
        self.latched
    }

    /// Whether a hand's arm follows.
    pub fn engaged(&self, hand: Hand) -> bool {
        self.hands[hand as usize].engage.engaged()
    }

    /// What the position of a motion is multiplied with.
    pub const fn scale(&self) -> f64 {
        self.scale
    }

    /// When a jog must end unless it goes on. A loop that ticks then too is never late.
    pub const fn jog_deadline(&self) -> Option<MonoTime> {
        self.jog.deadline()
    }

    fn stop(&mut self) {
        for hand in &mut self.hands {
            hand.engage.stop();
        }
        self.jog.rest();
        self.jog_ends = true;
    }
}
