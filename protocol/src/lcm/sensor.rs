//! The types with arrays, whose lengths stand before everything else.

use super::field::{Field, lcm_message};
use super::reader::{Error, MAX_COUNT, Reader, count};
use super::{Dimension, Header, Kind, Member, Type};

const fn member<T: Field>(name: &'static str) -> Member {
    Member { name, kind: T::KIND, dimensions: &[] }
}

/// The first so many elements, with their number as it is written.
fn first<T>(elements: &[T], most: usize) -> (i32, &[T]) {
    let length = i32::try_from(elements.len().min(most)).unwrap_or(i32::MAX);
    (length, &elements[..length as usize])
}

/// Axes and buttons of one controller, or other numbers that fit the form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Joy {
    /// Time, and whose controller.
    pub header: Header,
    /// At most [`MAX_COUNT`].
    pub axes: Vec<f32>,
    /// At most [`MAX_COUNT`].
    pub buttons: Vec<i32>,
}

impl Joy {
    /// What it is made of.
    pub const TYPE: Type = Type {
        name: "sensor_msgs.Joy",
        members: &[
            member::<i32>("axes_length"),
            member::<i32>("buttons_length"),
            member::<Header>("header"),
            Member { name: "axes", kind: f32::KIND, dimensions: &[Dimension::Variable("axes_length")] },
            Member { name: "buttons", kind: i32::KIND, dimensions: &[Dimension::Variable("buttons_length")] },
        ],
    };
}

impl Field for Joy {
    const KIND: Kind = Kind::Nested(&Self::TYPE);

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let axes = count(i32::read(reader)?, MAX_COUNT)?;
        let buttons = count(i32::read(reader)?, MAX_COUNT)?;
        Ok(Self {
            header: Header::read(reader)?,
            axes: (0..axes).map(|_| f32::read(reader)).collect::<Result<_, _>>()?,
            buttons: (0..buttons).map(|_| i32::read(reader)).collect::<Result<_, _>>()?,
        })
    }

    /// Elements beyond [`MAX_COUNT`] stay here.
    fn write(&self, to: &mut Vec<u8>) {
        let (axes_length, axes) = first(&self.axes, MAX_COUNT);
        let (buttons_length, buttons) = first(&self.buttons, MAX_COUNT);
        axes_length.write(to);
        buttons_length.write(to);
        self.header.write(to);
        axes.iter().for_each(|axis| axis.write(to));
        buttons.iter().for_each(|button| button.write(to));
    }
}

lcm_message!(Joy);

/// A picture, row after row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// When it was taken, and by what.
    pub header: Header,
    /// Rows.
    pub height: i32,
    /// Columns.
    pub width: i32,
    /// What a pixel is, as `rgb8`.
    pub encoding: String,
    /// 1 if numbers of more than a byte are big-endian.
    pub is_bigendian: u8,
    /// Bytes of one row.
    pub step: i32,
    /// The rows; less than 2 GiB.
    pub data: Vec<u8>,
}

impl Image {
    /// What it is made of.
    pub const TYPE: Type = Type {
        name: "sensor_msgs.Image",
        members: &[
            member::<i32>("data_length"),
            member::<Header>("header"),
            member::<i32>("height"),
            member::<i32>("width"),
            member::<String>("encoding"),
            member::<u8>("is_bigendian"),
            member::<i32>("step"),
            DATA,
        ],
    };
}

const DATA: Member = Member { name: "data", kind: u8::KIND, dimensions: &[Dimension::Variable("data_length")] };

impl Field for Image {
    const KIND: Kind = Kind::Nested(&Self::TYPE);

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let length = count(i32::read(reader)?, usize::MAX)?;
        Ok(Self {
            header: Header::read(reader)?,
            height: i32::read(reader)?,
            width: i32::read(reader)?,
            encoding: String::read(reader)?,
            is_bigendian: u8::read(reader)?,
            step: i32::read(reader)?,
            data: reader.bytes(length)?.to_vec(),
        })
    }

    fn write(&self, to: &mut Vec<u8>) {
        let (length, data) = first(&self.data, usize::MAX);
        length.write(to);
        self.header.write(to);
        self.height.write(to);
        self.width.write(to);
        self.encoding.write(to);
        self.is_bigendian.write(to);
        self.step.write(to);
        to.extend_from_slice(data);
    }
}

lcm_message!(Image);

/// A picture as a file has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompressedImage {
    /// When it was taken, and by what.
    pub header: Header,
    /// As `jpeg`.
    pub format: String,
    /// The file; less than 2 GiB.
    pub data: Vec<u8>,
}

impl CompressedImage {
    /// What it is made of.
    pub const TYPE: Type = Type {
        name: "sensor_msgs.CompressedImage",
        members: &[member::<i32>("data_length"), member::<Header>("header"), member::<String>("format"), DATA],
    };
}

impl Field for CompressedImage {
    const KIND: Kind = Kind::Nested(&Self::TYPE);

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let length = count(i32::read(reader)?, usize::MAX)?;
        Ok(Self { header: Header::read(reader)?, format: String::read(reader)?, data: reader.bytes(length)?.to_vec() })
    }

    fn write(&self, to: &mut Vec<u8>) {
        let (length, data) = first(&self.data, usize::MAX);
        length.write(to);
        self.header.write(to);
        self.format.write(to);
        to.extend_from_slice(data);
    }
}

lcm_message!(CompressedImage);
