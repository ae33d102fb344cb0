//! The people in a scene, for each other to see; an extension that client and server agree on.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Transform, XrInputSample};

/// A user as the others see them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Person {
    /// The head.
    pub head_pose: Transform,
    /// The hands, by the keys of the sample's controllers.
    pub controllers: BTreeMap<String, PersonHand>,
}

/// A hand as the others see it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PersonHand {
    /// As the user's controller tells it.
    pub pose: Transform,
    /// 0 open … 1 closed.
    pub grip: f64,
    /// 0 … 1.
    pub trigger: f64,
}

impl From<&XrInputSample> for Person {
    fn from(sample: &XrInputSample) -> Self {
        let hand = |(key, hand): (&String, &super::ControllerSample)| {
            (key.clone(), PersonHand { pose: hand.pose, grip: hand.grip, trigger: hand.trigger })
        };
        Self { head_pose: sample.head_pose, controllers: sample.controllers.iter().map(hand).collect() }
    }
}
