//! LCM encoding: fingerprints from type descriptions, and the messages that hosted teleoperation sends.
//!
//! A message is the fingerprint of its type, eight bytes, then its fields in the order of the declaration, everything
//! big-endian and without padding. Read one whose type is not known beforehand with [`Message::decode`], one that is with
//! the type's own `decode`. Decoding is strict about lengths and text, ignores what follows the message, and lets numbers
//! pass that are not finite: whoever acts on them refuses those.
//!
//! ```
//! use waldo_protocol::lcm::{Error, Header, Message, Time, Twist, TwistStamped};
//!
//! let header = Header { seq: 1, stamp: Time::from_unix_s(1.7e9), frame_id: "keyboard".to_owned() };
//! let message = TwistStamped { header, twist: Twist::default() };
//! let bytes = message.encode();
//! assert_eq!(bytes.len(), 73 + "keyboard".len());
//! assert_eq!(Message::decode(&bytes)?, Message::TwistStamped(message));
//! # Ok::<(), Error>(())
//! ```

mod field;
mod fingerprint;
mod message;
mod reader;
mod sensor;
mod types;

pub use fingerprint::{Dimension, Kind, Member, Type};
pub use message::Message;
pub use reader::{Error, MAX_COUNT};
pub use sensor::{CompressedImage, Image, Joy};
pub use types::{Bool, Header, Pose, PoseStamped, Text, Time, Twist, TwistStamped, UInt32};
