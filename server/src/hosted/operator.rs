//! What the operator does, judged and turned into outputs and wishes. Pure but for the outputs: time is an argument.

mod judge;

use std::time::Duration;

use bytes::Bytes;
use glam::DVec3;
use waldo_protocol::geometry::{Base, Pose};
use waldo_protocol::hosted::{
    ArmTeleop, Buttons, CommandStatistics, DriveTeleop, HANDS, Hand, HandJoy, Now, TaskNames, Twist,
};
use waldo_protocol::lcm::{self, Bool, Header, PoseStamped, Time, TwistStamped, UInt32};
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::CartCommand;

pub(super) use self::judge::LeftOut;
use super::hands::Leads;
use super::outputs::{Output, Outputs, Stream};
use super::rest_gate::RestGate;
use crate::config::{HostedKind, HostedSettings};
use crate::control::{FieldHand, FieldHands};
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
    /// Whether the robot does what the operator asks for. Only then others in the robot may.
    heeded: bool,
    /// The same for the base, which also must stand ready.
    drives: bool,
    /// The velocity put out last was none of zero.
    going: bool,
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
        Self {
            machine,
            gate: RestGate::default(),
            statistics: CommandStatistics::default(),
            task_names,
            outputs,
            heeded: true,
            drives: true,
            going: false,
        }
    }

    /// The figures of what arrives.
    pub(super) fn statistics(&self) -> &CommandStatistics {
        &self.statistics
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
                    self.going = false;
                    self.put(Stream::EeTwist, Some(now.unix), now, twist_stamped(end, now.unix, ""));
                }
                for (hand, delta) in HANDS.into_iter().zip(tick.deltas) {
                    let Some(delta) = delta.filter(|_| self.heeded) else { continue };
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
                    self.going = false;
                    self.put(Stream::CmdVel, None, now, twist(stop));
                }
                self.put(Stream::Buttons, None, now, buttons(&held, false));
                self.drives = self.heeded && base.is_some();
                if !self.drives {
                    self.put_stand(now);
                }
                Wish { base: base.map_or(CartCommand::STOP, |base| parts(base, velocity)), ..Wish::REST }
            }
        }
    }

    /// What somebody wants who holds nothing.
    pub(super) fn resting(&self) -> Wish {
        let released = FieldHand { pose: Pose::IDENTITY, grips: false, follows: false, grip: None, rests: false };
        match &self.machine {
            Machine::Arm { .. } => Wish { hands: [Some(released); 2], ..Wish::REST },
            Machine::Drive { .. } => Wish::REST,
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

    /// The operator is lost: nothing of theirs counts any more, and what they hold when they come back neither.
    pub(super) fn lost(&mut self) {
        self.forget();
        self.gate.shut();
    }

    /// Something is heard again of an operator who was lost.
    pub(super) fn returned(&mut self, now: MonoTime) {
        self.gate.returned(now);
    }

    /// Another operator comes, or the same over other channels: nothing of before counts any more.
    pub(super) fn arrived(&mut self) {
        self.forget();
        self.gate = RestGate::default();
        self.statistics.restart();
    }

    fn forget(&mut self) {
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
    pub(super) fn rest(&mut self, now: Now) {
        self.gate.close();
        if let Machine::Drive { velocity, .. } = &mut self.machine {
            *velocity = Twist::ZERO;
        }
        self.put_stand(now);
    }

    /// Whether the robot does what the operator asks for. While it does not, nobody else in the robot hears of it either.
    pub(super) fn heed(&mut self, heeded: bool, now: Now) {
        if std::mem::replace(&mut self.heeded, heeded) == heeded {
            return;
        }
        // What was held all along moves nothing, neither then nor when the robot heeds them again.
        self.gate.close();
        if let Machine::Arm { teleop, leads } = &mut self.machine {
            teleop.let_go();
            leads.let_go();
        }
        if !heeded {
            self.drives = false;
            self.put_stand(now);
        }
    }

    /// Whether a key or stick is held that counts only after it was let go.
    pub(super) fn awaits_release(&self) -> bool {
        self.gate.waits()
    }

    /// Whether the robot does what the operator asks for.
    pub(super) fn heeded(&self) -> bool {
        self.heeded
    }

    /// Whether the operator has driven so lately that navigation must wait.
    pub(super) fn manual(&self, now: MonoTime) -> bool {
        matches!(&self.machine, Machine::Drive { teleop, .. } if teleop.manual(now))
    }

    /// Whether the emergency stop counted as latched at the last look.
    pub(super) fn stopped(&self) -> bool {
        match &self.machine {
            Machine::Arm { teleop, .. } => teleop.latched(),
            Machine::Drive { teleop, .. } => teleop.latched(),
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
        if counts && self.heeded {
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

    /// Puts out a velocity of the base with its stamp and address. `manual`: the operator drove already.
    fn put_velocity(&mut self, velocity: Twist, manual: bool, (stamp, frame_id): (f64, &str), now: Now) {
        if !self.drives {
            return;
        }
        self.going = !velocity.is_zero();
        if self.going && !manual {
            // Who drives themselves wants no navigation to do it.
            self.put(Stream::StopMovement, None, now, Bool { data: true }.encode());
        }
        self.put(Stream::CmdVelStamped, Some(stamp), now, twist_stamped(velocity, stamp, frame_id));
        self.put(Stream::CmdVel, None, now, twist(velocity));
    }

    /// Puts out that base or gripper stand, if they were told to move.
    fn put_stand(&mut self, now: Now) {
        if std::mem::take(&mut self.going) {
            match &self.machine {
                Machine::Arm { .. } => {
                    self.put(Stream::EeTwist, Some(now.unix), now, twist_stamped(Twist::ZERO, now.unix, ""));
                }
                Machine::Drive { .. } => self.put(Stream::CmdVel, None, now, twist(Twist::ZERO)),
            }
        }
    }

    fn put(&self, stream: Stream, stamp: Option<f64>, now: Now, data: Vec<u8>) {
        self.outputs.put(Output { stream, stamp, at: now.unix, data: Bytes::from(data) });
    }
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
