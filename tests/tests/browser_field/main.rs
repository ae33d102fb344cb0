//! The page of the field in headless Chromium, with an emulated headset and without, against a whole robot.

mod driving;
mod picture;
mod scenery;
mod stage;
mod watching;
