//! What becomes of one message of the lossy channel.

use waldo_protocol::hosted::{Arrival, CommandKind, Dropped, HandJoy, Now, Twist, hand_of};
use waldo_protocol::lcm::{self, Joy, Message, PoseStamped, TwistStamped};

use super::super::outputs::Stream;
use super::{Machine, Operator, twist_stamped};

/// Why a message of the lossy channel counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub(in crate::hosted) enum LeftOut {
    #[error(transparent)]
    Malformed(lcm::Error),
    #[error(transparent)]
    Dropped(Dropped),
    #[error("nobody would tell the robot that its operator left")]
    Blind,
}

impl Operator {
    /// A message of the lossy channel. One of a type that this side does not know is skipped without a word.
    ///
    /// # Errors
    /// Why it was left out.
    pub(in crate::hosted) fn command(&mut self, frame: &[u8], now: Now) -> Result<(), LeftOut> {
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
                let held = &mut controllers[hand as usize];
                self.gate.heard(joy.stick != [0.0; 2], now.mono);
                let manual = teleop.manual(now.mono);
                match teleop.joy(hand, stamp, &message.axes, &message.buttons, now) {
                    Ok(asked) => {
                        *held = Some((now.mono, joy));
                        if !self.gate.passes(!asked.is_zero()) {
                            *velocity = Twist::ZERO;
                            return Err(Dropped::NotReleased);
                        }
                        *velocity = asked;
                        self.put_velocity(asked, manual, (now.unix, "vr"), now);
                        Ok(())
                    }
                    Err(Dropped::IdleZero) => {
                        *held = Some((now.mono, joy));
                        self.gate.passes(false);
                        Ok(())
                    }
                    // Its buttons are of use all the same.
                    Err(Dropped::NotForThisRobot) => {
                        *held = Some((now.mono, joy));
                        Ok(())
                    }
                    Err(Dropped::Latched) => {
                        *held = Some((now.mono, joy));
                        Err(Dropped::Latched)
                    }
                    Err(dropped) => {
                        if let Some((_, held)) = held {
                            held.release(&joy);
                        }
                        Err(dropped)
                    }
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
                if self.heeded {
                    self.going = !jog.is_zero();
                    let named = twist_stamped(jog, stamp, &message.header.frame_id);
                    self.put(Stream::CmdVelStamped, Some(stamp), now, named);
                    self.put(Stream::EeTwist, Some(stamp), now, twist_stamped(jog, stamp, ""));
                }
            }
            Machine::Drive { teleop, velocity, .. } => {
                let manual = teleop.manual(now.mono);
                match teleop.twist(stamp, asked, now) {
                    Ok(counts) if !self.gate.passes(!counts.is_zero()) => {
                        *velocity = Twist::ZERO;
                        return Err(Dropped::NotReleased);
                    }
                    Ok(counts) => {
                        *velocity = counts;
                        self.put_velocity(counts, manual, (stamp, &message.header.frame_id), now);
                    }
                    // As it is meant to be: who rests says so again and again.
                    Err(Dropped::IdleZero) => {
                        self.gate.passes(false);
                    }
                    Err(dropped) => return Err(dropped),
                }
            }
        }
        Ok(())
    }
}
