//! What is measured: the browser's statistics, the latency stamp below the picture, and the display that comes of them.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use js_sys::{Function, Reflect};
use waldo_protocol::hosted::{
    LinkFigures, LinkPath, OLD_TIME_BITS, Quality, SAMPLE_PX, STRIP_PX, SYNC, ToRobot, VideoReport, VideoState,
    VideoStats, codec_quality, command_quality, end_to_end_quality, fps_quality, freezes_quality, is_bright,
    latency_of, loss_quality, rtt_quality,
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use super::Hosted;
use super::ride::Ride;
use super::summary::{Figure, Hud};
use crate::browser::{document, unix_now};

const MEASURE_EVERY_MS: f64 = 1000.0;
/// The cells that the longest stamp has.
const CELLS: u32 = SYNC.len() as u32 + OLD_TIME_BITS;

/// The newest figures of a robot's link.
#[derive(Default)]
pub(super) struct Figures {
    measured_at: Cell<f64>,
    report: RefCell<Option<VideoReport>>,
    video: RefCell<Option<VideoStats>>,
    path: Cell<Option<LinkPath>>,
    /// From this browser to the SFU and back.
    near_rtt_ms: Cell<Option<f64>>,
    /// From the camera to the screen, 0 if unknown.
    latency_ms: Cell<f64>,
    /// Rows below the picture that belong to the stamp.
    strip: Cell<u32>,
    canvas: RefCell<Option<CanvasRenderingContext2d>>,
    on_picture: RefCell<Option<Closure<dyn FnMut()>>>,
    hud: RefCell<Hud>,
    /// Commands when they were last counted.
    counted: Cell<u64>,
}

impl Figures {
    pub(super) fn hud(&self) -> Hud {
        self.hud.borrow().clone()
    }

    pub(super) fn strip(&self) -> u32 {
        self.strip.get()
    }
}

impl Hosted {
    /// Once a second: asks the browser for its statistics, and looks at the stamp of the next picture.
    pub(super) fn measure(&self, ride: &Rc<Ride>, now: f64) {
        let since = now - ride.figures.measured_at.get();
        if since < MEASURE_EVERY_MS {
            return;
        }
        ride.figures.measured_at.set(now);
        ride.look_at_stamp();
        let Some(leg) = ride.leg.borrow().clone() else { return };
        let ride = ride.clone();
        self.run(async move |_| {
            if let Ok(statistics) = JsFuture::from(leg.peer().get_stats()).await {
                ride.take(&statistics);
            }
            let sent = ride.hands.sent.get();
            #[expect(clippy::cast_precision_loss, reason = "a second's commands")]
            let rate = (sent - ride.figures.counted.replace(sent)) as f64 * 1000.0 / since.max(MEASURE_EVERY_MS);
            ride.figures.hud.replace(ride.display(rate));
        });
    }
}

impl Ride {
    fn take(&self, statistics: &JsValue) {
        let found = Found::read(statistics);
        self.figures.path.set(found.path);
        self.figures.near_rtt_ms.set(found.rtt_ms);
        let Some(report) = found.video else { return };
        let previous = self.figures.report.replace(Some(report.clone()));
        let stats = previous.and_then(|previous| report.since(&previous, self.figures.latency_ms.get()));
        if let Some(stats) = stats {
            if self.is_driver() {
                self.say(&ToRobot::VideoStats(stats.clone()));
            }
            self.figures.video.replace(Some(stats));
        }
    }

    fn look_at_stamp(self: &Rc<Self>) {
        let mut on_picture = self.figures.on_picture.borrow_mut();
        let on_picture = on_picture.get_or_insert_with(|| {
            let ride: Weak<Self> = Rc::downgrade(self);
            Closure::new(move || {
                if let Some(ride) = ride.upgrade() {
                    // A picture that cannot be looked at carries no stamp.
                    let _ = ride.read_stamp();
                }
            })
        });
        let callback: &Function = on_picture.as_ref().unchecked_ref();
        self.camera.on_next_picture(callback);
    }

    fn read_stamp(&self) -> Result<(), JsValue> {
        let (width, height) = self.camera.size();
        let cells = (width / STRIP_PX).min(CELLS);
        if height <= STRIP_PX || cells == 0 {
            return Ok(());
        }
        let mut canvas = self.figures.canvas.borrow_mut();
        let context = match &mut *canvas {
            Some(context) => context,
            none => none.insert(strip_canvas()?),
        };
        let row = f64::from(height - STRIP_PX + SAMPLE_PX);
        let wide = f64::from(cells * STRIP_PX);
        context.draw_image_with_html_video_element_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
            &self.camera.element(),
            0.0,
            row,
            wide,
            1.0,
            0.0,
            0.0,
            wide,
            1.0,
        )?;
        let pixels = context.get_image_data(0, 0, (cells * STRIP_PX).cast_signed(), 1)?.data();
        let bright = |cell: u32| {
            let first = 4 * (cell * STRIP_PX + SAMPLE_PX) as usize;
            pixels.get(first..first + 3).is_some_and(|pixel| is_bright([pixel[0], pixel[1], pixel[2]]))
        };
        let read: Vec<bool> = (0..cells).map(bright).collect();
        let robot_now_ms = (unix_now() + self.clock.borrow().offset()) * 1000.0;
        let latency = latency_of(&read, robot_now_ms);
        if latency.is_some() {
            self.figures.strip.set(STRIP_PX);
        }
        self.figures.latency_ms.set(latency.unwrap_or(0.0));
        Ok(())
    }

    fn display(&self, send_rate: f64) -> Hud {
        let (video, robot) = (self.figures.video.borrow(), self.robot.borrow());
        let commands = robot.commands;
        let rtt_ms = if self.is_driver() { self.clock.borrow().rtt_ms() } else { self.figures.near_rtt_ms.get() };
        let command_ms = commands.and_then(|commands| commands.latency_ms);
        let link = LinkFigures {
            stalled: self.gate.get().is_stalled(),
            video: video.as_ref().map(|video| (video.fps, video.loss_pct)),
            rtt_ms,
            command_ms,
        };
        let mut parts = Vec::new();
        if let Some(video) = &*video {
            parts.push(format!("{:.0} fps", video.fps));
            parts.push(bitrate(video.kbps));
        }
        parts.extend(rtt_ms.map(|rtt| format!("{rtt:.0} ms round trip")));
        parts.extend(command_ms.map(|ms| format!("{ms:.0} ms to the robot")));
        let mut groups = vec![("Link", link_figures(self.figures.path.get(), rtt_ms))];
        if let Some(video) = &*video {
            groups.push(("Video", video_figures(video, robot.video.as_ref())));
        }
        if self.is_driver() {
            let ms = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0} ms"));
            let quality = command_quality(command_ms.unwrap_or(0.0));
            let mut figures = vec![
                figure("Latency", ms(command_ms), quality),
                figure("Interval", ms(commands.and_then(|commands| commands.jitter_ms)), Quality::Good),
                figure("Sent", format!("{send_rate:.0} /s"), Quality::Good),
            ];
            if let Some(rate) = commands.and_then(|commands| commands.rate_hz) {
                figures.push(figure("Received", format!("{rate:.0} /s"), Quality::Good));
            }
            if let Some(loss) = commands.and_then(|commands| commands.loss) {
                figures.push(figure("Lost", format!("{:.1} %", loss.loss_pct), loss_quality(loss.loss_pct)));
            }
            groups.push(("Commands", figures));
        }
        Hud { quality: link.quality(), line: parts.join(" · "), groups }
    }
}

fn bitrate(kbps: f64) -> String {
    if kbps < 1000.0 { format!("{kbps:.0} kbit/s") } else { format!("{:.1} Mbit/s", kbps / 1000.0) }
}

fn figure(label: &'static str, value: String, quality: Quality) -> Figure {
    Figure { label, value, quality }
}

fn link_figures(path: Option<LinkPath>, rtt_ms: Option<f64>) -> Vec<Figure> {
    let path = path.map(|path| figure("Path", path.label().to_owned(), path.quality()));
    let rtt = rtt_ms.map(|rtt| figure("Round trip", format!("{rtt:.0} ms"), rtt_quality(rtt)));
    [Some(figure("Transport", "WebRTC".to_owned(), Quality::Good)), path, rtt].into_iter().flatten().collect()
}

fn video_figures(video: &VideoStats, sent: Option<&VideoState>) -> Vec<Figure> {
    let plain = |label, value| figure(label, value, Quality::Good);
    let mut figures = vec![
        figure("Pictures", format!("{:.0} /s", video.fps), fps_quality(video.fps)),
        plain("Bitrate", bitrate(video.kbps)),
        plain(
            "Wanted",
            sent.map_or_else(String::new, |sent| format!("{} ({})", bitrate(sent.target_kbps), sent.reason)),
        ),
        plain("Size", format!("{} × {}", video.width, video.height)),
        figure("Codec", video.codec.clone(), codec_quality(&video.codec)),
        figure("Loss", format!("{:.1} %", video.loss_pct), loss_quality(video.loss_pct)),
        plain("Buffer", format!("{:.0} ms", video.jitter_buffer_ms)),
        plain("Decoding", format!("{:.1} ms", video.decode_ms)),
    ];
    if video.e2e_latency_ms > 0.0 {
        let quality = end_to_end_quality(video.e2e_latency_ms);
        figures.push(figure("Camera to screen", format!("{:.0} ms", video.e2e_latency_ms), quality));
    }
    figures.retain(|figure| !figure.value.is_empty());
    figures.push(figure("Freezes", video.freezes.to_string(), freezes_quality(f64::from(video.freezes))));
    figures
}

fn strip_canvas() -> Result<CanvasRenderingContext2d, JsValue> {
    let canvas: HtmlCanvasElement = document().create_element("canvas")?.unchecked_into();
    canvas.set_width(CELLS * STRIP_PX);
    canvas.set_height(1);
    let options = js_sys::Object::new();
    Reflect::set(&options, &"willReadFrequently".into(), &JsValue::TRUE)?;
    let context = canvas.get_context_with_context_options("2d", &options)?;
    Ok(context.ok_or("no 2D canvas")?.unchecked_into())
}

/// What of the browser's statistics counts.
struct Found {
    video: Option<VideoReport>,
    path: Option<LinkPath>,
    rtt_ms: Option<f64>,
}

impl Found {
    fn read(statistics: &JsValue) -> Self {
        let map: &js_sys::Map = statistics.unchecked_ref();
        let mut all = Vec::new();
        map.for_each(&mut |report, _| all.push(report));
        let kind = |report: &&JsValue, wanted: &str| text(report, "type") == wanted;
        let by_id = |id: &str| Some(map.get(&id.into())).filter(JsValue::is_object);
        let pairs = || all.iter().filter(|report| kind(report, "candidate-pair"));
        let selected = all
            .iter()
            .filter(|report| kind(report, "transport"))
            .find_map(|transport| by_id(&text(transport, "selectedCandidatePairId")))
            .or_else(|| pairs().find(|pair| text(pair, "state") == "succeeded" && flag(pair, "nominated")).cloned());
        let local = selected.as_ref().and_then(|pair| by_id(&text(pair, "localCandidateId")));
        let video = all.iter().find(|report| kind(report, "inbound-rtp") && text(report, "kind") == "video");
        let codec = video.and_then(|video| by_id(&text(video, "codecId")));
        Self {
            path: local.and_then(|local| LinkPath::of_candidate(&text(&local, "candidateType"))),
            rtt_ms: selected.map(|pair| number(&pair, "currentRoundTripTime") * 1000.0),
            video: video.map(|video| VideoReport {
                timestamp: number(video, "timestamp"),
                frames_decoded: number(video, "framesDecoded"),
                bytes_received: number(video, "bytesReceived"),
                packets_lost: number(video, "packetsLost"),
                packets_received: number(video, "packetsReceived"),
                total_decode_time: number(video, "totalDecodeTime"),
                frame_width: number(video, "frameWidth"),
                frame_height: number(video, "frameHeight"),
                jitter: number(video, "jitter"),
                frames_dropped: number(video, "framesDropped"),
                freeze_count: number(video, "freezeCount"),
                jitter_buffer_delay: number(video, "jitterBufferDelay"),
                jitter_buffer_emitted_count: number(video, "jitterBufferEmittedCount"),
                decoder: text(video, "decoderImplementation"),
                codec_mime: codec.map(|codec| text(&codec, "mimeType")).unwrap_or_default(),
            }),
        }
    }
}

fn field(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

fn text(object: &JsValue, name: &str) -> String {
    field(object, name).as_string().unwrap_or_default()
}

fn number(object: &JsValue, name: &str) -> f64 {
    field(object, name).as_f64().unwrap_or_default()
}

fn flag(object: &JsValue, name: &str) -> bool {
    field(object, name).as_bool().unwrap_or_default()
}
