//! Flags of what is kept and passed on of hosted teleoperation, and of reports.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::LogArgs;
use crate::config::HostedSettings;
use crate::lcm::LcmUrl;
use crate::record::Place;

#[derive(Debug, Args)]
pub(super) struct RecordArgs {
    /// Record what operators do, with a report at the end: in `teleop_recordings` of the data folder, or in
    /// `hosted_teleop/recordings` [default: off]
    #[arg(long, value_enum, value_name = "PLACE", num_args = 0..=1, require_equals = true,
        default_missing_value = "teleop")]
    record: Option<PlaceArg>,
    /// Publish what operators do on an LCM network: `udpm://239.255.76.67:7667?ttl=0` [default: none]
    #[arg(long, value_name = "URL")]
    lcm_url: Option<LcmUrl>,
    /// Scale wider pictures for operators far away down to so many pixels; 0 leaves them
    #[arg(long, value_name = "PIXELS", default_value_t = 0, value_parser = width)]
    video_max_width: u32,
    /// Send operators far away no more pictures per second; 0 for as many as the cameras give
    #[arg(long, value_name = "HZ", default_value_t = 0.0, value_parser = fps)]
    video_max_fps: f64,
    /// Heartbeats to the broker per second
    #[arg(long, value_name = "HZ", default_value_t = 1.0, value_parser = heartbeat, hide_short_help = true)]
    heartbeat_hz: f64,
    /// Keep the order of commands and maps
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true", hide_short_help = true)]
    ordered: bool,
    /// How often lost commands and maps are sent again
    #[arg(long, value_name = "TIMES", default_value_t = 0, hide_short_help = true)]
    max_retransmits: u16,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PlaceArg {
    /// `teleop_recordings/recording_teleop_<time>.db`
    Teleop,
    /// `hosted_teleop/recordings/recording_hosted_<time>.db`
    Hosted,
}

impl RecordArgs {
    pub(super) fn apply(&self, settings: &mut HostedSettings) {
        settings.record = self.record.map(|place| match place {
            PlaceArg::Teleop => Place::Teleop,
            PlaceArg::Hosted => Place::Hosted,
        });
        settings.lcm = self.lcm_url;
        settings.pictures.max_width = self.video_max_width;
        settings.pictures.max_fps = self.video_max_fps;
        settings.heartbeat_hz = self.heartbeat_hz;
        (settings.ordered, settings.max_retransmits) = (self.ordered, self.max_retransmits);
    }
}

/// A recording to tell of.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReportArgs {
    /// The recording: `….db`
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) recording: PathBuf,
    #[command(flatten)]
    pub(in crate::cli) log: LogArgs,
}

fn width(text: &str) -> Result<u32, String> {
    let width = text.parse().ok().filter(|width| *width == 0 || (16..=8192).contains(width));
    width.ok_or_else(|| format!("`{text}` is no width from 16 to 8192 pixels, nor 0"))
}

fn fps(text: &str) -> Result<f64, String> {
    let fps = text.parse().ok().filter(|fps: &f64| *fps == 0.0 || (1.0..=120.0).contains(fps));
    fps.ok_or_else(|| format!("`{text}` is no rate from 1 to 120, nor 0"))
}

fn heartbeat(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| (0.1..=10.0).contains(rate));
    rate.ok_or_else(|| format!("`{text}` is no rate from 0.1 to 10"))
}
