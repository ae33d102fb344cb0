//! What arms are told.

use std::collections::BTreeMap;

use serde::Serialize;

use super::object::object;
use super::read::{Named, from_json};
use super::{Buttons, Invalid, MAX_BUTTONS, Transform, Twist};

/// Most commands in one message.
pub const MAX_COMMANDS: usize = 1024;

/// What one arm is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArmCommand {
    /// Never empty in a value that was read.
    pub arm_id: String,
    /// The clutch is held.
    pub active: bool,
    /// Where the tip shall be.
    pub target: Transform,
    /// Of the controller, passed on unchanged.
    pub velocity: Twist,
    /// Zero inside of the deadband.
    pub joystick: [f64; 2],
    /// Of the controller, passed on unchanged.
    pub buttons: Buttons,
}

impl ArmCommand {
    /// An inactive command to that arm with nothing pressed.
    pub fn inactive(arm_id: impl Into<String>, target: Transform) -> Self {
        Self {
            arm_id: arm_id.into(),
            active: false,
            target,
            velocity: Twist::default(),
            joystick: [0.0; 2],
            buttons: Buttons::new(),
        }
    }

    /// Reads a JSON object with at least `arm_id`, `active` and `target`.
    ///
    /// # Errors
    /// [`Invalid::Disconnected`] for an empty arm id, else the reason.
    pub fn from_json(text: &str) -> Result<Self, Invalid> {
        let command: Self = from_json("ArmCommand", text)?;
        command.check()?;
        Ok(command)
    }

    fn check(&self) -> Result<(), Invalid> {
        if self.arm_id.is_empty() { Err(Invalid::Disconnected) } else { Ok(()) }
    }

    /// Whether a button is held.
    pub fn pressed(&self, button: &str) -> bool {
        self.buttons.get(button).copied().unwrap_or_default()
    }
}

object! {
    ArmCommand {
        arm_id: String,
        active: bool,
        target: Transform,
        velocity: Twist = Twist::default(),
        joystick: [f64; 2] = [0.0; 2],
        buttons: Named<bool, MAX_BUTTONS> = Buttons::new(),
    }
}

/// What the arms of one user are told at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MultiArmCommand {
    /// That of the sample it was made of.
    pub timestamp: f64,
    /// By arm id; each key is its command's [`ArmCommand::arm_id`].
    pub commands: BTreeMap<String, ArmCommand>,
    /// Of the user.
    pub head_pose: Option<Transform>,
    /// Of the user, `crawl` always among them if a mapper made it.
    pub actions: Buttons,
}

impl MultiArmCommand {
    /// Commands by their arm ids; of two for one arm the later counts.
    pub fn new(timestamp: f64, commands: impl IntoIterator<Item = ArmCommand>) -> Self {
        let commands = commands.into_iter().map(|command| (command.arm_id.clone(), command)).collect();
        Self { timestamp, commands, head_pose: None, actions: Buttons::new() }
    }

    /// Reads a JSON object with at least `timestamp` and `commands`.
    ///
    /// # Errors
    /// As [`Self::check`], or the reason.
    pub fn from_json(text: &str) -> Result<Self, Invalid> {
        let command: Self = from_json("MultiArmCommand", text)?;
        command.check()?;
        Ok(command)
    }

    /// Refuses what no program may be given: a command without an arm, or under another arm's key.
    ///
    /// # Errors
    /// [`Invalid::Disconnected`] for an empty arm id, else the reason.
    pub fn check(&self) -> Result<(), Invalid> {
        for (key, command) in &self.commands {
            command.check()?;
            if *key != command.arm_id {
                return Err(Invalid::reason("command keys must match ArmCommand.arm_id"));
            }
        }
        Ok(())
    }
}

object! {
    MultiArmCommand {
        timestamp: f64,
        commands: Named<ArmCommand, MAX_COMMANDS>,
        head_pose: Option<Transform> = None,
        actions: Named<bool, MAX_BUTTONS> = Buttons::new(),
    }
}
