//! The operator's page of hosted teleoperation in headless Chromium, against a real broker with its own SFU and a whole
//! simulated robot.

mod desk;
mod headset;
mod people;
mod set;
mod sight_and_sound;
