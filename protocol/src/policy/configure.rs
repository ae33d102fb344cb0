//! Which cameras a client gets, and how: size, region, encoding, alignment.

use super::fields::Field;
use super::ids::RequestId;
use super::intrinsics::Region;
use super::reader::Reader;
use super::writer::{MapWriter, frame};
use super::{Frame, Owner, Problem, WireError};
use crate::names::wire_names;

wire_names! {
    /// How pictures are sent.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Encoding {
        /// Pixels.
        Raw = "raw",
        /// JPEG; only of uint8 with 1 or 3 channels.
        Jpeg = "jpeg",
    }
}

/// How one camera is to be sent, or is sent; what is missing stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CameraSettings {
    /// Whether it is sent at all.
    pub on: Option<bool>,
    /// Height and width of the picture, pixels, both at least 1.
    pub size: Option<[u32; 2]>,
    /// Part of the camera's own picture that is sent.
    pub roi: Option<Region>,
    /// Encoding.
    pub encoding: Option<Encoding>,
    /// Quality of JPEG, 1 to 100.
    pub quality: Option<u8>,
    /// Whether its depth is sent.
    pub depth: Option<bool>,
}

impl CameraSettings {
    fn write(&self, mut entry: MapWriter<'_>) {
        if let Some(on) = self.on {
            entry.flag("on", on);
        }
        if let Some(size) = self.size {
            entry.integers("size", size.into_iter().map(u64::from));
        }
        if let Some(Region { top, left, height, width }) = self.roi {
            entry.integers("roi", [top, left, height, width].into_iter().map(u64::from));
        }
        if let Some(encoding) = self.encoding {
            entry.text("encoding", encoding.name());
        }
        if let Some(quality) = self.quality {
            entry.integer("quality", quality.into());
        }
        if let Some(depth) = self.depth {
            entry.flag("depth", depth);
        }
        entry.finish();
    }

    fn read(entry: Reader<'_>) -> Result<Self, WireError> {
        let Some([on, size, roi, encoding, quality, depth]) =
            entry.members(["on", "size", "roi", "encoding", "quality", "depth"])?
        else {
            return Err(WireError::field("cameras", Problem::Not("a map of maps")));
        };
        let size = size.optional(|size| match size.pixels()? {
            [0, _] | [_, 0] => Err(size.error(Problem::OutOfRange("at least one pixel high and wide"))),
            pixels => Ok(pixels),
        })?;
        let roi = roi.optional(|roi| {
            let [top, left, height, width] = roi.pixels()?;
            let fits = top.checked_add(height).is_some() && left.checked_add(width).is_some();
            if height == 0 || width == 0 || !fits {
                return Err(roi.error(Problem::OutOfRange("at least one pixel high and wide")));
            }
            Ok(Region { top, left, height, width })
        })?;
        let quality = quality.optional(|quality| {
            let n = u8::try_from(quality.integer()?).ok().filter(|n| (1..=100).contains(n));
            n.ok_or_else(|| quality.error(Problem::OutOfRange("1 to 100")))
        })?;
        Ok(Self {
            on: on.optional(Field::flag)?,
            size,
            roi,
            encoding: encoding.optional(|field| field.named(Encoding::from_name, "raw or jpeg"))?,
            quality,
            depth: depth.optional(Field::flag)?,
        })
    }

    fn read_all(field: &Field<'_>) -> Result<Vec<(String, Self)>, WireError> {
        field.by_name(|name, entry| {
            Self::read(entry).map(Some).map_err(|error| error.of(Owner::Camera(name.to_owned())))
        })
    }
}

/// How the cameras of an observation are put together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Align {
    /// The newest frame of each.
    Latest,
    /// The newest frames that were taken within a time of each other.
    Nearest {
        /// That time, milliseconds.
        tolerance_ms: f64,
    },
}

impl Align {
    pub(super) fn write(self, header: &mut MapWriter<'_>) {
        let (mode, tolerance_ms) = match self {
            Self::Latest => ("latest", 0.0),
            Self::Nearest { tolerance_ms } => ("nearest", tolerance_ms),
        };
        let mut align = header.map("align");
        align.text("mode", mode);
        align.float("tolerance_ms", tolerance_ms);
        align.finish();
    }

    pub(super) fn read(field: &Field<'_>) -> Result<Self, WireError> {
        let [mode, tolerance_ms] = field.members(["mode", "tolerance_ms"])?;
        match mode.text()? {
            "latest" => Ok(Self::Latest),
            "nearest" => Ok(Self::Nearest { tolerance_ms: tolerance_ms.magnitude()? }),
            _ => Err(mode.error(Problem::OutOfRange("latest or nearest"))),
        }
    }
}

/// Asks for other settings of cameras, or tells those in force: `configure` and `configure_response`. They hold for one
/// connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Configure {
    /// Id of the request.
    pub id: RequestId,
    /// By name.
    pub cameras: Vec<(String, CameraSettings)>,
    /// Alignment.
    pub align: Option<Align>,
}

impl Configure {
    /// Appends the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_as("configure", out);
    }

    /// Appends the response.
    pub fn encode_response(&self, out: &mut Vec<u8>) {
        self.encode_as("configure_response", out);
    }

    fn encode_as(&self, kind: &str, out: &mut Vec<u8>) {
        frame(out, kind, |header| {
            header.id(self.id);
            let mut cameras = header.map("cameras");
            self.cameras.iter().for_each(|(name, settings)| settings.write(cameras.map(name)));
            cameras.finish();
            if let Some(align) = self.align {
                align.write(header);
            }
        });
    }

    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, WireError> {
        let [id, cameras, align] = frame.members(["id", "cameras", "align"]);
        Ok(Self {
            id: id.id()?,
            cameras: cameras.optional(CameraSettings::read_all)?.unwrap_or_default(),
            align: align.optional(Align::read)?,
        })
    }
}
