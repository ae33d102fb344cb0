//! Directors: the frames along an arm, as 3 × 3 matrices that map world to local.

use glam::{DMat3, DQuat, DVec3};

/// A frame on an arm: rows are normal, binormal and tangent in world coordinates.
pub type Director = [[f64; 3]; 3];

/// A director that is not turned.
pub const UNTURNED: Director = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// The rotation whose matrix is the transposed director, as a quaternion x, y, z, w; a tip has that of the last
/// director.
pub fn director_rotation(director: &Director) -> [f64; 4] {
    let [normal, binormal, tangent] = director.map(DVec3::from_array);
    DQuat::from_mat3(&DMat3::from_cols(normal, binormal, tangent)).to_array()
}

/// The director of a rotation, a quaternion x, y, z, w of any length: the inverse of [`director_rotation`]. One without
/// a direction turns nothing.
pub fn rotation_director(rotation_xyzw: [f64; 4]) -> Director {
    let turned = DMat3::from_quat(normalize(DQuat::from_array(rotation_xyzw)));
    [turned.x_axis.to_array(), turned.y_axis.to_array(), turned.z_axis.to_array()]
}

fn normalize(rotation: DQuat) -> DQuat {
    let length = rotation.length();
    if length.is_finite() && length > 0.0 { rotation * length.recip() } else { DQuat::IDENTITY }
}
