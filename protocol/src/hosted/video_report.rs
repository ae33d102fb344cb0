//! What a browser reports about the video that it receives, and the figures of the time between two reports.

use super::VideoStats;

/// The counters of an inbound video stream, as in the browser's statistics; those it does not tell are 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoReport {
    /// Milliseconds.
    pub timestamp: f64,
    /// Cumulative.
    pub frames_decoded: f64,
    /// Cumulative.
    pub bytes_received: f64,
    /// Cumulative; may shrink.
    pub packets_lost: f64,
    /// Cumulative.
    pub packets_received: f64,
    /// Cumulative, seconds.
    pub total_decode_time: f64,
    /// Pixels.
    pub frame_width: f64,
    /// Pixels.
    pub frame_height: f64,
    /// Seconds.
    pub jitter: f64,
    /// Cumulative.
    pub frames_dropped: f64,
    /// Cumulative.
    pub freeze_count: f64,
    /// Cumulative, seconds.
    pub jitter_buffer_delay: f64,
    /// Cumulative.
    pub jitter_buffer_emitted_count: f64,
    /// Name, or empty.
    pub decoder: String,
    /// MIME type, such as `video/H264`, or empty.
    pub codec_mime: String,
}

impl VideoReport {
    /// What happened since the previous report, rounded as it goes on the wire; `None` if no time has passed.
    /// `e2e_latency_ms`: from the latency stamp, 0 without one.
    pub fn since(&self, previous: &Self, e2e_latency_ms: f64) -> Option<VideoStats> {
        let dt = (self.timestamp - previous.timestamp) / 1000.0;
        if dt.is_nan() || dt <= 0.0 {
            return None;
        }
        let frames = self.frames_decoded - previous.frames_decoded;
        let lost = self.packets_lost - previous.packets_lost;
        let packets = lost + self.packets_received - previous.packets_received;
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        Some(VideoStats {
            fps: rounded(frames / dt, 1),
            kbps: rounded(8.0 * (self.bytes_received - previous.bytes_received) / dt / 1000.0, 1),
            width: whole(self.frame_width),
            height: whole(self.frame_height),
            loss_pct: rounded(100.0 * share(lost, packets), 2),
            jitter_ms: rounded(self.jitter * 1000.0, 1),
            frames_dropped: whole(self.frames_dropped),
            freezes: whole(self.freeze_count),
            jitter_buffer_ms: rounded(share(self.jitter_buffer_delay, self.jitter_buffer_emitted_count) * 1000.0, 1),
            decode_ms: rounded(share(self.total_decode_time - previous.total_decode_time, frames) * 1000.0, 1),
            e2e_latency_ms,
            codec: self.codec_mime.rsplit('/').next().unwrap_or_default().to_owned(),
            decoder: self.decoder.clone(),
            ts: None,
        })
    }
}

fn rounded(value: f64, decimals: i32) -> f64 {
    let unit = 10_f64.powi(decimals);
    (value * unit).round() / unit
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to a whole number from 0 on")]
fn whole(number: f64) -> u32 {
    number as u32
}
