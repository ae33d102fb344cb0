//! How the actions of policies become commands of the arms.

use std::fmt;
use std::sync::Arc;

use super::{Arm, ArmCommand, Description};

/// Why an action is not followed. The text is for whoever sent it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// It has another number of values.
    #[error(
        "an action of shape {shape:?} has {got} values; this robot takes {size}, as shape [{size}] or [1, {size}]: {layout}"
    )]
    Size {
        /// The action's shape.
        shape: Vec<usize>,
        /// How many values it has.
        got: usize,
        /// How many values an action of this robot has.
        size: usize,
        /// What they mean.
        layout: String,
    },
    /// It is several actions in one.
    #[error(
        "an action of shape [{rows}, {size}] is {rows} actions and says of none when it is due; send one at a time, or all as \
        a chunk with due times"
    )]
    Rows {
        /// How many.
        rows: usize,
        /// The values of one.
        size: usize,
    },
    /// A value is not a finite number.
    #[error("value {at} of the action is not a finite number")]
    NotFinite {
        /// Which one, from 0.
        at: usize,
    },
    /// The robot's own words.
    #[error("{0}")]
    Other(String),
}

type Decode = dyn Fn(&[f32]) -> Result<Vec<ArmCommand>, ActionError> + Send + Sync;

/// What the numbers of an action mean. Cheap to clone.
///
/// ```
/// use waldo_server::robot::{ActionLayout, ArmCommand};
///
/// // An arm of one joint that policies move in degrees.
/// let degrees = ActionLayout::new(2, "joint_position", "elbow in degrees; gripper 0 closed to 1 open", |values| {
///     let gripper = f64::from(values[1]);
///     Ok(vec![ArmCommand { joints: vec![f64::from(values[0]).to_radians()], gripper }])
/// });
/// assert_eq!(degrees.decode(&[1, 2], &[180.0, 0.5])?[0].gripper, 0.5);
/// let refused = degrees.decode(&[3], &[0.0; 3]).unwrap_err().to_string();
/// assert!(refused.contains("has 3 values; this robot takes 2"), "{refused}");
/// # Ok::<(), waldo_server::robot::ActionError>(())
/// ```
#[derive(Clone)]
pub struct ActionLayout {
    size: usize,
    kind: String,
    words: String,
    decode: Arc<Decode>,
}

impl fmt::Debug for ActionLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActionLayout").field("size", &self.size).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl ActionLayout {
    /// Actions of `size` values. `kind` is one word for programs, such as `joint_position`; `words` tell people what each
    /// value means, with its unit. `decode` gets exactly `size` finite values and returns the arms in the order of the
    /// description; it is called on many threads and must not block.
    pub fn new(
        size: usize,
        kind: impl Into<String>,
        words: impl Into<String>,
        decode: impl Fn(&[f32]) -> Result<Vec<ArmCommand>, ActionError> + Send + Sync + 'static,
    ) -> Self {
        Self { size, kind: kind.into(), words: words.into(), decode: Arc::new(decode) }
    }

    /// Per arm, in the order of the description: the target of each joint in rad, then the opening of the gripper, 0 closed
    /// to 1 open.
    pub fn joint_targets(description: &Description) -> Self {
        let joints: Vec<usize> = description.arms.iter().map(|arm| arm.joints.len()).collect();
        let size = joints.iter().map(|n| n + 1).sum();
        let words: Vec<String> = description.arms.iter().map(arm_in_words).collect();
        Self::new(size, "joint_position", words.join("; "), move |values| {
            let mut rest = values;
            let mut next = |n: usize| {
                let (arm, others) = rest.split_at_checked(n + 1)?;
                rest = others;
                let (gripper, joints) = arm.split_last()?;
                let joints = joints.iter().copied().map(f64::from).collect();
                Some(ArmCommand { joints, gripper: f64::from(*gripper) })
            };
            // `decode` has checked the number of values, so none is missing.
            Ok(joints.iter().filter_map(|n| next(*n)).collect())
        })
    }

    /// Values of one action.
    pub fn size(&self) -> usize {
        self.size
    }

    /// What the values are, in one word for programs.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What each value means, for people.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// Reads an action of shape `[size]` or `[1, size]`.
    ///
    /// `[n, size]` is one call with n actions and no due times. Followed at once, the last row would win and the others be
    /// lost without a word; so it is refused.
    ///
    /// # Errors
    /// [`ActionError`]; for a wrong size it names both sizes and the layout.
    pub fn decode(&self, shape: &[usize], values: &[f32]) -> Result<Vec<ArmCommand>, ActionError> {
        let size = self.size;
        match shape {
            &[n] | &[1, n] if n == size && values.len() == size => {}
            &[rows, n] if n == size && rows > 1 => return Err(ActionError::Rows { rows, size }),
            _ => {
                let (shape, got, layout) = (shape.to_vec(), values.len(), self.words.clone());
                return Err(ActionError::Size { shape, got, size, layout });
            }
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(ActionError::NotFinite { at });
        }
        (self.decode)(values)
    }
}

fn arm_in_words(arm: &Arm) -> String {
    let joints: Vec<&str> = arm.joints.iter().map(|joint| joint.name.as_str()).collect();
    format!("{}: {} in rad, gripper 0 closed to 1 open", arm.name, joints.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robot::sim::model;

    fn layout() -> ActionLayout {
        ActionLayout::joint_targets(&model::description())
    }

    #[test]
    fn the_simulated_robot_takes_seven_joints_and_a_gripper_per_arm_left_first() {
        let values: Vec<f32> = (0u8..16).map(f32::from).collect();
        for shape in [&[16][..], &[1, 16]] {
            let arms = layout().decode(shape, &values).unwrap();
            assert_eq!(arms[0], ArmCommand { joints: (0u8..7).map(f64::from).collect(), gripper: 7.0 });
            assert_eq!(arms[1], ArmCommand { joints: (8u8..15).map(f64::from).collect(), gripper: 15.0 });
        }
        let words = layout().words().to_owned();
        assert!(words.starts_with("left: shoulder_pitch, ") && words.contains("; right: "), "{words}");
        assert!(words.contains("in rad, gripper 0 closed to 1 open"), "{words}");
    }

    #[test]
    fn a_wrong_size_is_refused_with_both_sizes_and_the_layout() {
        for shape in [&[14][..], &[], &[0], &[1, 14], &[16, 1], &[1, 1, 16], &[0, 16], &[2, 8]] {
            let values = vec![0.0; shape.iter().product()];
            let error = layout().decode(shape, &values).unwrap_err().to_string();
            assert!(error.contains(&format!("{shape:?} has {} values", values.len())), "{error}");
            assert!(error.contains("takes 16, as shape [16] or [1, 16]: left: shoulder_pitch"), "{error}");
        }
    }

    #[test]
    fn several_actions_in_one_are_refused_with_the_way_to_send_them() {
        let error = layout().decode(&[5, 16], &[0.0; 80]).unwrap_err();
        assert_eq!(error, ActionError::Rows { rows: 5, size: 16 });
        assert!(error.to_string().contains("chunk with due times"), "{error}");
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        let mut values = [0.0; 16];
        values[9] = f32::NAN;
        assert_eq!(layout().decode(&[16], &values), Err(ActionError::NotFinite { at: 9 }));
        values[9] = f32::NEG_INFINITY;
        assert_eq!(layout().decode(&[16], &values), Err(ActionError::NotFinite { at: 9 }));
    }
}
