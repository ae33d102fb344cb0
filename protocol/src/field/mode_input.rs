//! What buttons and sticks mean in the modes that use them for more than following.

use super::{ArmCommand, GRIP_CLICK, PRIMARY, SECONDARY, TRIGGER_CLICK};

/// What a hand asks of a growing rod (`two-gcr`). Its tip always follows the pose; nothing detaches it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GrowingInput {
    /// Grow: `secondary` alone.
    pub grow: bool,
    /// Retract: `primary` alone.
    pub retract: bool,
    /// `grip_click` was pressed since the command before: one wave.
    pub wave: bool,
    /// How the stick bends the tip: right and back are positive.
    pub bend: [f64; 2],
    /// Suction: `trigger_click`.
    pub suction: bool,
}

impl GrowingInput {
    /// From the newest command of an arm and the one of the tick before, if there was one.
    pub fn of(command: &ArmCommand, previous: Option<&ArmCommand>) -> Self {
        let (grow, retract) = (command.pressed(SECONDARY), command.pressed(PRIMARY));
        Self {
            grow: grow && !retract,
            retract: retract && !grow,
            wave: newly_pressed(command, previous, GRIP_CLICK),
            bend: command.joystick,
            suction: command.pressed(TRIGGER_CLICK),
        }
    }
}

/// What a hand asks of a throwing arm (`cathy-throw`), besides what every arm does with its pose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThrowingInput {
    /// The base is pulled: `grip_click`.
    pub base_pull: bool,
    /// The sucker holds: `trigger_click`.
    pub sucker: bool,
}

impl ThrowingInput {
    /// From the newest command of an arm.
    pub fn of(command: &ArmCommand) -> Self {
        Self { base_pull: command.pressed(GRIP_CLICK), sucker: command.pressed(TRIGGER_CLICK) }
    }
}

/// Whether a button is held that was not in the command of the tick before. Without one before, it counts as a press.
pub fn newly_pressed(command: &ArmCommand, previous: Option<&ArmCommand>, button: &str) -> bool {
    command.pressed(button) && !previous.is_some_and(|previous| previous.pressed(button))
}
