//! Moves the simulated arms for some seconds with all cameras watched, says what share of a core that took, and writes
//! the last picture of each camera.
//!
//! `cargo run --release --example sim_cameras -- FOLDER` writes `FOLDER/<camera>.ppm`. With `drive` after the folder the
//! base drives too, until the last second.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs, thread};

use rustix::time::{ClockId, clock_gettime};
use waldo_server::clock;
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::robot::{ArmCommand, BaseCommand, Command, Robot};
use waldo_server::sensors::SensorHub;

const SECONDS: f64 = 6.0;
const TICK: Duration = Duration::from_nanos(1_000_000_000 / 120);

fn main() -> anyhow::Result<()> {
    let folder = env::args_os().nth(1).map_or_else(env::temp_dir, PathBuf::from);
    let drives = env::args_os().nth(2).is_some_and(|word| word == "drive");
    fs::create_dir_all(&folder)?;
    let hub = SensorHub::default();
    let mut robot = SimRobot::new(SimOptions::default());
    robot.start(&hub)?;
    let rest: Vec<_> = robot.description().arms.iter().map(|arm| arm.rest.clone()).collect();
    let mut watches: Vec<_> = hub.cameras().iter().map(|camera| camera.watch()).collect();
    let pictures = watches
        .drain(..)
        .map(|mut watch| {
            thread::spawn(move || {
                let mut count = 0_u32;
                while watch.next_timeout(Duration::from_secs(30)).is_ok() {
                    count += 1;
                }
                count
            })
        })
        .collect::<Vec<_>>();

    let (start, cpu) = (clock::now(), cpu_seconds());
    loop {
        let now = clock::now();
        let t = now.since(start).as_secs_f64();
        if t > SECONDS {
            break;
        }
        let wave = 1.0 - (t * std::f64::consts::PI / 3.0).cos();
        let arm = |joints: &Vec<f64>| {
            let mut joints = joints.clone();
            joints[0] += 0.15 * wave;
            joints[3] -= 0.15 * wave;
            joints[6] += 0.2 * wave;
            ArmCommand { joints, gripper: 1.0 - 0.3 * wave }
        };
        let base = if drives && t < SECONDS - 1.0 {
            BaseCommand { vx: -0.1, vy: 0.04, wz: 0.08, lift: 0.05 }
        } else {
            BaseCommand::default()
        };
        robot.apply(now, &Command { arms: rest.iter().map(arm).collect(), base: Some(base) })?;
        // In place of the control thread, which ticks so and does nothing else either.
        thread::sleep(TICK);
    }
    let share = (cpu_seconds() - cpu) / clock::now().since(start).as_secs_f64();
    for camera in hub.cameras() {
        if let Some(frame) = camera.latest() {
            let image = &frame.image;
            let mut ppm = format!("P6 {} {} 255\n", image.width(), image.height()).into_bytes();
            ppm.extend_from_slice(image.data());
            fs::write(folder.join(camera.name()).with_extension("ppm"), ppm)?;
        }
    }
    drop(robot);
    let counts = pictures.into_iter().filter_map(|thread| thread.join().ok());
    for (camera, count) in hub.cameras().iter().zip(counts) {
        writeln!(io::stdout(), "{}: {:.1} pictures per second", camera.name(), f64::from(count) / SECONDS)?;
    }
    writeln!(io::stdout(), "{:.1} % of a core; pictures in {}", share * 100.0, folder.display())?;
    Ok(())
}

fn cpu_seconds() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}
