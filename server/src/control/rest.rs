//! The move to the rest posture.
