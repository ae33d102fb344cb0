//! Long frames through memory that a robot and a client on one computer share, beside the keys on Zenoh.
//!
//! The client makes the memory, a file on no disk, and offers it to the robot. A robot that can reach it runs on the same
//! computer: it writes long frames there and sends a notice instead. Whoever cannot, or does not know of it, leaves the
//! offer be, and frames come as they always did.
//!
//! The memory has [`SLOTS`] places for one frame each. The robot writes to a place that is free; the client copies the
//! frame out and writes the number of the notice to the beginning of the memory, which makes the place free again. While
//! none is, frames come as they always did. All numbers are little endian.
//!
//! The client also writes there how many frames have come. So a robot knows when nothing that it has sent is under way
//! any more, and that what it sends next meets no queue.

use super::ids::{ClientId, RobotId};

/// Frames that may lie in the memory: one is read while the next is written.
pub const SLOTS: usize = 2;

/// Longest frame that goes through the memory, bytes.
pub const SLOT_BYTES: u64 = 64 << 20;

/// Where the slots begin: on a page of their own.
const FIRST_SLOT: u64 = 4096;

/// Length of the memory, bytes. What was never written to costs nothing.
pub const MEMORY_BYTES: u64 = FIRST_SLOT + SLOTS as u64 * SLOT_BYTES;

/// Shortest frame for which the detour pays, bytes: below it Zenoh has it there in one or two pieces.
pub const WORTH_SHARING: usize = 128 << 10;

/// Where a client offers memory to its robot.
pub fn offer_key(robot: &RobotId, client: &ClientId) -> String {
    format!("chiral/{robot}/memory/c2s/{client}")
}

/// What a robot subscribes to in order to hear all offers.
pub fn every_offer(robot: &RobotId) -> String {
    format!("chiral/{robot}/memory/c2s/*")
}

/// Where a robot says that a frame lies in a client's memory.
pub fn notice_key(robot: &RobotId, client: &ClientId) -> String {
    format!("chiral/{robot}/memory/s2c/{client}")
}

/// The client whose offer comes on that key; `None` if it is no such key.
pub fn offerer_of(key: &str) -> Option<ClientId> {
    match key.split('/').collect::<Vec<_>>()[..] {
        ["chiral", robot, "memory", "c2s", client] if RobotId::parse(robot).is_ok() => ClientId::parse(client),
        _ => None,
    }
}

/// Where in the memory a slot begins, bytes.
pub const fn slot_at(slot: usize) -> u64 {
    FIRST_SLOT + slot as u64 * SLOT_BYTES
}

/// Where in the memory the client writes the number of the last notice for that slot that it has taken: 8 bytes.
pub const fn taken_at(slot: usize) -> u64 {
    slot as u64 * 8
}

/// Where in the memory the client writes how many frames and notices of its robot have come, before it hands them on: 8
/// bytes. Clients that do not know of it leave 0 there.
pub const ARRIVED_AT: u64 = taken_at(SLOTS);

/// Memory that a client shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryOffer {
    /// At random: tells this memory from every other.
    pub tag: u64,
    /// Id of the client's process, which holds it open.
    pub process: u32,
    /// Number of the open file there.
    pub file: u32,
}

impl MemoryOffer {
    /// Its length on the wire, bytes.
    pub const LEN: usize = 16;

    /// What the file is called; nothing else on that computer has this name.
    pub fn name(&self) -> String {
        format!("waldo-policy-{:016x}", self.tag)
    }

    /// As it goes over the wire.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.tag.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.process.to_le_bytes());
        bytes[12..].copy_from_slice(&self.file.to_le_bytes());
        bytes
    }

    /// The offer of these bytes, if they are one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let (tag, rest) = bytes.split_first_chunk()?;
        let (process, rest) = rest.split_first_chunk()?;
        Some(Self {
            tag: u64::from_le_bytes(*tag),
            process: u32::from_le_bytes(*process),
            file: u32::from_le_bytes(rest.try_into().ok()?),
        })
    }
}

/// A frame lies in the memory; the slot and the length are possible ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryNotice {
    tag: u64,
    number: u64,
    slot: usize,
    len: usize,
}

impl MemoryNotice {
    /// Its length on the wire, bytes.
    pub const LEN: usize = 32;

    /// A frame of `len` bytes lies in a slot of the memory with that tag; `None` if there is no such slot or it does not
    /// fit. Notices are numbered from 1.
    pub fn new(tag: u64, number: u64, slot: usize, len: usize) -> Option<Self> {
        (slot < SLOTS && len as u64 <= SLOT_BYTES).then_some(Self { tag, number, slot, len })
    }

    /// The memory's own tag.
    pub const fn tag(&self) -> u64 {
        self.tag
    }

    /// Its number.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The slot, less than [`SLOTS`].
    pub const fn slot(&self) -> usize {
        self.slot
    }

    /// Length of the frame, at most [`SLOT_BYTES`].
    #[expect(clippy::len_without_is_empty, reason = "a frame's, not the notice's own")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// As it goes over the wire.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let numbers = [self.tag, self.number, self.slot as u64, self.len as u64];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// The notice of these bytes, if they are one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let mut numbers = bytes.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number));
        let mut next = || numbers.next();
        let (tag, number, slot, len) = (next()?, next()?, next()?, next()?);
        Self::new(tag, number, usize::try_from(slot).ok()?, usize::try_from(len).ok()?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_offer_comes_back_as_it_was() {
        let offer = MemoryOffer { tag: 0x0123_4567_89ab_cdef, process: 4711, file: 12 };
        let bytes = offer.encode();
        assert_eq!(bytes[..8], [0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01]);
        assert_eq!(MemoryOffer::decode(&bytes), Some(offer));
        assert_eq!(offer.name(), "waldo-policy-0123456789abcdef");
        for cut in 0..bytes.len() {
            assert_eq!(MemoryOffer::decode(&bytes[..cut]), None);
        }
    }

    #[test]
    fn a_notice_comes_back_as_it_was_and_names_only_what_lies_inside() {
        let notice = MemoryNotice::new(7, 3, 1, 8_294_400).unwrap();
        let bytes = notice.encode();
        assert_eq!(MemoryNotice::decode(&bytes), Some(notice));
        assert_eq!((notice.tag(), notice.number(), notice.slot(), notice.len()), (7, 3, 1, 8_294_400));
        for cut in 0..bytes.len() {
            assert_eq!(MemoryNotice::decode(&bytes[..cut]), None);
        }
        for (place, number) in [(16, SLOTS as u64), (16, u64::MAX), (24, SLOT_BYTES + 1), (24, u64::MAX)] {
            let mut wrong = bytes;
            wrong[place..place + 8].copy_from_slice(&number.to_le_bytes());
            assert_eq!(MemoryNotice::decode(&wrong), None, "{place}: {number}");
        }
    }

    #[test]
    fn slots_lie_inside_and_apart() {
        assert!(ARRIVED_AT + 8 <= slot_at(0) && ARRIVED_AT >= taken_at(SLOTS - 1) + 8);
        assert_eq!(slot_at(1) - slot_at(0), SLOT_BYTES);
        assert_eq!(slot_at(SLOTS), MEMORY_BYTES);
    }

    #[test]
    fn who_offers_is_read_from_the_key() {
        let (robot, client) = (RobotId::parse("memory").unwrap(), ClientId::from_bits(0x6f1c));
        assert_eq!(offerer_of(&offer_key(&robot, &client)), Some(client.clone()));
        for other in [notice_key(&robot, &client), format!("chiral/{robot}/c2s/{client}"), every_offer(&robot)] {
            assert_eq!(offerer_of(&other), None, "{other}");
        }
    }
}
