//! RGB to I420 to H.264.
