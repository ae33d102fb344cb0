//! What robots of the benchmark see.

use std::fmt::{self, Display, Formatter};

/// Cameras of one kind; two proprioception streams are there always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// Number of cameras.
    pub cameras: u32,
    /// Width of their pictures, pixels.
    pub width: u32,
    /// Height of their pictures, pixels.
    pub height: u32,
    /// Whether they have depth, float32.
    pub depth: bool,
}

/// What is measured.
pub const SETS: [Set; 5] = [
    Set { cameras: 0, width: 0, height: 0, depth: false },
    Set { cameras: 1, width: 640, height: 480, depth: true },
    Set { cameras: 1, width: 1280, height: 720, depth: false },
    Set { cameras: 3, width: 640, height: 480, depth: true },
    Set { cameras: 3, width: 1280, height: 720, depth: false },
];

impl Set {
    /// The number of a camera's pixels.
    pub fn pixels(&self) -> usize {
        self.width as usize * self.height as usize
    }
}

impl Display for Set {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { cameras, width, height, depth } = self;
        match cameras {
            0 => write!(f, "no camera"),
            _ => write!(f, "{cameras} × {width}x{height}{}", if *depth { " + depth" } else { "" }),
        }
    }
}
