//! What a field of a message can be, and the one declaration that gives a type its description and its encoding.

use glam::{DQuat, DVec3};

use super::reader::{Error, Reader};
use super::{Kind, Member, Type};

/// A type of field.
pub(super) trait Field: Sized {
    const KIND: Kind;

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error>;
    fn write(&self, to: &mut Vec<u8>);
}

macro_rules! numbers {
    ($($type:ty = $name:literal;)*) => {$(
        impl Field for $type {
            const KIND: Kind = Kind::Primitive($name);

            fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
                reader.array().map(Self::from_be_bytes)
            }
            fn write(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_be_bytes());
            }
        }
    )*};
}

numbers! {
    u8 = "byte";
    i32 = "int32_t";
    f32 = "float";
    f64 = "double";
}

impl Field for bool {
    const KIND: Kind = Kind::Primitive("boolean");

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(u8::read(reader)? != 0)
    }
    fn write(&self, to: &mut Vec<u8>) {
        to.push((*self).into());
    }
}

impl Field for String {
    const KIND: Kind = Kind::Primitive("string");

    /// What is not UTF-8 is replaced, so that it equals no name.
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let length = u32::from_be_bytes(reader.array()?);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (last, text) = reader.bytes(length)?.split_last().ok_or(Error::EmptyText)?;
        if *last != 0 {
            return Err(Error::Unterminated);
        }
        Ok(Self::from_utf8_lossy(text).into_owned())
    }

    /// A text of 4 GiB is cut; no channel would carry it.
    fn write(&self, to: &mut Vec<u8>) {
        let length = u32::try_from(self.len() + 1).unwrap_or(u32::MAX);
        to.extend_from_slice(&length.to_be_bytes());
        to.extend_from_slice(&self.as_bytes()[..length as usize - 1]);
        to.push(0);
    }
}

const fn double(name: &'static str) -> Member {
    Member { name, kind: f64::KIND, dimensions: &[] }
}

/// Point and vector are alike.
const POINT: Type = Type { name: "geometry_msgs.Point", members: &[double("x"), double("y"), double("z")] };

impl Field for DVec3 {
    const KIND: Kind = Kind::Nested(&POINT);

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self::new(f64::read(reader)?, f64::read(reader)?, f64::read(reader)?))
    }
    fn write(&self, to: &mut Vec<u8>) {
        self.to_array().iter().for_each(|number| number.write(to));
    }
}

const QUATERNION: Type =
    Type { name: "geometry_msgs.Quaternion", members: &[double("x"), double("y"), double("z"), double("w")] };

impl Field for DQuat {
    const KIND: Kind = Kind::Nested(&QUATERNION);

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self::from_xyzw(f64::read(reader)?, f64::read(reader)?, f64::read(reader)?, f64::read(reader)?))
    }
    fn write(&self, to: &mut Vec<u8>) {
        self.to_array().iter().for_each(|number| number.write(to));
    }
}

/// The declaration of a type whose members all have a fixed number of elements.
macro_rules! lcm_type {
    (
        $(#[$doc:meta])*
        $type:ident = $lcm:literal {
            $($(#[$member_doc:meta])* $member:ident: $kind:ty,)*
        }
    ) => {
        $(#[$doc])*
        pub struct $type {
            $($(#[$member_doc])* pub $member: $kind,)*
        }

        impl $crate::lcm::field::Field for $type {
            const KIND: $crate::lcm::Kind = $crate::lcm::Kind::Nested(&Self::TYPE);

            fn read(reader: &mut $crate::lcm::reader::Reader<'_>) -> Result<Self, $crate::lcm::Error> {
                Ok(Self { $($member: $crate::lcm::field::Field::read(reader)?,)* })
            }
            fn write(&self, to: &mut Vec<u8>) {
                $($crate::lcm::field::Field::write(&self.$member, to);)*
            }
        }

        impl $type {
            /// What it is made of.
            pub const TYPE: $crate::lcm::Type = $crate::lcm::Type {
                name: $lcm,
                members: &[$($crate::lcm::Member {
                    name: stringify!($member),
                    kind: <$kind as $crate::lcm::field::Field>::KIND,
                    dimensions: &[],
                },)*],
            };
        }

        $crate::lcm::field::lcm_message!($type);
    };
}

/// Encoding and decoding of a type that has a `TYPE` and is a `Field`.
macro_rules! lcm_message {
    ($type:ident) => {
        impl $type {
            /// What its messages begin with.
            pub const FINGERPRINT: u64 = Self::TYPE.fingerprint();

            /// The message, fingerprint first.
            pub fn encode(&self) -> Vec<u8> {
                let mut bytes = Self::FINGERPRINT.to_be_bytes().to_vec();
                $crate::lcm::field::Field::write(self, &mut bytes);
                bytes
            }

            /// Reads a message of this type; what follows it is ignored.
            ///
            /// # Errors
            /// [`Error::Unknown`](crate::lcm::Error::Unknown) if it is of another type, otherwise what is wrong with it.
            pub fn decode(message: &[u8]) -> Result<Self, $crate::lcm::Error> {
                let mut reader = $crate::lcm::reader::Reader::new(message);
                match u64::from_be_bytes(reader.array()?) {
                    Self::FINGERPRINT => $crate::lcm::field::Field::read(&mut reader),
                    other => Err($crate::lcm::Error::Unknown(other)),
                }
            }
        }
    };
}

pub(super) use {lcm_message, lcm_type};
