//! Actions of a policy.

use std::time::{Duration, Instant};

use ndarray::{ArrayBase, ArrayView2, Data, Dimension};
use waldo_protocol::policy::ChunkMode;

use crate::{ActionError, Observation};

/// One action: an array of float32 of any shape, copied when it is made, and the stamps of the observation it was
/// computed from.
///
/// ```
/// use waldo_policy_client::Action;
///
/// let action = Action::from([0.1_f32, 0.2, 0.3]);
/// assert_eq!(action.shape(), [3]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
    /// Camera → its stamp; `None`: of the newest observation at the time of the call.
    pub(crate) stamps: Option<Vec<(String, f64)>>,
}

impl Action {
    /// An action of that shape, outermost dimension first; no dimension at all is a single value.
    ///
    /// # Errors
    /// The values are not as many as the shape says.
    pub fn new(shape: impl Into<Vec<usize>>, values: impl Into<Vec<f32>>) -> Result<Self, ActionError> {
        let (shape, values) = (shape.into(), values.into());
        if shape.iter().try_fold(1, |size: usize, n| size.checked_mul(*n)) != Some(values.len()) {
            return Err(ActionError::Values { values: values.len(), shape });
        }
        Ok(Self { shape, values, stamps: None })
    }

    /// The same action, computed from that observation, which the robot is told.
    #[must_use]
    pub fn computed_from(mut self, observation: &Observation) -> Self {
        self.stamps = Some(observation.camera_stamps());
        self
    }

    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its values in C order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Whether it can be sent to a robot that takes actions of the shape `expected`, if it says so.
    pub(crate) fn check(&self, expected: Option<&[usize]>) -> Result<(), ActionError> {
        check_finite(&self.values)?;
        match expected {
            Some(expected) if essence(expected) != essence(&self.shape) => {
                Err(ActionError::Shape { actual: self.shape.clone(), expected: expected.to_vec() })
            }
            _ => Ok(()),
        }
    }
}

/// A time so many steps later; `None` if that is no time.
pub(crate) fn after(start: Instant, step: Duration, steps: usize) -> Option<Instant> {
    start.checked_add(step.checked_mul(u32::try_from(steps).ok()?)?)
}

fn check_finite(values: &[f32]) -> Result<(), ActionError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(ActionError::NotFinite { index, value: values[index] }),
        None => Ok(()),
    }
}

/// A shape without leading dimensions of 1: `[1, 7]` and `[7]` are one action of 7 values.
fn essence(shape: &[usize]) -> &[usize] {
    let ones = shape.iter().take_while(|n| **n == 1).count();
    &shape[ones.min(shape.len().saturating_sub(1))..]
}

impl From<&[f32]> for Action {
    fn from(values: &[f32]) -> Self {
        values.to_vec().into()
    }
}

impl From<Vec<f32>> for Action {
    fn from(values: Vec<f32>) -> Self {
        Self { shape: vec![values.len()], values, stamps: None }
    }
}

impl<const N: usize> From<[f32; N]> for Action {
    fn from(values: [f32; N]) -> Self {
        values.to_vec().into()
    }
}

impl<S: Data<Elem = f32>, D: Dimension> From<&ArrayBase<S, D>> for Action {
    fn from(array: &ArrayBase<S, D>) -> Self {
        Self { shape: array.shape().to_vec(), values: array.iter().copied().collect(), stamps: None }
    }
}

/// When the rows of a chunk are due.
#[derive(Clone, Debug, PartialEq)]
pub enum Due {
    /// The first at a time, each next one a step later.
    Every {
        /// Due time of the first row.
        start: Instant,
        /// Time between two rows.
        step: Duration,
    },
    /// One time per row, in the order of time.
    At(Vec<Instant>),
}

/// Several actions, each with the time at which the robot is to execute it.
///
/// ```
/// use std::time::{Duration, Instant};
/// use ndarray::array;
/// use waldo_policy_client::{Chunk, Due};
///
/// let actions = array![[0.0_f32, 0.1], [0.0, 0.2], [0.0, 0.3]];
/// let every = Due::Every { start: Instant::now() + Duration::from_millis(50), step: Duration::from_millis(33) };
/// let chunk = Chunk::new(actions.view(), every).replacing();
/// assert_eq!(chunk.rows(), 3);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    pub(crate) shape: [usize; 2],
    pub(crate) values: Vec<f32>,
    pub(crate) due: Due,
    pub(crate) mode: ChunkMode,
    pub(crate) late_limit: Duration,
    pub(crate) stamps: Option<Vec<(String, f64)>>,
}

impl Chunk {
    /// One action per row, beside those that wait already.
    pub fn new(actions: ArrayView2<'_, f32>, due: Due) -> Self {
        let (rows, values) = actions.dim();
        Self {
            shape: [rows, values],
            values: actions.iter().copied().collect(),
            due,
            mode: ChunkMode::Append,
            late_limit: Duration::ZERO,
            stamps: None,
        }
    }

    /// The same chunk in the place of all rows that wait and are due at or after its first row which is not late.
    #[must_use]
    pub fn replacing(mut self) -> Self {
        self.mode = ChunkMode::Replace;
        self
    }

    /// The same chunk, of which rows still count that come so much too late.
    #[must_use]
    pub fn late_limit(mut self, limit: Duration) -> Self {
        self.late_limit = limit;
        self
    }

    /// The same chunk, computed from that observation, which the robot is told.
    #[must_use]
    pub fn computed_from(mut self, observation: &Observation) -> Self {
        self.stamps = Some(observation.camera_stamps());
        self
    }

    /// Number of actions.
    pub fn rows(&self) -> usize {
        self.shape[0]
    }

    pub(crate) fn check(&self, expected: Option<&[usize]>) -> Result<(), ActionError> {
        check_finite(&self.values)?;
        if self.shape[1] == 0 && self.shape[0] > 0 {
            return Err(ActionError::Values { values: 0, shape: self.shape.to_vec() });
        }
        if let Due::At(due) = &self.due {
            if due.len() != self.rows() {
                return Err(ActionError::Due("a chunk needs one due time per row"));
            }
            if !due.is_sorted() {
                return Err(ActionError::Due("due times must be in the order of time"));
            }
        }
        if let Due::Every { start, step } = self.due
            && after(start, step, self.rows()).is_none()
        {
            return Err(ActionError::Due("due times are too far away"));
        }
        match expected {
            Some(expected) if essence(expected) != essence(&self.shape[1..]) => {
                Err(ActionError::Shape { actual: self.shape.to_vec(), expected: expected.to_vec() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{array, s};

    use super::*;

    #[test]
    fn an_action_has_its_arrays_shape_and_a_copy_of_its_values() {
        let mut array = array![[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let action = Action::from(&array.slice(s![.., ..;2]));
        array[[0, 0]] = 9.0;
        assert_eq!((action.shape(), action.values()), (&[2, 2][..], &[1.0, 3.0, 4.0, 6.0][..]));
        assert!(Action::new([2, 3], vec![0.0; 5]).is_err() && Action::new([], [1.0]).is_ok());
    }

    #[test]
    fn only_finite_actions_of_the_robots_shape_can_be_sent() {
        let action = Action::from([0.0, f32::NAN]);
        assert!(matches!(action.check(None), Err(ActionError::NotFinite { index: 1, .. })));
        let action = Action::from([0.0; 7]);
        for (expected, fits) in [(&[7][..], true), (&[1, 7], true), (&[8], false), (&[2, 7], false), (&[], false)] {
            assert_eq!(action.check(Some(expected)).is_ok(), fits, "{expected:?}");
        }
        assert_eq!(Action::new([], [1.0]).unwrap().check(Some(&[])), Ok(()));
    }

    #[test]
    fn a_chunk_needs_a_due_time_per_row_in_order() {
        let rows = array![[0.0_f32], [1.0]];
        let now = Instant::now();
        let chunk = |due: Vec<Instant>| Chunk::new(rows.view(), Due::At(due)).check(Some(&[1, 1]));
        assert_eq!(chunk(vec![now, now]), Ok(()));
        assert!(chunk(vec![now]).is_err());
        assert!(chunk(vec![now + Duration::from_secs(1), now]).is_err());
    }
}
