//! Inverse kinematics: joint angles for a gripper pose, from the present ones.
