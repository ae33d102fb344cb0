//! What a recording says about the teleoperation: rates, stalls, latencies, written next to it as JSON.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use waldo_protocol::hosted::percentile;
use waldo_protocol::lcm::{Joy, Message};

use super::reader::Reader;
use super::{Codec, RecordError, database, pickle};

/// An interval this many times as long as the median one is a stall.
const STALL: f64 = 3.0;

/// The stream of the picture's figures, which has a part of its own.
const VIDEO: &str = "video_stats";
/// The stream of what the robot tells of itself.
const TELEMETRY: &str = "robot_telemetry";

/// Everything about one recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// When the file was last written, local time as `YYYYmmdd_HHMMSS`.
    pub timestamp: String,
    /// From the first to the last stamp of any stream, seconds.
    pub duration_s: f64,
    /// The streams in which something is, by name, but for the picture's figures.
    pub streams: BTreeMap<String, StreamReport>,
    /// The picture as operators saw it.
    pub video: Option<VideoReport>,
    /// What the robot told of the commands and of itself.
    pub telemetry: Option<TelemetryReport>,
}

/// One stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamReport {
    /// Messages.
    pub count: usize,
    /// Messages per second.
    pub rate_hz: Option<f64>,
    /// The intervals between stamps, ms.
    pub jitter_ms: Option<Distribution>,
    /// Intervals more than three times as long as the median one.
    pub stall_count: usize,
    /// Their sum, seconds.
    pub stall_total_s: f64,
}

/// The picture as operators saw it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoReport {
    /// Messages.
    pub count: usize,
    /// The most frequent size, as `640x480`.
    pub resolution: Option<String>,
    /// Frames per second.
    pub fps: Option<Distribution>,
    /// Bit rate, kbit/s.
    pub kbps: Option<Distribution>,
    /// Lost packets, percent.
    pub loss_pct: Option<Distribution>,
    /// Jitter buffer, ms.
    pub jitter_buffer_ms: Option<Distribution>,
    /// Time to decode a frame, ms.
    pub decode_ms: Option<Distribution>,
    /// From camera to eye, ms, where it was measured.
    pub e2e_latency_ms: Option<Distribution>,
    /// Frames that were not shown, the largest count.
    pub frames_dropped: u64,
    /// Freezes, the largest count.
    pub freezes: u64,
}

/// What the robot told of the commands and of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TelemetryReport {
    /// Messages.
    pub count: usize,
    /// Age of the commands, ms.
    pub latency_ms: Option<Distribution>,
    /// Intervals between commands, ms.
    pub jitter_ms: Option<Distribution>,
    /// Commands per second.
    pub rate_hz: Option<Distribution>,
    /// The lowest charge of the battery, percent.
    pub soc_min: Option<f64>,
    /// The last one.
    pub soc_last: Option<f64>,
}

/// How values are distributed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distribution {
    /// The median.
    pub p50: f64,
    /// 95 of 100 are smaller.
    pub p95: f64,
    /// 99 of 100 are smaller.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Distribution {
    /// Of these values; `None` of nothing.
    pub fn of(values: &[f64]) -> Option<Self> {
        let rank = |p| percentile(values.to_vec(), p);
        Some(Self { p50: rank(50.0)?, p95: rank(95.0)?, p99: rank(99.0)?, max: rank(100.0)? })
    }
}

impl StreamReport {
    /// Of the stamps in the order of arrival, in seconds, of `count` messages; none if the messages have none.
    pub fn of(count: usize, stamps: &[f64]) -> Self {
        let mut report = Self { count, ..Self::default() };
        let [first, .., last] = stamps else { return report };
        let rate = (stamps.len() - 1) as f64 / (last - first);
        report.rate_hz = (rate.is_finite() && rate > 0.0).then_some(rate);
        let mut sorted = stamps.to_vec();
        sorted.sort_by(f64::total_cmp);
        let intervals: Vec<f64> = sorted.windows(2).map(|pair| (pair[1] - pair[0]) * 1000.0).collect();
        report.jitter_ms = Distribution::of(&intervals);
        let limit = report.jitter_ms.map_or(f64::INFINITY, |jitter| STALL * jitter.p50);
        // A clock that hardly moves has no typical interval to compare with.
        let stalls = intervals.iter().filter(|interval| limit > 0.0 && **interval > limit);
        report.stall_count = stalls.clone().count();
        report.stall_total_s = stalls.sum::<f64>() / 1000.0;
        report
    }
}

/// The name of the report of a recording.
pub fn file_name(recording: &Path) -> String {
    let stem = recording.file_stem().unwrap_or_default().to_string_lossy();
    let suffix = stem.strip_prefix("recording_teleop").or_else(|| stem.strip_prefix("recording")).unwrap_or(&stem);
    match suffix.trim_start_matches('_') {
        "" => "report.json".to_owned(),
        suffix => format!("report_{suffix}.json"),
    }
}

/// Reads a recording, ours or one of the original's, and writes its report next to it. Gives the name of the report.
///
/// # Errors
/// If the recording cannot be read or the report not be written.
pub fn write(recording: &Path) -> Result<PathBuf, RecordError> {
    let report = read(recording)?;
    let path = recording.with_file_name(file_name(recording));
    fs::write(&path, report.to_json()).map_err(|error| RecordError::File { path: path.clone(), error })?;
    Ok(path)
}

/// Reads a recording, ours or one of the original's. What cannot be decoded is counted as a message and nothing else.
///
/// # Errors
/// If it is none, or cannot be read.
pub fn read(recording: &Path) -> Result<Report, RecordError> {
    let written = fs::metadata(recording)
        .and_then(|metadata| metadata.modified())
        .map_err(|error| RecordError::File { path: recording.to_owned(), error })?;
    let since_1970 = written.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let reader = Reader::open(recording)?;
    let wrong = |error| RecordError::Database { path: recording.to_owned(), error };
    let timestamp = database::local_time(since_1970).map_err(wrong)?;
    let mut report = Report { timestamp, duration_s: 0.0, streams: BTreeMap::new(), video: None, telemetry: None };
    let (mut earliest, mut latest) = (f64::INFINITY, f64::NEG_INFINITY);
    for (name, codec) in reader.streams().map_err(wrong)? {
        let mut count = 0;
        let mut stamps = Vec::new();
        let mut video = VideoValues::default();
        let mut telemetry = TelemetryValues::default();
        reader
            .each(&name, |data| {
                count += 1;
                match codec {
                    Some(Codec::Lcm) => {
                        let Ok(message) = Message::decode(data) else { return };
                        stamps.extend(stamp(&message).filter(|stamp| *stamp > 0.0));
                        if let (VIDEO, Message::Joy(joy)) = (name.as_str(), &message) {
                            video.add(joy);
                        }
                    }
                    Some(Codec::Pickle) if name == TELEMETRY => {
                        telemetry.add(pickle::load(data).and_then(|text| serde_json::from_slice(text).ok()));
                    }
                    Some(Codec::Pickle) | None => {}
                }
            })
            .map_err(wrong)?;
        earliest = stamps.iter().copied().fold(earliest, f64::min);
        latest = stamps.iter().copied().fold(latest, f64::max);
        if count == 0 {
            continue;
        }
        match name.as_str() {
            VIDEO => report.video = Some(video.report(count)),
            TELEMETRY => {
                report.telemetry = Some(telemetry.report(count));
                report.streams.insert(name, StreamReport::of(count, &[]));
            }
            _ => {
                report.streams.insert(name, StreamReport::of(count, &stamps));
            }
        }
    }
    if latest > earliest {
        report.duration_s = latest - earliest;
    }
    Ok(report)
}

/// The stamp of a message, if it has one that is set.
fn stamp(message: &Message) -> Option<f64> {
    let header = match message {
        Message::PoseStamped(message) => &message.header,
        Message::TwistStamped(message) => &message.header,
        Message::Joy(message) => &message.header,
        Message::Image(message) => &message.header,
        Message::CompressedImage(message) => &message.header,
        _ => return None,
    };
    Some(header.stamp.unix_s())
}

#[derive(Default)]
struct VideoValues {
    /// fps, kbps, loss, jitter buffer, decoding, end to end.
    figures: [Vec<f64>; 6],
    sizes: BTreeMap<(u64, u64), usize>,
    frames_dropped: f64,
    freezes: f64,
}

impl VideoValues {
    /// Takes a carrier: fps, kbps, width, height, loss, jitter buffer, decoding, frames dropped, freezes, end to end; what
    /// is missing at its end is 0.
    fn add(&mut self, joy: &Joy) {
        let axis = |at: usize| joy.axes.get(at).map_or(0.0, |axis| f64::from(*axis));
        for (values, at) in self.figures.iter_mut().zip([0, 1, 4, 5, 6, 9]) {
            values.extend(Some(axis(at)).filter(|value| value.is_finite()));
        }
        let size = (axis(2) as u64, axis(3) as u64);
        if size.0 > 0 && size.1 > 0 {
            *self.sizes.entry(size).or_default() += 1;
        }
        self.frames_dropped = self.frames_dropped.max(axis(7));
        self.freezes = self.freezes.max(axis(8));
    }

    fn report(self, count: usize) -> VideoReport {
        let [fps, kbps, loss_pct, jitter_buffer_ms, decode_ms, mut e2e] = self.figures;
        e2e.retain(|ms| *ms > 0.0);
        let most = self.sizes.into_iter().max_by_key(|(_, times)| *times);
        VideoReport {
            count,
            resolution: most.map(|((width, height), _)| format!("{width}x{height}")),
            fps: Distribution::of(&fps),
            kbps: Distribution::of(&kbps),
            loss_pct: Distribution::of(&loss_pct),
            jitter_buffer_ms: Distribution::of(&jitter_buffer_ms),
            decode_ms: Distribution::of(&decode_ms),
            e2e_latency_ms: Distribution::of(&e2e),
            frames_dropped: self.frames_dropped as u64,
            freezes: self.freezes as u64,
        }
    }
}

#[derive(Default)]
struct TelemetryValues {
    /// Latency, jitter, rate.
    figures: [Vec<f64>; 3],
    soc_min: Option<f64>,
    soc_last: Option<f64>,
}

impl TelemetryValues {
    fn add(&mut self, telemetry: Option<Value>) {
        let Some(telemetry) = telemetry else { return };
        for (values, key) in self.figures.iter_mut().zip(["latency_ms", "jitter_ms", "rate_hz"]) {
            values.extend(telemetry["cmd"][key].as_f64());
        }
        if let Some(soc) = telemetry["soc"].as_f64() {
            self.soc_min = Some(self.soc_min.map_or(soc, |min| min.min(soc)));
            self.soc_last = Some(soc);
        }
    }

    fn report(self, count: usize) -> TelemetryReport {
        let [latency_ms, jitter_ms, rate_hz] = self.figures.map(|values| Distribution::of(&values));
        TelemetryReport { count, latency_ms, jitter_ms, rate_hz, soc_min: self.soc_min, soc_last: self.soc_last }
    }
}

impl Report {
    /// The report as it is written: keys sorted, indented by two.
    pub fn to_json(&self) -> String {
        // Each object lists its keys sorted, whatever map serde_json is built with.
        let streams: serde_json::Map<_, _> = self
            .streams
            .iter()
            .map(|(name, stream)| {
                let value = json!({
                    "count": stream.count,
                    "jitter_ms": distribution(stream.jitter_ms),
                    "rate_hz": stream.rate_hz.map(rounded),
                    "stall_count": stream.stall_count,
                    "stall_total_s": rounded(stream.stall_total_s),
                });
                (name.clone(), value)
            })
            .collect();
        let video = self.video.as_ref().map(|video| {
            json!({
                "count": video.count,
                "decode_ms": distribution(video.decode_ms),
                "e2e_latency_ms": distribution(video.e2e_latency_ms),
                "fps": distribution(video.fps),
                "frames_dropped": video.frames_dropped,
                "freezes": video.freezes,
                "jitter_buffer_ms": distribution(video.jitter_buffer_ms),
                "kbps": distribution(video.kbps),
                "loss_pct": distribution(video.loss_pct),
                "resolution": video.resolution.as_deref().unwrap_or("n/a"),
            })
        });
        let telemetry = self.telemetry.as_ref().map(|telemetry| {
            json!({
                "count": telemetry.count,
                "jitter_ms": distribution(telemetry.jitter_ms),
                "latency_ms": distribution(telemetry.latency_ms),
                "rate_hz": distribution(telemetry.rate_hz),
                "soc_last": number(telemetry.soc_last),
                "soc_min": number(telemetry.soc_min),
            })
        });
        let all = json!({
            "duration_s": (self.duration_s * 1000.0).round() / 1000.0,
            "streams": streams,
            "telemetry": telemetry,
            "timestamp": self.timestamp,
            "video": video,
        });
        format!("{all:#}")
    }
}

/// Whole numbers as such.
fn number(value: Option<f64>) -> Value {
    match value {
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => json!(value as i64),
        Some(value) => json!(value),
        None => Value::Null,
    }
}

/// Without the noise of the last digits.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn distribution(distribution: Option<Distribution>) -> Value {
    distribution.map_or(Value::Null, |Distribution { p50, p95, p99, max }| {
        json!({ "max": rounded(max), "p50": rounded(p50), "p95": rounded(p95), "p99": rounded(p99) })
    })
}
