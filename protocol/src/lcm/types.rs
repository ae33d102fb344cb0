//! The types whose size does not vary, but for their text.

use glam::{DQuat, DVec3};

use super::field::lcm_type;

lcm_type! {
    /// A Unix time. Its seconds end in 2038.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    Time = "std_msgs.Time" {
        /// Whole seconds.
        sec: i32,
        /// Nanoseconds beyond them.
        nsec: i32,
    }
}

lcm_type! {
    /// What stands before everything that has a time.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
    Header = "std_msgs.Header" {
        /// Number of the message; 0: not numbered.
        seq: i32,
        /// When it was true, in the robot's Unix time.
        stamp: Time,
        /// In hosted teleoperation an address (a hand, a kind of twist), not a frame of reference.
        frame_id: String,
    }
}

lcm_type! {
    /// Where something is and how it is turned. Unlike [`geometry::Pose`](crate::geometry::Pose) it may hold anything.
    #[derive(Clone, Copy, Debug, PartialEq)]
    Pose = "geometry_msgs.Pose" {
        /// Metres.
        position: DVec3,
        /// As it came: of any length, finite or not.
        orientation: DQuat,
    }
}

lcm_type! {
    /// How something moves.
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    Twist = "geometry_msgs.Twist" {
        /// m/s, or shares of the robot's own speed.
        linear: DVec3,
        /// rad/s, or shares of the robot's own speed.
        angular: DVec3,
    }
}

lcm_type! {
    /// A [`Pose`] with its time and its address.
    #[derive(Clone, Debug, PartialEq)]
    PoseStamped = "geometry_msgs.PoseStamped" {
        /// The hand it is of.
        header: Header,
        /// The pose.
        pose: Pose,
    }
}

lcm_type! {
    /// A [`Twist`] with its time and its address.
    #[derive(Clone, Debug, Default, PartialEq)]
    TwistStamped = "geometry_msgs.TwistStamped" {
        /// What it is meant for.
        header: Header,
        /// The twist.
        twist: Twist,
    }
}

lcm_type! {
    /// Yes or no; any byte but 0 is read as yes.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    Bool = "std_msgs.Bool" {
        /// Which.
        data: bool,
    }
}

lcm_type! {
    /// A word of 32 bits. Its container is signed, so a signed number has the very same fingerprint.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    UInt32 = "std_msgs.UInt32" {
        /// The word.
        data: i32,
    }
}

lcm_type! {
    /// A text.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    Text = "std_msgs.String" {
        /// The text.
        data: String,
    }
}

impl Time {
    /// Of a clock of float seconds, cut to whole nanoseconds.
    #[expect(clippy::cast_possible_truncation, reason = "cutting is what is asked for; beyond 2038 it stays there")]
    pub fn from_unix_s(unix_s: f64) -> Self {
        let sec = unix_s.trunc();
        Self { sec: sec as i32, nsec: ((unix_s - sec) * 1e9) as i32 }
    }

    /// Of a clock of milliseconds, as browsers have it, cut to whole nanoseconds.
    #[expect(clippy::cast_possible_truncation, reason = "cutting is what is asked for; beyond 2038 it stays there")]
    pub fn from_unix_ms(unix_ms: f64) -> Self {
        Self { sec: (unix_ms / 1000.0).floor() as i32, nsec: (unix_ms.rem_euclid(1000.0) * 1e6) as i32 }
    }

    /// Seconds since 1970; to a quarter of a microsecond.
    pub fn unix_s(self) -> f64 {
        f64::from(self.sec) + f64::from(self.nsec) / 1e9
    }
}

impl Default for Pose {
    fn default() -> Self {
        Self { position: DVec3::ZERO, orientation: DQuat::IDENTITY }
    }
}

impl Pose {
    /// Whether every number of it is finite.
    pub fn is_finite(&self) -> bool {
        self.position.is_finite() && self.orientation.is_finite()
    }
}

impl Twist {
    /// Whether every number of it is finite.
    pub fn is_finite(&self) -> bool {
        self.linear.is_finite() && self.angular.is_finite()
    }
}
