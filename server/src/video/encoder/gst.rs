//! H.264 with an element of GStreamer, such as one that drives hardware.

use std::time::Duration;

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use openh264::formats::YUVSource;

use super::{EncodeError, Encoder, FPS, MAX_BITRATE, MIN_BITRATE};
use crate::video::annex_b::{Kind, nals};
use crate::video::i420::I420;

/// How long an element may take for one picture. It must give each before it gets the next.
const PATIENCE: Duration = Duration::from_secs(1);

/// Settings for low delay of elements that are given by name alone. Of these, x264enc and openh264enc are tested.
const USUAL: [(&str, &str); 6] = [
    ("x264enc", "tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=600"),
    ("openh264enc", "complexity=low rate-control=bitrate gop-size=600 multi-thread=1 scene-change-detection=false"),
    ("vaapih264enc", "rate-control=cbr max-bframes=0 keyframe-period=600"),
    ("vah264enc", "rate-control=cbr b-frames=0 key-int-max=600"),
    ("vah264lpenc", "rate-control=cbr b-frames=0 key-int-max=600"),
    ("nvh264enc", "preset=low-latency-hq rc-mode=cbr zerolatency=true bframes=0 gop-size=600"),
];

/// An encoder for pictures of one size.
pub(in crate::video) struct Gst {
    pipeline: gst::Pipeline,
    source: AppSrc,
    sink: AppSink,
    element: gst::Element,
    size: (u32, u32),
    bps: u32,
    told: u32,
    fps: f32,
    now: gst::ClockTime,
}

impl Gst {
    /// An encoder for pictures of this size that begins with this bitrate. `element` is the name of an element, with
    /// properties as for `gst-launch-1.0` if the usual ones do not do.
    pub(in crate::video) fn new(element: &str, width: u32, height: u32, bps: u32) -> Result<Self, EncodeError> {
        gst::init().map_err(failed)?;
        let usual = USUAL.iter().find(|(name, _)| *name == element.trim()).map_or("", |(_, properties)| *properties);
        let description = format!(
            "appsrc name=pictures format=time is-live=false max-buffers=2 \
             caps=video/x-raw,format=I420,width={width},height={height},framerate={FPS}/1,colorimetry=bt601 \
             ! videoconvert ! {element} {usual} name=encoder \
             ! video/x-h264,profile=(string){{constrained-baseline,baseline}} \
             ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au \
             ! appsink name=frames sync=false max-buffers=4"
        );
        let pipeline = gst::parse::launch(&description).map_err(failed)?;
        let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| EncodeError::Gst("not a pipeline".into()))?;
        let part = |name| pipeline.by_name(name).ok_or_else(|| EncodeError::Gst(format!("there is no {name}")));
        let odd = |_| EncodeError::Gst("an element of another type".into());
        let bps = bps.clamp(MIN_BITRATE, MAX_BITRATE);
        let mut encoder = Self {
            source: part("pictures")?.downcast().map_err(odd)?,
            sink: part("frames")?.downcast().map_err(odd)?,
            element: part("encoder")?,
            pipeline,
            size: (width, height),
            bps,
            told: 0,
            fps: FPS,
            now: gst::ClockTime::ZERO,
        };
        encoder.tell_bitrate();
        encoder.pipeline.set_state(gst::State::Playing).map_err(|error| encoder.explain(&error.to_string()))?;
        Ok(encoder)
    }

    /// Elements without such a property keep the bitrate of their description.
    fn tell_bitrate(&mut self) {
        if self.told != self.bps && self.element.find_property("bitrate").is_some() {
            // One of them counts bits, all others kilobits.
            let in_bits = self.element.factory().is_some_and(|factory| factory.name() == "openh264enc");
            let rate = if in_bits { self.bps } else { (self.bps / 1000).max(1) };
            self.element.set_property_from_str("bitrate", &rate.to_string());
        }
        self.told = self.bps;
    }

    /// What the pipeline says about its failure, or else `otherwise`.
    fn explain(&self, otherwise: &str) -> EncodeError {
        let said = self.pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        let text = said.and_then(|message| match message.view() {
            gst::MessageView::Error(error) => Some(error.error().to_string()),
            _ => None,
        });
        EncodeError::Gst(text.unwrap_or_else(|| otherwise.to_owned()))
    }
}

impl Encoder for Gst {
    fn set_bitrate(&mut self, bps: u32) {
        self.bps = bps.clamp(MIN_BITRATE, MAX_BITRATE);
    }

    fn set_frame_rate(&mut self, fps: f32) {
        self.fps = fps.clamp(1.0, 120.0);
    }

    fn encode(&mut self, picture: &I420, keyframe: bool) -> Result<(Bytes, bool), EncodeError> {
        if picture.size() != self.size {
            return Err(EncodeError::Gst("a picture of another size".into()));
        }
        self.tell_bitrate();
        if keyframe && self.now > gst::ClockTime::ZERO {
            let wish = gst::Structure::builder("GstForceKeyUnit").field("all-headers", true).build();
            if let Some(pad) = self.element.static_pad("src") {
                pad.send_event(gst::event::CustomUpstream::new(wish));
            }
        }
        let duration = gst::ClockTime::from_nseconds((1e9 / f64::from(self.fps)) as u64);
        let mut buffer = gst::Buffer::from_slice(packed(picture));
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(self.now);
            buffer.set_duration(duration);
        }
        self.now += duration;
        self.source.push_buffer(buffer).map_err(|error| self.explain(&error.to_string()))?;
        let patience = gst::ClockTime::try_from(PATIENCE).map_err(failed)?;
        let Some(sample) = self.sink.try_pull_sample(patience) else {
            return Err(self.explain("the element gives no picture; it must not wait for later ones"));
        };
        let map = sample.buffer().and_then(|buffer| buffer.map_readable().ok()).ok_or(EncodeError::Skipped)?;
        let data = Bytes::copy_from_slice(&map);
        let nals = nals(&data).ok_or_else(|| EncodeError::Gst("not H.264 in Annex B form".into()))?;
        let has = |kind| nals.iter().any(|nal| nal.kind == kind);
        let is_keyframe = has(Kind::Idr) && has(Kind::Sps) && has(Kind::Pps);
        Ok((data.clone(), is_keyframe))
    }
}

impl Drop for Gst {
    fn drop(&mut self) {
        // A pipeline that cannot even stop has been complained about before.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// The planes as GStreamer has them: rows of a multiple of four bytes, one plane behind the other.
fn packed(picture: &I420) -> Vec<u8> {
    let (width, height) = picture.dimensions();
    let stride = width.next_multiple_of(4);
    let chroma_stride = (width / 2).next_multiple_of(4);
    let mut data = Vec::with_capacity(stride * height + chroma_stride * height);
    for (plane, width, stride) in
        [(picture.y(), width, stride), (picture.u(), width / 2, chroma_stride), (picture.v(), width / 2, chroma_stride)]
    {
        for row in plane.chunks_exact(width) {
            data.extend_from_slice(row);
            data.resize(data.len() + stride - width, 0);
        }
    }
    data
}

fn failed(error: impl std::fmt::Display) -> EncodeError {
    EncodeError::Gst(error.to_string())
}

#[cfg(test)]
mod tests {
    use openh264::decoder::Decoder;

    use super::*;
    use crate::video::encoder::testing::{bitrate, grey, plain};

    /// The elements in software that Debian has.
    const ELEMENTS: [&str; 2] = ["x264enc", "openh264enc"];

    #[test]
    fn each_picture_comes_at_once_and_keyframes_on_request() {
        for element in ELEMENTS {
            let mut encoder = Gst::new(element, 64, 48, 200_000).unwrap();
            let mut decoder = Decoder::new().unwrap();
            for (number, asked) in [(1, false), (2, false), (3, true), (4, false), (5, false)] {
                let value = number * 40;
                let (data, keyframe) = encoder.encode(&plain(64, 48, value), asked).unwrap();
                assert_eq!(keyframe, number == 1 || asked, "{element}, picture {number}");
                let seen = grey(&mut decoder, &data);
                assert!(seen.abs_diff(value) < 12, "{element}: {seen} instead of {value}");
            }
        }
    }

    #[test]
    fn the_stream_is_baseline_whatever_the_width() {
        for element in ELEMENTS {
            // Debian's openh264enc spoils the edge of pictures whose chroma rows are not a multiple of four bytes.
            let widths: &[_] = if element == "openh264enc" { &[(64, 48)] } else { &[(64, 48), (130, 98), (322, 242)] };
            for &(width, height) in widths {
                let (data, _) = Gst::new(element, width, height, 200_000)
                    .unwrap()
                    .encode(&plain(width, height, 200), false)
                    .unwrap();
                let sps = nals(&data).unwrap().into_iter().find(|nal| nal.kind == Kind::Sps).unwrap();
                assert_eq!(sps.second, 66, "{element}");
                let mut decoder = Decoder::new().unwrap();
                let picture = decoder.decode(&data).unwrap().unwrap();
                assert_eq!(picture.dimensions(), (width as usize, height as usize));
                let mut rgb = vec![0; width as usize * height as usize * 3];
                picture.write_rgb8(&mut rgb);
                assert!(rgb.iter().all(|value| value.abs_diff(200) < 12), "{element} {width}x{height}");
            }
        }
    }

    #[test]
    fn the_bitrate_changes_while_the_stream_goes_on() {
        for element in ELEMENTS {
            let mut encoder = Gst::new(element, 320, 240, 600_000).unwrap();
            let mut number = 0;
            let mut last = 0;
            for bps in [600_000_u32, 200_000, 900_000] {
                encoder.set_bitrate(bps);
                let measured = bitrate(&mut encoder, number..number + 90, 30, |number, _, keyframe| {
                    // openh264enc makes a keyframe of each change.
                    assert!(keyframe == (number == 0) || element == "openh264enc", "{element}, picture {number}");
                });
                number += 90;
                assert!(measured.abs_diff(bps as usize) < bps as usize / 2, "{element}: {measured} instead of {bps}");
                assert_ne!(measured, last);
                last = measured;
            }
        }
    }

    #[test]
    fn an_element_that_is_not_there_or_no_encoder_is_an_error() {
        for element in ["there_is_no_such_element", "fakesink", "", "! !"] {
            let error = Gst::new(element, 64, 48, 200_000)
                .and_then(|mut encoder| encoder.encode(&plain(64, 48, 1), false))
                .unwrap_err();
            assert!(matches!(error, EncodeError::Gst(_)), "{element}: {error}");
        }
    }
}
