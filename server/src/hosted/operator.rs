//! What the operator does, judged and turned into outputs and wishes. Pure but for the outputs: time is an argument.

use std::time::Duration;

use bytes::Bytes;
use glam::DVec3;
use waldo_protocol::geometry::{Base, Pose};
use waldo_protocol::hosted::{
    ArmTeleop, Arrival, Buttons, CommandKind, CommandStatistics, DriveTeleop, Dropped, HANDS, Hand, HandJoy, Now,
    TaskNames, Twist, hand_of,
};
use waldo_protocol::lcm::{self, Bool, Header, Joy, Message, PoseStamped, Time, TwistStamped, UInt32};
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::CartCommand;

use super::hands::Leads;
use super::outputs::{Output, Outputs, Stream};
use super::rest_gate::RestGate;
use crate::config::{HostedKind, HostedSettings};
use crate::control::FieldHands;
use crate::robot::MobileBase;

/// Controllers of which nothing is heard for so long hold nothing, for the buttons of a robot that drives.
const CONTROLLERS_KEPT: Duration = Duration::from_secs(1);

/// What the operator wants of the robot in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wish {
    pub(super) hands: FieldHands,
    pub(super) base: CartCommand,
    /// Nothing is heard any more of hands that led arms.
    pub(super) silent: bool,
}

impl Wish {
    /// Nothing at all.
    pub(super) const REST: Self = Self { hands: [None; 2], base: CartCommand::STOP, silent: false };
}

/// One operator.
#[derive(Debug)]
pub(super) struct Operator {
    machine: Machine,
    /// For keys and sticks; the hands' buttons have their own rule.
    gate: RestGate,
    statistics: CommandStatistics,
    task_names: TaskNames,
    outputs: Outputs,
}

#[derive(Debug)]
enum Machine {
    Arm { teleop: ArmTeleop, leads: Leads },
    Drive { teleop: DriveTeleop, velocity: Twist, controllers: [Option<(MonoTime, HandJoy)>; 2] },
}

impl Operator {
    pub(super) fn new(settings: &HostedSettings, outputs: Outputs) -> Self {
        let machine = match settings.kind {
            HostedKind::Arm => {
                Machine::Arm { teleop: ArmTeleop::new(settings.arm), leads: Leads::new(settings.jog_hand) }
            }
            HostedKind::Twist => Machine::Drive {
                teleop: DriveTeleop::new(settings.drive),
                velocity: Twist::ZERO,
                controllers: [None; 2],
            },
        };
        let task_names = settings.task_names.clone();
        Self { machine, gate: RestGate::default(), statistics: CommandStatistics::default(), task_names, outputs }
    }

    /// The figures of what arrives.
    pub(super) fn statistics(&self) -> &CommandStatistics {
        &self.statistics
    }

    /// A message of the lossy channel. One of a type that this side does not know is skipped without a word.
    ///
    /// # Errors
    /// Why it was left out.
    pub(super) fn command(&mut self, frame: &[u8], now: Now) -> Result<(), LeftOut> {
        let message = match Message::decode(frame) {
            Ok(message) => message,
            Err(lcm::Error::Unknown(_)) => return Ok(()),
            Err(error) => {
                self.statistics.malformed();
                return Err(LeftOut::Malformed(error));
            }
        };
        let (kind, header) = match &message {
            Message::PoseStamped(pose) => (CommandKind::Pose, &pose.header),
            Message::Joy(joy) => (CommandKind::Joy, &joy.header),
            Message::TwistStamped(twist) => (CommandKind::Twist, &twist.header),
            _ => return Ok(()),
        };
        let stamp = header.stamp.unix_s();
        let (frame_id, seq, bytes) = (header.frame_id.as_str(), header.seq, frame.len());
        self.statistics.arrived(Arrival { kind, frame_id, seq, stamp, at: now.unix, bytes });
        let judged = match &message {
            Message::PoseStamped(pose) => self.pose(pose, stamp, now),
            Message::Joy(joy) => self.joy(joy, stamp, now),
            Message::TwistStamped(twist) => self.twist(twist, stamp, now),
            _ => Ok(()),
        };
        judged.map_err(|dropped| {
            self.statistics.dropped(dropped);
            LeftOut::Dropped(dropped)
        })
    }

    fn pose(&mut self, message: &PoseStamped, stamp: f64, now: Now) -> Result<(), Dropped> {
        match (&mut self.machine, hand_of(&message.header.frame_id)) {
            (Machine::Arm { teleop, .. }, Some(hand)) => {
                teleop.pose(hand, stamp, message.pose.position, message.pose.orientation, now)
            }
            // Of nobody's hand, or for a robot that only drives.
            _ => Ok(()),
        }
    }

    fn joy(&mut self, message: &Joy, stamp: f64, now: Now) -> Result<(), Dropped> {
        let Some(hand) = hand_of(&message.header.frame_id) else { return Ok(()) };
        match &mut self.machine {
            Machine::Arm { teleop, .. } => teleop.joy(hand, stamp, &message.axes, &message.buttons, now),
            Machine::Drive { teleop, velocity, controllers } => {
                let joy = HandJoy::read(&message.axes, &message.buttons)?;
                controllers[hand as usize] = Some((now.mono, joy));
                self.gate.heard(joy.stick != [0.0; 2], now.mono);
                match teleop.joy(hand, stamp, &message.axes, &message.buttons, now) {
                    Ok(asked) if !self.gate.passes(!asked.is_zero()) => {
                        *velocity = Twist::ZERO;
                        Err(Dropped::NotReleased)
                    }
                    Ok(asked) => {
                        *velocity = asked;
                        self.put_velocity(asked, now.unix, "vr", now);
                        Ok(())
                    }
                    Err(Dropped::IdleZero) => {
                        self.gate.passes(false);
                        Ok(())
                    }
                    // Its buttons are of use all the same.
                    Err(Dropped::NotForThisRobot) => Ok(()),
                    Err(dropped) => Err(dropped),
                }
            }
        }
    }

    fn twist(&mut self, message: &TwistStamped, stamp: f64, now: Now) -> Result<(), Dropped> {
        let asked = message.twist;
        self.gate.heard(!asked.is_zero(), now.mono);
        match &mut self.machine {
            Machine::Arm { teleop, leads } => {
                let jog = teleop.jog(stamp, asked, now)?;
                if !self.gate.passes(!jog.is_zero()) {
                    return Err(Dropped::NotReleased);
                }
                leads.jog(jog);
                self.put(Stream::CmdVelStamped, Some(stamp), now, twist_stamped(jog, stamp, &message.header.frame_id));
                self.put(Stream::EeTwist, Some(stamp), now, twist_stamped(jog, stamp, ""));
            }
            Machine::Drive { teleop, velocity, .. } => match teleop.twist(stamp, asked, now) {
                Ok(counts) if !self.gate.passes(!counts.is_zero()) => {
                    *velocity = Twist::ZERO;
                    return Err(Dropped::NotReleased);
                }
                Ok(counts) => {
                    *velocity = counts;
                    self.put_velocity(counts, stamp, &message.header.frame_id, now);
                }
                // As it is meant to be: who rests says so again and again.
                Err(Dropped::IdleZero) => {
                    self.gate.passes(false);
                }
                Err(dropped) => return Err(dropped),
            },
        }
        Ok(())
    }

    /// One step of the control loop, `dt` seconds after the one before. `grippers`: where the left and the right one are
    /// commanded to be. `base`: what the robot drives on, if it may drive.
    pub(super) fn step(
        &mut self,
        dt: f64,
        now: Now,
        grippers: [Option<Pose<Base>>; 2],
        base: Option<&MobileBase>,
    ) -> Wish {
        self.gate.step(now.mono);
        match &mut self.machine {
            Machine::Arm { teleop, leads } => {
                let tick = teleop.tick(now.mono);
                if tick.jog.is_some() {
                    leads.jog(Twist::ZERO);
                }
                let hands = leads.step(dt, &tick, grippers);
                let wish = Wish { hands, silent: leads.silent(&tick), ..Wish::REST };
                if let Some(end) = tick.jog {
                    self.put(Stream::EeTwist, Some(now.unix), now, twist_stamped(end, now.unix, ""));
                }
                for (hand, delta) in HANDS.into_iter().zip(tick.deltas) {
                    let Some(delta) = delta else { continue };
                    let header = header(delta.stamp, self.task_names.frame_id(hand));
                    let pose = lcm::Pose { position: delta.delta.position, orientation: delta.delta.orientation };
                    let message = PoseStamped { header, pose }.encode();
                    self.put(Stream::of_hand(hand), Some(delta.stamp), now, message);
                }
                self.put(Stream::Buttons, None, now, buttons(&tick.controllers, true));
                wish
            }
            Machine::Drive { teleop, velocity, controllers } => {
                if base.is_none() {
                    self.gate.close();
                }
                let stopped = teleop.tick(now.mono);
                if let Some(stop) = stopped {
                    *velocity = stop;
                }
                let velocity = *velocity;
                for held in controllers.iter_mut() {
                    held.take_if(|(at, _)| now.mono.since(*at) >= CONTROLLERS_KEPT);
                }
                let held = controllers.map(|held| held.map(|(_, joy)| joy));
                if let Some(stop) = stopped {
                    self.put(Stream::CmdVel, None, now, twist(stop));
                }
                self.put(Stream::Buttons, None, now, buttons(&held, false));
                Wish { base: base.map_or(CartCommand::STOP, |base| parts(base, velocity)), ..Wish::REST }
            }
        }
    }

    /// When the next step must come so that nothing moves longer than it was asked to.
    pub(super) fn deadline(&self) -> Option<MonoTime> {
        match &self.machine {
            Machine::Arm { teleop, .. } => teleop.jog_deadline(),
            Machine::Drive { teleop, .. } => teleop.deadline(),
        }
    }

    /// The emergency stop is latched, or no longer. True if that is news.
    pub(super) fn latch(&mut self, latched: bool) -> bool {
        let before = match &mut self.machine {
            Machine::Arm { teleop, leads } => {
                let before = teleop.latched();
                match latched {
                    true => {
                        teleop.latch();
                        leads.let_go();
                    }
                    false if before => teleop.clear(),
                    false => {}
                }
                before
            }
            Machine::Drive { teleop, velocity, .. } => {
                let before = teleop.latched();
                match latched {
                    true => {
                        teleop.latch();
                        *velocity = Twist::ZERO;
                    }
                    false => teleop.clear(),
                }
                before
            }
        };
        if before != latched {
            self.gate.close();
        }
        before != latched
    }

    /// The operator is gone, or another one comes: nothing of theirs counts any more.
    pub(super) fn lost(&mut self) {
        self.gate.close();
        match &mut self.machine {
            Machine::Arm { teleop, leads } => {
                teleop.operator_lost();
                leads.let_go();
            }
            Machine::Drive { teleop, velocity, controllers } => {
                teleop.operator_lost();
                (*velocity, *controllers) = (Twist::ZERO, [None; 2]);
            }
        }
    }

    /// The base stands, whatever was asked for before.
    pub(super) fn rest(&mut self) {
        self.gate.close();
        if let Machine::Drive { velocity, .. } = &mut self.machine {
            *velocity = Twist::ZERO;
        }
    }

    /// Whoever numbers commands from now on may begin anew.
    pub(super) fn restart(&mut self) {
        self.statistics.restart();
    }

    /// The gripper button; true if it counts.
    pub(super) fn gripper(&mut self, closed: bool, now: Now) -> bool {
        let Machine::Arm { teleop, leads } = &mut self.machine else { return false };
        let counts = teleop.gripper_allowed() && leads.press_gripper(closed);
        if counts {
            self.put(Stream::Gripper, None, now, Bool { data: closed }.encode());
        }
        counts
    }

    /// Another scale of motion; true if it counts.
    pub(super) fn set_scale(&mut self, scale: f64) -> bool {
        match &mut self.machine {
            Machine::Arm { teleop, .. } => teleop.set_scale(scale),
            Machine::Drive { .. } => false,
        }
    }

    /// The scale of motion; none for a robot that only drives.
    pub(super) fn scale(&self) -> Option<f64> {
        match &self.machine {
            Machine::Arm { teleop, .. } => Some(teleop.scale()),
            Machine::Drive { .. } => None,
        }
    }

    /// Whether the hand's button is held and counts.
    pub(super) fn engaged(&self, hand: Hand) -> bool {
        matches!(&self.machine, Machine::Arm { teleop, .. } if teleop.engaged(hand))
    }

    fn put_velocity(&self, velocity: Twist, stamp: f64, frame_id: &str, now: Now) {
        self.put(Stream::CmdVelStamped, Some(stamp), now, twist_stamped(velocity, stamp, frame_id));
        self.put(Stream::CmdVel, None, now, twist(velocity));
    }

    fn put(&self, stream: Stream, stamp: Option<f64>, now: Now, data: Vec<u8>) {
        self.outputs.put(Output { stream, stamp, at: now.unix, data: Bytes::from(data) });
    }
}

/// Why a message of the lossy channel counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub(super) enum LeftOut {
    #[error(transparent)]
    Malformed(lcm::Error),
    #[error(transparent)]
    Dropped(Dropped),
}

/// What both controllers hold.
fn buttons(controllers: &[Option<HandJoy>; 2], analog: bool) -> Vec<u8> {
    UInt32::from(Buttons::pack(controllers, analog)).encode()
}

fn header(stamp: f64, frame_id: &str) -> Header {
    Header { seq: 0, stamp: Time::from_unix_s(stamp), frame_id: frame_id.to_owned() }
}

fn twist(of: Twist) -> Vec<u8> {
    of.encode()
}

fn twist_stamped(of: Twist, stamp: f64, frame_id: &str) -> Vec<u8> {
    TwistStamped { header: header(stamp, frame_id), twist: of }.encode()
}

/// A velocity as parts of what this base can do.
fn parts(base: &MobileBase, velocity: Twist) -> CartCommand {
    let part = |value: f64, most: f64| if most > 0.0 { value / most } else { 0.0 };
    let DVec3 { x, y, .. } = velocity.linear;
    CartCommand {
        vx: part(x, base.max_speed),
        vy: part(y, base.max_speed),
        wz: part(velocity.angular.z, base.max_turn),
        ..CartCommand::STOP
    }
}
