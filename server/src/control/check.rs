//! Refuses robots whose description or posture makes no sense, before anything moves.

use glam::DVec3;

use crate::robot::{Arm, Command, Description, Joint, MobileBase, RobotError};

/// How far a unit vector's length may be off.
const UNIT: f64 = 1e-6;

/// Checks what the control loop relies on.
///
/// # Errors
/// Names the part that makes no sense.
pub(super) fn description(description: &Description) -> Result<(), RobotError> {
    for (i, arm) in description.arms.iter().enumerate() {
        if description.arms[..i].iter().any(|a| a.name == arm.name) {
            return Err(RobotError(format!("two arms are named {:?}", arm.name)));
        }
        self::arm(arm).map_err(|what| RobotError(format!("arm {:?}: {what}", arm.name)))?;
    }
    description.base.as_ref().map_or(Ok(()), base).map_err(|what| RobotError(format!("base: {what}")))
}

fn arm(arm: &Arm) -> Result<(), String> {
    if arm.joints.is_empty() {
        return Err("no joints".into());
    }
    for (i, joint) in arm.joints.iter().enumerate() {
        if arm.joints[..i].iter().any(|j| j.name == joint.name) {
            return Err(format!("two joints are named {:?}", joint.name));
        }
        self::joint(joint).map_err(|what| format!("joint {:?}: {what}", joint.name))?;
    }
    if arm.rest.len() != arm.joints.len() {
        return Err(format!("{} rest angles for {} joints", arm.rest.len(), arm.joints.len()));
    }
    for (joint, angle) in arm.joints.iter().zip(&arm.rest) {
        if !(joint.lower..=joint.upper).contains(angle) {
            return Err(format!("the rest angle {angle} of joint {:?} lies outside of its limits", joint.name));
        }
    }
    let (min, max) = (arm.workspace_min, arm.workspace_max);
    let ordered = DVec3::cmple(min, max).all();
    if !(min.is_finite() && max.is_finite() && ordered) {
        return Err(format!("the workspace from {min} to {max} is no box"));
    }
    Ok(())
}

fn base(base: &MobileBase) -> Result<(), String> {
    // A base that can only turn, or only drive, is one too.
    let speed = |what: &str, limit: f64| match limit {
        _ if limit.is_finite() && limit >= 0.0 => Ok(()),
        _ => Err(format!("the highest {what} {limit} is no speed")),
    };
    speed("speed", base.max_speed)?;
    speed("turn", base.max_turn)?;
    let Some(lift) = &base.lift else { return Ok(()) };
    speed("speed of the lift", lift.max_speed)?;
    if !(lift.lower.is_finite() && lift.upper.is_finite() && lift.lower <= lift.upper) {
        return Err(format!("the heights of the lift {} and {} are no range", lift.lower, lift.upper));
    }
    Ok(())
}

fn joint(joint: &Joint) -> Result<(), String> {
    // Written so that what is not a number is refused.
    if !(joint.axis.is_finite() && (joint.axis.length() - 1.0).abs() < UNIT) {
        return Err(format!("the axis {} is no unit vector", joint.axis));
    }
    if !(joint.lower.is_finite() && joint.upper.is_finite() && joint.lower <= joint.upper) {
        return Err(format!("the limits {} and {} are no range", joint.lower, joint.upper));
    }
    if !(joint.max_velocity.is_finite() && joint.max_velocity > 0.0) {
        return Err(format!("the velocity limit {} is not positive", joint.max_velocity));
    }
    if !(joint.max_acceleration.is_finite() && joint.max_acceleration > 0.0) {
        return Err(format!("the acceleration limit {} is not positive", joint.max_acceleration));
    }
    Ok(())
}

/// Checks that a command fits the description. Angles outside of the limits are let pass: an arm may have been pushed
/// there by hand, and the first command must not move it.
///
/// # Errors
/// Names the arm that does not fit.
pub(super) fn posture(description: &Description, posture: &Command) -> Result<(), RobotError> {
    if posture.arms.len() != description.arms.len() {
        let (got, want) = (posture.arms.len(), description.arms.len());
        return Err(RobotError(format!("the robot started with {got} arms and describes {want}")));
    }
    for (arm, at) in description.arms.iter().zip(&posture.arms) {
        let fits = at.joints.len() == arm.joints.len() && at.joints.iter().all(|q| q.is_finite());
        if !(fits && (0.0..=1.0).contains(&at.gripper)) {
            return Err(RobotError(format!("arm {:?}: the posture at the start makes no sense: {at:?}", arm.name)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robot::ArmCommand;
    use crate::robot::sim::model;

    fn refusal(spoil: impl FnOnce(&mut Description)) -> String {
        let mut spoilt = model::description();
        spoil(&mut spoilt);
        description(&spoilt).expect_err("spoilt").0
    }

    #[test]
    fn the_simulated_robot_makes_sense() {
        description(&model::description()).unwrap();
    }

    #[test]
    fn a_refusal_names_the_part() {
        assert!(refusal(|d| d.arms[1].name = d.arms[0].name.clone()).contains("two arms are named \"left\""));
        assert!(refusal(|d| d.arms[1].joints.clear()).contains("arm \"right\": no joints"));
        assert!(refusal(|d| d.arms[0].joints[3].axis *= 2.0).contains("joint \"elbow\": the axis"));
        assert!(refusal(|d| d.arms[0].joints[3].lower = 3.0).contains("joint \"elbow\": the limits"));
        assert!(refusal(|d| d.arms[0].joints[3].max_velocity = f64::NAN).contains("velocity limit NaN"));
        assert!(refusal(|d| d.arms[0].joints[3].max_acceleration = 0.0).contains("acceleration limit 0"));
        assert!(refusal(|d| d.arms[0].joints[1].name = "elbow".into()).contains("two joints are named \"elbow\""));
        assert!(refusal(|d| d.arms[0].rest[3] = 9.0).contains("rest angle 9 of joint \"elbow\""));
        assert!(refusal(|d| d.arms[0].rest.truncate(6)).contains("6 rest angles for 7 joints"));
        assert!(refusal(|d| d.arms[0].workspace_min.x = 5.0).contains("no box"));
        let base = |spoil: fn(&mut MobileBase)| refusal(|d| spoil(d.base.as_mut().expect("it drives")));
        assert!(base(|b| b.max_speed = f64::NAN).contains("base: the highest speed NaN"));
        assert!(base(|b| b.max_turn = -1.0).contains("the highest turn -1"));
        assert!(base(|b| b.lift.as_mut().expect("a lift").max_speed = f64::INFINITY).contains("speed of the lift inf"));
        assert!(base(|b| b.lift.as_mut().expect("a lift").lower = 9.0).contains("heights of the lift 9 and"));
    }

    #[test]
    fn a_posture_must_fit_the_arms() {
        let d = model::description();
        let arms = d.arms.iter().map(|a| ArmCommand { joints: a.rest.clone(), gripper: 1.0 }).collect();
        let rest = Command { arms, base: None };
        posture(&d, &rest).unwrap();
        let mut few = rest.clone();
        few.arms.pop();
        assert!(posture(&d, &few).is_err());
        let mut strange = rest.clone();
        strange.arms[1].joints[0] = f64::NAN;
        assert!(posture(&d, &strange).expect_err("not a number").0.contains("arm \"right\""));
        let mut open = rest;
        open.arms[0].gripper = 1.5;
        assert!(posture(&d, &open).is_err());
    }
}
