//! Messages whose type is told by their first eight bytes.

use super::field::Field;
use super::reader::{Error, Reader};
use super::{Bool, CompressedImage, Image, Joy, PoseStamped, Text, Twist, TwistStamped, UInt32};

macro_rules! messages {
    ($($(#[$doc:meta])* $type:ident,)*) => {
        /// A message of any type that stands alone on the wire or on the robot's own bus.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Message {
            $($(#[$doc])* $type($type),)*
        }

        impl Message {
            /// Reads a message and tells how many of the bytes it takes; those that follow are ignored.
            ///
            /// # Errors
            /// [`Error::Unknown`] for a type that is not here, otherwise what is wrong with it.
            pub fn decode_prefix(bytes: &[u8]) -> Result<(Self, usize), Error> {
                let mut reader = Reader::new(bytes);
                let message = match u64::from_be_bytes(reader.array()?) {
                    $($type::FINGERPRINT => Self::$type(Field::read(&mut reader)?),)*
                    other => return Err(Error::Unknown(other)),
                };
                Ok((message, reader.used()))
            }

            /// The message, fingerprint first.
            pub fn encode(&self) -> Vec<u8> {
                match self {
                    $(Self::$type(message) => message.encode(),)*
                }
            }

            /// Package and name of its type.
            pub const fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$type(_) => $type::TYPE.name,)*
                }
            }
        }
    };
}

messages! {
    /// Where a hand is.
    PoseStamped,
    /// Sticks and buttons of a hand.
    Joy,
    /// How to move.
    TwistStamped,
    /// The same without time and address.
    Twist,
    /// Yes or no.
    Bool,
    /// A word of bits.
    UInt32,
    /// A text.
    Text,
    /// A picture.
    Image,
    /// A picture as a file has it.
    CompressedImage,
}

impl Message {
    /// Reads a message; what follows it is ignored.
    ///
    /// # Errors
    /// As [`Message::decode_prefix`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Self::decode_prefix(bytes).map(|(message, _)| message)
    }
}
