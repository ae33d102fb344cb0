//! What a robot tells of its surroundings on `map_unreliable`.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Unreadable;
use super::json::{Fields, encode, object};

/// A message of the map channel; goes as a binary frame.
#[derive(Clone, Debug, PartialEq)]
pub enum MapMessage {
    /// The map.
    Map(MapPicture),
    /// Where the robot is on it.
    Odom(Odom),
    /// Of a type that nobody knows; to be ignored.
    Unknown(String),
}

/// A map as a picture. Row 0 is at the origin, so that y grows with the row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MapPicture {
    /// `png`.
    pub fmt: String,
    /// Columns.
    pub w: u32,
    /// Rows.
    pub h: u32,
    /// Metres a cell.
    pub res: f64,
    /// Where the corner of column 0 and row 0 is in the world, metres.
    pub origin: [f64; 2],
    /// When it was made, s.
    pub stamp: f64,
    /// The picture, Base64.
    pub png_b64: String,
    /// It was made coarser to fit (extension).
    #[serde(skip_serializing_if = "is_false")]
    pub reduced: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Where a robot is in the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Odom {
    /// Metres.
    pub x: f64,
    /// Metres.
    pub y: f64,
    /// Radians, from the world's x to the left.
    pub yaw: f64,
    /// When, s.
    pub ts: f64,
}

impl MapMessage {
    /// Reads a text or binary frame.
    ///
    /// # Errors
    /// [`Unreadable`] for what means nothing.
    pub fn decode(frame: &[u8]) -> Result<Self, Unreadable> {
        let message = object(frame)?;
        Ok(match message.text("type").ok_or(Unreadable::Field("type"))? {
            "map" => Self::Map(MapPicture::read(&message)?),
            "odom" => {
                let number = |key: &'static str| message.number(key).ok_or(Unreadable::Field(key));
                let ts = message.number("ts").unwrap_or_default();
                Self::Odom(Odom { x: number("x")?, y: number("y")?, yaw: number("yaw")?, ts })
            }
            unknown => Self::Unknown(unknown.chars().take(64).collect()),
        })
    }

    /// The message as compact JSON text.
    pub fn encode(&self) -> String {
        #[derive(Serialize)]
        struct Typed<'a, T> {
            r#type: &'a str,
            #[serde(flatten)]
            fields: T,
        }
        match self {
            Self::Map(map) => encode(&Typed { r#type: "map", fields: map }),
            Self::Odom(odom) => encode(&Typed { r#type: "odom", fields: odom }),
            Self::Unknown(kind) => encode(&Typed { r#type: kind, fields: () }),
        }
    }
}

impl MapPicture {
    fn read(message: &Map<String, Value>) -> Result<Self, Unreadable> {
        let size = |key: &'static str| {
            let size = message.get(key).and_then(Value::as_u64).and_then(|size| u32::try_from(size).ok());
            size.filter(|size| *size > 0).ok_or(Unreadable::Field(key))
        };
        let origin = match message.get("origin").and_then(Value::as_array).map(Vec::as_slice) {
            Some([x, y, ..]) => x.as_f64().zip(y.as_f64()),
            _ => None,
        };
        let (x, y) = origin.ok_or(Unreadable::Field("origin"))?;
        let text = |key: &'static str| message.text(key).map(str::to_owned).ok_or(Unreadable::Field(key));
        Ok(Self {
            fmt: text("fmt")?,
            w: size("w")?,
            h: size("h")?,
            res: message.number("res").filter(|res| *res > 0.0).ok_or(Unreadable::Field("res"))?,
            origin: [x, y],
            stamp: message.number("stamp").unwrap_or_default(),
            png_b64: text("png_b64")?,
            reduced: message.flag("reduced").unwrap_or_default(),
        })
    }

    /// The cell, column and row, at a place in the world.
    pub fn cell(&self, world: [f64; 2]) -> [f64; 2] {
        [(world[0] - self.origin[0]) / self.res, (world[1] - self.origin[1]) / self.res]
    }

    /// The place in the world, metres, of a cell, column and row.
    pub fn world(&self, cell: [f64; 2]) -> [f64; 2] {
        [self.origin[0] + cell[0] * self.res, self.origin[1] + cell[1] * self.res]
    }
}
