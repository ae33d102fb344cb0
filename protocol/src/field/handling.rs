//! What the commands of one arm do to it: following, detaching, rest and recalibration, the clutch, the ramp.

use glam::{DMat3, DQuat, DVec3};

use super::{ArmCommand, Director, Limits, PRIMARY, SECONDARY, Transform, director_rotation, newly_pressed};
use crate::geometry::{valid_orientation, valid_position};

/// Where the tip of an arm is or shall be, in the world of the wire (y up, −z forward).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TipPose {
    /// Metres.
    pub position: DVec3,
    /// Maps world to local coordinates; its rows are normal, binormal and tangent.
    pub director: DMat3,
}

impl TipPose {
    /// The pose of a tip in the scene, or of a controller as a target. Nothing if it is no valid pose.
    pub fn of(pose: &Transform) -> Option<Self> {
        let position = valid_position(DVec3::from_array(pose.translation)).ok()?;
        let rotation = valid_orientation(DQuat::from_array(pose.rotation_xyzw)).ok()?;
        Some(Self { position, director: DMat3::from_quat(rotation).transpose() })
    }

    /// As a tip in the scene.
    pub fn transform(&self) -> Transform {
        Transform { translation: self.position.to_array(), rotation_xyzw: director_rotation(&self.rows()) }
    }

    /// The director as on the wire.
    pub fn rows(&self) -> Director {
        let turned = self.director.transpose();
        [turned.x_axis, turned.y_axis, turned.z_axis].map(|row| row.to_array())
    }
}

/// Whether the clutch of a command means anything to the arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClutchMode {
    /// The arm follows the controller wherever it is. So do the built-in modes.
    #[default]
    Off,
    /// The arm makes the controller's motions while a command is active, and stands still otherwise. For real robots.
    Relative,
}

/// What an [`ArmHandling`] works with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HandlingConfig {
    /// Whether the clutch means anything.
    pub clutch: ClutchMode,
    /// Seconds that the tip takes from where it is to its target when it is attached again; 0 lets it jump.
    pub ramp: f64,
    /// What bounds the target of each tick.
    pub limits: Limits,
}

impl Default for HandlingConfig {
    fn default() -> Self {
        Self { clutch: ClutchMode::Off, ramp: 0.2, limits: Limits::default() }
    }
}

/// The director offset before the first recalibration.
pub const DEFAULT_OFFSET: DMat3 = DMat3::from_cols_array(&[1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0]);

/// What one call of [`ArmHandling::handle`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handled {
    /// Whether the tip is pulled to the target.
    pub attached: bool,
    /// The target is the rest pose and the controller's rotation was taken as the new reference.
    pub recalibrated: bool,
}

/// The state of one arm that follows a controller.
///
/// Per tick of the simulation: [`handle`](Self::handle) if there is a command, [`inactive`](Self::inactive) once when
/// commands stop, then [`follow`](Self::follow), which says where the tip is pulled to.
#[derive(Clone, Debug)]
pub struct ArmHandling {
    config: HandlingConfig,
    base: DMat3,
    rest: TipPose,
    offset: DMat3,
    /// What the commands ask for, before ramp and limits.
    wanted: TipPose,
    attached: bool,
    anchor: Option<Anchor>,
    pull: Option<Pull>,
    clamped: bool,
}

/// Controller and target when a relative clutch closed. The rotation's part of it is the offset.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    controller: DVec3,
    target: DVec3,
}

/// The tip controller at work: where it began, for how long it has run, and where it pulled last.
#[derive(Clone, Copy, Debug)]
struct Pull {
    from: TipPose,
    elapsed: f64,
    last: TipPose,
}

impl ArmHandling {
    /// An arm at rest, attached to where it is.
    ///
    /// `base` is the director of the arm's base, which a recalibrated controller stands for; `rest` is the tip's pose
    /// at start.
    pub fn new(config: HandlingConfig, base: DMat3, rest: TipPose) -> Self {
        Self {
            config,
            base,
            rest,
            offset: DEFAULT_OFFSET,
            wanted: rest,
            attached: true,
            anchor: None,
            pull: None,
            clamped: false,
        }
    }

    /// The newest command; `previous` is the one of the tick before, if there was one. The same command again is no new
    /// press of a button.
    ///
    /// A target that is no valid pose changes nothing; its buttons count.
    pub fn handle(&mut self, command: &ArmCommand, previous: Option<&ArmCommand>) -> Handled {
        let secondary = command.pressed(SECONDARY);
        let attached = !(command.pressed(PRIMARY) || secondary);
        if previous.is_none() {
            // The tip may be anywhere by now.
            self.pull = None;
        }
        self.attached = attached;

        let controller = TipPose::of(&command.target);
        let pressed = newly_pressed(command, previous, SECONDARY);
        if pressed {
            self.wanted = self.rest;
            self.anchor = None;
            if let Some(controller) = controller {
                self.offset = self.base * controller.director.transpose();
            }
            return Handled { attached, recalibrated: true };
        }
        match (controller, self.config.clutch) {
            (None, _) => {}
            (Some(controller), ClutchMode::Off) => {
                self.wanted = TipPose { position: controller.position, director: self.offset * controller.director };
            }
            (Some(controller), ClutchMode::Relative) => {
                let closed = command.active && !previous.is_some_and(|previous| previous.active);
                self.follow_clutch(command.active, closed, controller);
            }
        }
        Handled { attached, recalibrated: false }
    }

    fn follow_clutch(&mut self, active: bool, closed: bool, controller: TipPose) {
        if !active {
            self.open_clutch();
            return;
        }
        if closed || self.anchor.is_none() {
            self.open_clutch();
            self.anchor = Some(Anchor { controller: controller.position, target: self.wanted.position });
            self.offset = self.wanted.director * controller.director.transpose();
        }
        if let Some(anchor) = self.anchor {
            self.wanted = TipPose {
                position: anchor.target + (controller.position - anchor.controller),
                director: self.offset * controller.director,
            };
        }
    }

    /// Freezes the target where the tip is pulled to now: limits and ramp may be far behind what was asked for, and
    /// whoever lets go wants the arm to stand.
    fn open_clutch(&mut self) {
        if self.anchor.take().is_some()
            && let Some(pull) = self.pull
        {
            self.wanted = pull.last;
        }
    }

    /// The commands of this arm have stopped: it is attached to its last target, and a clutch is open.
    pub fn inactive(&mut self) {
        self.open_clutch();
        self.attached = true;
    }

    /// The tip was kept from moving, or moved, by somebody else, and is here now: until the next command nothing else is
    /// asked for than that it stays, and the next pull begins anew where it is.
    pub fn restart(&mut self, tip: TipPose) {
        (self.wanted, self.anchor, self.pull) = (tip, None, None);
    }

    /// Where the tip is pulled to in a tick of `dt` seconds, with `tip` where it is now; nothing while detached.
    ///
    /// When the arm is attached anew, or gets commands after a time without, the pull starts from the tip and reaches the
    /// target within [`HandlingConfig::ramp`]. From tick to tick it never moves farther than the limits let it.
    pub fn follow(&mut self, dt: f64, tip: TipPose) -> Option<TipPose> {
        if !self.attached {
            self.pull = None;
            self.clamped = false;
            return None;
        }
        let dt = if dt > 0.0 { dt } else { 0.0 };
        let pull = self.pull.unwrap_or(Pull { from: tip, elapsed: 0.0, last: tip });
        let elapsed = (pull.elapsed + dt).min(self.config.ramp);
        let ramped = if elapsed < self.config.ramp {
            between(pull.from, self.wanted, elapsed / self.config.ramp)
        } else {
            self.wanted
        };
        let limited = self.config.limits.toward(dt, pull.last.position, ramped.position);
        self.clamped = limited.clamped;
        let last = TipPose { position: limited.position, director: ramped.director };
        self.pull = Some(Pull { from: pull.from, elapsed, last });
        Some(last)
    }

    /// Whether the tip is pulled to the target.
    pub fn attached(&self) -> bool {
        self.attached
    }

    /// What the commands ask for, before ramp and limits.
    pub fn wanted(&self) -> TipPose {
        self.wanted
    }

    /// Whether the limits held the last pull back.
    pub fn clamped(&self) -> bool {
        self.clamped
    }

    /// The director offset: the default one, or that of the last recalibration or clutch.
    pub fn offset(&self) -> DMat3 {
        self.offset
    }
}

fn between(from: TipPose, to: TipPose, share: f64) -> TipPose {
    // Quaternions of the transposed directors, as of the tip on the wire; the sense does not matter to the way between.
    let [a, b] = [from, to].map(|pose| DQuat::from_mat3(&pose.director));
    TipPose { position: from.position.lerp(to.position, share), director: DMat3::from_quat(a.slerp(b, share)) }
}
