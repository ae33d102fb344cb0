//! What no target of an arm exceeds, whatever arrives.

use glam::DVec3;

/// A box with edges along the axes of the world, m.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workspace {
    min: DVec3,
    max: DVec3,
}

/// A box whose corners are not finite or the wrong way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a workspace needs finite corners, the smaller one first")]
pub struct InvalidWorkspace;

impl Workspace {
    /// The box between two corners.
    ///
    /// # Errors
    /// [`InvalidWorkspace`] if there is none.
    pub fn new(min: [f64; 3], max: [f64; 3]) -> Result<Self, InvalidWorkspace> {
        let (min, max) = (DVec3::from_array(min), DVec3::from_array(max));
        let valid = min.is_finite() && max.is_finite() && min.cmple(max).all();
        if valid { Ok(Self { min, max }) } else { Err(InvalidWorkspace) }
    }

    /// The corner with the smallest coordinates.
    pub fn min(&self) -> [f64; 3] {
        self.min.to_array()
    }

    /// The corner with the largest coordinates.
    pub fn max(&self) -> [f64; 3] {
        self.max.to_array()
    }

    /// Whether a position lies within, faces included.
    pub fn contains(&self, position: DVec3) -> bool {
        position.cmpge(self.min).all() && position.cmple(self.max).all()
    }

    fn nearest(&self, position: DVec3) -> DVec3 {
        position.clamp(self.min, self.max)
    }
}

/// The bounds of a target: a speed, and a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    max_speed: f64,
    workspace: Workspace,
}

/// A speed that is not a finite number above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a speed limit must be a finite number above 0")]
pub struct InvalidSpeed;

impl Limits {
    /// Limits of one's own: metres per second, and a box.
    ///
    /// # Errors
    /// [`InvalidSpeed`].
    pub fn new(max_speed: f64, workspace: Workspace) -> Result<Self, InvalidSpeed> {
        if max_speed.is_finite() && max_speed > 0.0 { Ok(Self { max_speed, workspace }) } else { Err(InvalidSpeed) }
    }

    /// Metres per second.
    pub fn max_speed(&self) -> f64 {
        self.max_speed
    }

    /// The box.
    pub fn workspace(&self) -> Workspace {
        self.workspace
    }

    /// The target of a tick of `dt` seconds on the way from the last one to the `wanted` one.
    ///
    /// It lies within the box if `from` does; from outside it comes nearer to the box, as quickly as the speed lets it.
    /// What is not finite is not wanted: the target stays `from`.
    #[must_use]
    pub fn toward(&self, dt: f64, from: DVec3, wanted: DVec3) -> Limited {
        if !wanted.is_finite() || !from.is_finite() {
            let position = if from.is_finite() { from } else { self.workspace.nearest(DVec3::ZERO) };
            return Limited { position, clamped: position != wanted };
        }
        let inside = self.workspace.nearest(wanted);
        let reach = if dt > 0.0 { self.max_speed * dt } else { 0.0 };
        let way = inside - from;
        let far = way.length() > reach;
        let mut position = if far { from + way.clamp_length_max(reach) } else { inside };
        if self.workspace.contains(from) {
            // Rounding alone could leave the box.
            position = self.workspace.nearest(position);
        }
        Limited { position, clamped: far || inside != wanted }
    }
}

impl Default for Limits {
    /// 2 m/s, and 2 m from the origin along each axis: what the mapper lets pass.
    fn default() -> Self {
        let corner = DVec3::splat(2.0);
        Self { max_speed: 2.0, workspace: Workspace { min: -corner, max: corner } }
    }
}

/// A target within its limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limited {
    /// Metres.
    pub position: DVec3,
    /// Whether it is not what was wanted.
    pub clamped: bool,
}
