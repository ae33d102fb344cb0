//! The simulated robot as operators far away reach it, and what it is told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use waldo_protocol::lcm;
use waldo_server::config::{HostedKind, HostedSettings, RobotKey};
use waldo_server::hosted::{Output, Stream};
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::serve::Waldo;

use super::{Brokerage, PATIENCE};
use crate::network::{Inside, robot};
use crate::robot::local;

/// A base that moves is faster than this, m/s.
pub const MOVES: f64 = 0.05;

/// A robot that drives, in the namespace of robots.
pub struct FarRobot {
    waldo: Waldo,
    inside: Inside,
    heard: Arc<Mutex<Heard>>,
    hearing: JoinHandle<()>,
    _data: TempDir,
}

/// What came of the operator's commands. Times are Unix milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Velocities of the base as they count, forward, m/s, with the time.
    pub speeds: Vec<(f64, f64)>,
    /// How old commands were when they counted, ms, with the time.
    pub ages: Vec<(f64, f64)>,
    /// Commands that arrived, and that did not, so far.
    pub counted: Option<[u64; 2]>,
    /// What the robot said of itself last.
    pub telemetry: Value,
}

impl Heard {
    /// The newest velocity.
    pub fn forward(&self) -> f64 {
        self.speeds.last().map_or(0.0, |(_, forward)| *forward)
    }

    /// When the robot stood for the first time after this one.
    pub fn stands_after(&self, after: f64) -> Option<f64> {
        self.speeds.iter().find(|(at, forward)| *at >= after && *forward <= MOVES).map(|(at, _)| *at)
    }

    /// When it moved for the first time after this one.
    pub fn moves_after(&self, after: f64) -> Option<f64> {
        self.speeds.iter().find(|(at, forward)| *at >= after && *forward > MOVES).map(|(at, _)| *at)
    }

    /// The longest time between these without motion.
    pub fn longest_pause(&self, from: f64, to: f64) -> f64 {
        let moving = self.speeds.iter().filter(|(at, forward)| *forward > MOVES && (from..=to).contains(at));
        longest_gap(from, moving.map(|(at, _)| *at), to)
    }

    fn hear(&mut self, output: &Output) {
        let at = output.at * 1000.0;
        match output.stream {
            Stream::CmdVel => {
                if let Ok(lcm::Message::Twist(twist)) = lcm::Message::decode(&output.data) {
                    self.speeds.push((at, twist.linear.x));
                }
            }
            Stream::CmdVelStamped => self.ages.extend(output.stamp.map(|stamp| (at, at - stamp * 1000.0))),
            Stream::Telemetry => {
                self.telemetry = serde_json::from_slice(&output.data).unwrap_or_default();
                let count = |name: &str| self.telemetry["cmd"][name].as_u64();
                self.counted = count("received").zip(count("lost")).map(|(received, lost)| [received, lost]);
            }
            _ => {}
        }
    }
}

/// The longest time from the first of these to the last without any in between.
pub(super) fn longest_gap(from: f64, times: impl Iterator<Item = f64>, to: f64) -> f64 {
    let mut last = from;
    times.chain([to]).fold(0.0, |longest: f64, at| longest.max(at - std::mem::replace(&mut last, at)))
}

impl FarRobot {
    /// Starts it; it dials the broker at this URL.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start(url: &str, brokerage: &Brokerage) -> Result<Self> {
        let data = TempDir::new()?;
        let key = RobotKey::parse(&brokerage.key).map_err(anyhow::Error::msg)?;
        let mut hosted = HostedSettings::new(url, key, HostedKind::Twist);
        (hosted.name, hosted.id, hosted.ca) = ("Rover".into(), "rover-1".into(), Some(brokerage.certificate()));
        hosted.pictures.latency_stamp = true;
        let mut settings = local(data.path());
        (settings.local, settings.hosted) = (false, Some(hosted));
        let inside = robot()?.runtime()?;
        let waldo = inside
            .run(async move {
                let options = SimOptions { camera_size: (640, 480), latency_stamp: false };
                Ok(Waldo::start(settings, Box::new(SimRobot::new(options))).await?)
            })
            .await?;
        let mut outputs = waldo.hosted().context("it is hosted")?.outputs().subscribe();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let hearing = tokio::spawn({
            let heard = Arc::clone(&heard);
            async move {
                while let Ok(output) = outputs.recv().await {
                    heard.lock().unwrap_or_else(PoisonError::into_inner).hear(&output);
                }
            }
        });
        Ok(Self { waldo, inside, heard, hearing, _data: data })
    }

    /// All so far.
    pub fn heard(&self) -> Heard {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `done` holds.
    ///
    /// # Errors
    /// If it does not in time; `what` says what was awaited.
    pub async fn until(&self, what: &str, done: impl Fn(&Heard) -> bool) -> Result<()> {
        let start = Instant::now();
        while !done(&self.heard()) {
            if start.elapsed() > PATIENCE {
                let heard = self.heard();
                bail!(
                    "waited in vain for {what}; the base goes {} m/s, its robot says {}",
                    heard.forward(),
                    heard.telemetry
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// If its stop panics.
    pub async fn stop(self) -> Result<()> {
        self.hearing.abort();
        let waldo = self.waldo;
        self.inside
            .run(async move {
                waldo.stop().await;
                Ok(())
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_those_without_motion_and_reach_to_both_ends() {
        let speeds = vec![(0.0, 0.5), (100.0, 0.5), (150.0, 0.0), (400.0, 0.5)];
        let heard = Heard { speeds, ..Heard::default() };
        assert_eq!(heard.longest_pause(0.0, 500.0), 300.0);
        assert_eq!(heard.longest_pause(90.0, 120.0), 20.0);
        assert_eq!(heard.longest_pause(400.0, 1000.0), 600.0);
        assert_eq!((heard.stands_after(50.0), heard.moves_after(150.0)), (Some(150.0), Some(400.0)));
    }
}
