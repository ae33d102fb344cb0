//! The certificate of the robot.
