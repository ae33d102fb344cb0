//! Memory that a client on this computer shares, into which its long frames are written.
//!
//! It is written to as a file. So whatever the client does to it, a write fails at worst; and a client that is gone costs
//! nothing but the memory, until its session ends.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{Ordering, fence};

use rustix::fs::{OFlags, SealFlags, fcntl_get_seals};
use rustix::process::{Resource, getrlimit};
use waldo_protocol::policy::shared_memory::{
    ARRIVED_AT, MEMORY_BYTES, MemoryNotice, MemoryOffer, SLOTS, slot_at, taken_at,
};

use crate::websocket::Frame;

/// Memory of one client.
pub(super) struct Memory {
    file: File,
    tag: u64,
    /// Notices so far.
    number: u64,
    /// Number of the last notice for each slot.
    last: [u64; SLOTS],
    /// Frames and notices that went out since the client offered the memory.
    sent: u64,
}

impl Memory {
    /// Opens the memory that a client offers.
    ///
    /// # Errors
    /// The client runs on another computer or as somebody else, or this is no such memory.
    pub(super) fn reach(offer: MemoryOffer) -> io::Result<Self> {
        let path = format!("/proc/{}/fd/{}", offer.process, offer.file);
        // Asked before it is opened: what is not the client's is left alone.
        if fs::read_link(&path)?.as_os_str() != format!("/memfd:{} (deleted)", offer.name()).as_str() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the file is another one"));
        }
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        if !fcntl_get_seals(&file)?.contains(SealFlags::GROW) || file.metadata()?.len() != MEMORY_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the memory is not as it should be"));
        }
        // The system would end this process otherwise.
        if getrlimit(Resource::Fsize).current.is_some_and(|most| most < MEMORY_BYTES) {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "files may not be so long"));
        }
        Ok(Self { file, tag: offer.tag, number: 0, last: [0; SLOTS], sent: 0 })
    }

    /// A frame or a notice goes out.
    pub(super) fn goes(&mut self) {
        self.sent += 1;
    }

    /// Whether all that went out has come, as far as the client says.
    pub(super) fn all_came(&self) -> bool {
        self.number_at(ARRIVED_AT).is_ok_and(|arrived| arrived == self.sent)
    }

    fn number_at(&self, place: u64) -> io::Result<u64> {
        let mut number = [0; 8];
        self.file.read_exact_at(&mut number, place)?;
        Ok(u64::from_le_bytes(number))
    }

    /// Writes a frame; `None` if no slot is free, or it is too long for one.
    ///
    /// # Errors
    /// The system has no memory left.
    pub(super) fn write(&mut self, frame: &Frame) -> io::Result<Option<MemoryNotice>> {
        let Some(slot) = self.free()? else { return Ok(None) };
        let Some(notice) = MemoryNotice::new(self.tag, self.number + 1, slot, frame.len()) else { return Ok(None) };
        let mut at = slot_at(slot);
        for part in frame.parts() {
            self.file.write_all_at(part, at)?;
            at += part.len() as u64;
        }
        // The frame before its notice.
        fence(Ordering::SeqCst);
        self.number += 1;
        self.last[slot] = self.number;
        Ok(Some(notice))
    }

    /// The first slot of which the client has taken the last frame: as often as not the same one, which is in the caches.
    fn free(&self) -> io::Result<Option<usize>> {
        for (slot, last) in self.last.iter().enumerate() {
            if self.number_at(taken_at(slot))? == *last {
                // The client's reading before our writing.
                fence(Ordering::SeqCst);
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use bytes::Bytes;
    use rustix::fs::{MemfdFlags, fcntl_add_seals, memfd_create};
    use waldo_protocol::policy::shared_memory::SLOT_BYTES;

    use super::*;

    /// What a client makes and offers.
    fn offered(len: u64, seals: SealFlags) -> (File, MemoryOffer) {
        let mut offer = MemoryOffer { tag: 0x5eed, process: std::process::id(), file: 0 };
        let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
        let file = File::from(memfd_create(offer.name(), flags).unwrap());
        file.set_len(len).unwrap();
        fcntl_add_seals(&file, seals).unwrap();
        offer.file = file.as_raw_fd().cast_unsigned();
        (file, offer)
    }

    fn proper() -> (File, MemoryOffer) {
        offered(MEMORY_BYTES, SealFlags::GROW | SealFlags::SHRINK)
    }

    fn frame(parts: &[&[u8]]) -> Frame {
        let mut frame = Frame::default();
        parts.iter().for_each(|part| frame.add(Bytes::copy_from_slice(part)));
        frame
    }

    #[test]
    fn frames_go_to_slots_whose_frame_was_taken() {
        let (file, offer) = proper();
        let mut memory = Memory::reach(offer).unwrap();
        let mut write = |bytes: &[u8]| memory.write(&frame(&[b"head", bytes])).unwrap();
        let first = write(b"one").unwrap();
        let second = write(b"second").unwrap();
        assert_eq!((first.slot(), first.len(), first.number(), first.tag()), (0, 7, 1, 0x5eed));
        assert_eq!((second.slot(), second.len(), second.number()), (1, 10, 2));
        assert_eq!(write(b"three"), None, "both wait to be taken");
        let mut bytes = [0; 10];
        file.read_exact_at(&mut bytes, slot_at(1)).unwrap();
        assert_eq!(&bytes, b"headsecond");
        file.write_all_at(&second.number().to_le_bytes(), taken_at(1)).unwrap();
        let third = write(b"three").unwrap();
        assert_eq!((third.slot(), third.number()), (1, 3));
        // What was taken long ago, or never was written, makes nothing free.
        for nonsense in [2_u64, 4, u64::MAX] {
            file.write_all_at(&nonsense.to_le_bytes(), taken_at(1)).unwrap();
            assert_eq!(write(b"four"), None);
        }
    }

    #[test]
    fn the_client_tells_when_nothing_is_under_way() {
        let (file, offer) = proper();
        let mut memory = Memory::reach(offer).unwrap();
        assert!(memory.all_came(), "nothing went out");
        memory.goes();
        assert!(!memory.all_came());
        for (arrived, all) in [(1_u64, true), (2, false), (u64::MAX, false), (1, true)] {
            file.write_all_at(&arrived.to_le_bytes(), ARRIVED_AT).unwrap();
            assert_eq!(memory.all_came(), all, "{arrived}");
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_left_to_the_network() {
        let (_file, offer) = proper();
        let long = Bytes::from(vec![0; SLOT_BYTES as usize / 4]);
        let mut frame = Frame::new(long.clone());
        for _ in 0..4 {
            frame.add(long.clone());
        }
        assert_eq!(Memory::reach(offer).unwrap().write(&frame).unwrap(), None);
    }

    #[test]
    fn what_is_not_the_memory_that_was_named_is_left_alone() {
        let (file, offer) = proper();
        let refused = |offer| Memory::reach(offer).err().unwrap().kind();
        assert_eq!(refused(MemoryOffer { tag: offer.tag + 1, ..offer }), io::ErrorKind::NotFound);
        for other in [u32::MAX, 0] {
            assert_eq!(refused(MemoryOffer { process: other, ..offer }), io::ErrorKind::NotFound);
        }
        assert_eq!(refused(MemoryOffer { file: u32::MAX, ..offer }), io::ErrorKind::NotFound);
        drop(file);
        let _ = Memory::reach(offer).err().unwrap();
        for (len, seals) in [(MEMORY_BYTES, SealFlags::SHRINK), (4096, SealFlags::GROW | SealFlags::SHRINK)] {
            let (_file, offer) = offered(len, seals);
            assert_eq!(refused(offer), io::ErrorKind::InvalidData);
        }
    }
}
