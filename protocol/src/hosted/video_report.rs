//! What a browser reports about the video that it receives, and the figures of the time between two reports.

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

/// The figures of a `video_stats` message but for the latency, rounded as they go on the wire.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoFigures {
    /// Pictures per second.
    pub fps: f64,
    /// kbit/s.
    pub kbps: f64,
    /// Pixels.
    pub width: f64,
    /// Pixels.
    pub height: f64,
    /// Percent.
    pub loss_pct: f64,
    /// Milliseconds.
    pub jitter_ms: f64,
    /// Cumulative.
    pub frames_dropped: f64,
    /// Cumulative.
    pub freezes: f64,
    /// Milliseconds.
    pub jitter_buffer_ms: f64,
    /// Milliseconds for a picture.
    pub decode_ms: f64,
    /// Such as `H264`, or empty.
    pub codec: String,
    /// Name, or empty.
    pub decoder: String,
}

impl VideoReport {
    /// What happened since the previous report; `None` if no time has passed.
    pub fn since(&self, previous: &Self) -> Option<VideoFigures> {
        let dt = (self.timestamp - previous.timestamp) / 1000.0;
        if dt.is_nan() || dt <= 0.0 {
            return None;
        }
        let frames = self.frames_decoded - previous.frames_decoded;
        let lost = self.packets_lost - previous.packets_lost;
        let packets = lost + self.packets_received - previous.packets_received;
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        Some(VideoFigures {
            fps: rounded(frames / dt, 1),
            kbps: rounded(8.0 * (self.bytes_received - previous.bytes_received) / dt / 1000.0, 1),
            width: self.frame_width,
            height: self.frame_height,
            loss_pct: rounded(100.0 * share(lost, packets), 2),
            jitter_ms: rounded(self.jitter * 1000.0, 1),
            frames_dropped: self.frames_dropped,
            freezes: self.freeze_count,
            jitter_buffer_ms: rounded(share(self.jitter_buffer_delay, self.jitter_buffer_emitted_count) * 1000.0, 1),
            decode_ms: rounded(share(self.total_decode_time - previous.total_decode_time, frames) * 1000.0, 1),
            codec: self.codec_mime.rsplit('/').next().unwrap_or_default().to_owned(),
            decoder: self.decoder.clone(),
        })
    }
}

fn rounded(value: f64, decimals: i32) -> f64 {
    let unit = 10_f64.powi(decimals);
    (value * unit).round() / unit
}
