//! The readings of a robot's arms and base as proprioception streams.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use glam::EulerRot;

use super::{ProprioSnapshot, Proprioception};

/// A reading, with its values as they are on the policy wire.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) proprio: Arc<Proprioception>,
    n: u64,
    /// One after the other: per arm its joints and its gripper, then the base, then the lift.
    values: Bytes,
}

impl Reading {
    #[expect(clippy::cast_possible_truncation, reason = "the policy wire has float32")]
    pub(super) fn new(proprio: Proprioception, n: u64) -> Self {
        let mut values =
            BytesMut::with_capacity(proprio.arms.iter().map(|arm| arm.joints.len() + 1).sum::<usize>() * 4 + 16);
        let mut put = |value: f64| values.put_f32_le(value as f32);
        for arm in &proprio.arms {
            arm.joints.iter().for_each(|joint| put(*joint));
            put(arm.gripper);
        }
        if let Some(base) = &proprio.base {
            let (position, (heading, ..)) = (base.pose.position(), base.pose.orientation().to_euler(EulerRot::ZYX));
            [position.x, position.y, heading].into_iter().for_each(&mut put);
            base.lift.into_iter().for_each(put);
        }
        Self { proprio: Arc::new(proprio), n, values: values.freeze() }
    }

    /// One stream per arm, of that name or `arm0`, `arm1` …: its joints (rad), then its gripper's opening (0 closed, 1
    /// open). Then `base`: x, y (metres) and heading (rad) in the world; and `lift`: its height (metres).
    pub(super) fn streams(&self, names: &[Arc<str>]) -> impl Iterator<Item = ProprioSnapshot> {
        let arms = self.proprio.arms.iter().enumerate().map(|(index, arm)| {
            let name = names.get(index).map_or_else(|| format!("arm{index}").into(), Arc::clone);
            (name, arm.joints.len() + 1)
        });
        let base = self.proprio.base.iter().map(|_| ("base".into(), 3));
        let lift = self.proprio.base.iter().filter_map(|base| base.lift.map(|_| ("lift".into(), 1)));
        let stamp = Some(self.proprio.measured);
        arms.chain(base).chain(lift).scan(0, move |first, (name, len)| {
            let bytes = self.values.slice(*first..*first + 4 * len);
            *first += 4 * len;
            Some(ProprioSnapshot { name, n: self.n, stamp, bytes })
        })
    }
}

#[cfg(test)]
mod tests {
    use glam::{DQuat, DVec3};
    use waldo_protocol::geometry::Pose;
    use waldo_protocol::time::MonoTime;

    use super::super::{ArmReading, BaseReading};
    use super::*;

    #[test]
    fn arms_base_and_lift_are_streams_of_their_own() {
        let arms =
            vec![ArmReading { joints: vec![0.5, -1.0], gripper: 0.25 }, ArmReading { joints: vec![2.0], gripper: 1.0 }];
        let pose = Pose::new(DVec3::new(3.0, 4.0, 0.0), DQuat::from_rotation_z(-1.5)).unwrap();
        let base = Some(BaseReading { pose, lift: Some(0.75) });
        let measured = MonoTime::from_nanos(9);
        let reading = Reading::new(Proprioception { arms, base, measured }, 4);
        let streams: Vec<_> = reading.streams(&["left_arm".into()]).collect();
        let seen: Vec<_> = streams.iter().map(|one| (&*one.name, one.values().collect::<Vec<_>>())).collect();
        let expected = [
            ("left_arm", vec![0.5, -1.0, 0.25]),
            ("arm1", vec![2.0, 1.0]),
            ("base", vec![3.0, 4.0, -1.5]),
            ("lift", vec![0.75]),
        ];
        assert_eq!(seen, expected);
        assert!(streams.iter().all(|one| (one.n, one.stamp) == (4, Some(measured))));
    }
}
