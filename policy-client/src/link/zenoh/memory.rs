//! Memory that is shared with a robot on this computer, through which its long frames come.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::process::{Resource, getrlimit};
use waldo_protocol::policy::shared_memory::{ARRIVED_AT, MEMORY_BYTES, MemoryNotice, MemoryOffer, slot_at, taken_at};

use self::mapping::Mapping;
use crate::link::pool::Pool;

mod mapping;

/// The memory of one link. What was not written to costs nothing; it is gone when both sides have let go of it.
pub(super) struct Memory {
    offer: MemoryOffer,
    file: File,
    mapping: Mapping,
    /// Frames and notices so far.
    arrived: Mutex<u64>,
}

impl Memory {
    /// Makes it.
    ///
    /// # Errors
    /// The system has no such memory, or none left.
    pub(super) fn new() -> io::Result<Self> {
        // The system would end this process otherwise.
        if getrlimit(Resource::Fsize).current.is_some_and(|most| most < MEMORY_BYTES) {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "files may not be so long"));
        }
        let mut offer = MemoryOffer { tag: getrandom::u64()?, process: std::process::id(), file: 0 };
        let file = File::from(memfd_create(offer.name(), MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC)?);
        offer.file = file.as_raw_fd().cast_unsigned();
        file.set_len(MEMORY_BYTES)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let mapping = Mapping::new(&file)?;
        Ok(Self { offer, file, mapping, arrived: Mutex::default() })
    }

    /// What to tell the robot.
    pub(super) fn offer(&self) -> MemoryOffer {
        self.offer
    }

    /// A frame or a notice came, which the robot may know. If it does not get to know it, it only sends more slowly.
    pub(super) fn came(&self) {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        *arrived += 1;
        if let Err(error) = self.file.write_all_at(&arrived.to_le_bytes(), ARRIVED_AT) {
            tracing::debug!(%error, "cannot write to the memory that is shared");
        }
    }

    /// Copies a frame out, with the arrays aligned, and makes its slot free. `None` if it is longer than `limit`, if there is
    /// no memory for it, or if the notice is about another memory, that of an earlier link.
    ///
    /// # Errors
    /// The slot cannot be made free.
    pub(super) fn take(&self, notice: MemoryNotice, limit: usize, pool: &Pool) -> io::Result<Option<Bytes>> {
        if notice.tag() != self.offer.tag {
            return Ok(None);
        }
        let frame = if notice.len() <= limit { self.copy(notice, pool) } else { None };
        // Our reading before the robot's writing.
        fence(Ordering::SeqCst);
        self.file.write_all_at(&notice.number().to_le_bytes(), taken_at(notice.slot()))?;
        Ok(frame)
    }

    fn copy(&self, notice: MemoryNotice, pool: &Pool) -> Option<Bytes> {
        // The notice before its frame.
        fence(Ordering::SeqCst);
        let mut message = pool.take(notice.len())?;
        let begin = slot_at(notice.slot());
        let mut header = Vec::with_capacity(4);
        self.mapping.append(begin, notice.len().min(4), &mut header);
        if let Some(length) = header.first_chunk() {
            message.align(usize::try_from(u32::from_le_bytes(*length)).ok()?.checked_add(header.len())?);
        }
        self.mapping.append(begin, notice.len(), message.bytes());
        Some(message.freeze())
    }
}

#[cfg(test)]
mod tests {
    use waldo_protocol::policy::shared_memory::{SLOT_BYTES, SLOTS};

    use super::*;

    /// As the robot does.
    fn write(memory: &Memory, number: u64, slot: usize, frame: &[u8]) -> MemoryNotice {
        let path = format!("/proc/{}/fd/{}", memory.offer().process, memory.offer().file);
        let file = File::options().write(true).open(path).unwrap();
        file.write_all_at(frame, slot_at(slot)).unwrap();
        MemoryNotice::new(memory.offer().tag, number, slot, frame.len()).unwrap()
    }

    fn taken(memory: &Memory, slot: usize) -> u64 {
        let mut number = [0; 8];
        memory.file.read_exact_at(&mut number, taken_at(slot)).unwrap();
        u64::from_le_bytes(number)
    }

    #[test]
    fn a_frame_is_copied_out_aligned_and_its_slot_is_free_then() {
        let (memory, pool) = (Memory::new().unwrap(), Pool::default());
        let frame: Vec<u8> = [100, 0, 0, 0].into_iter().chain((0..3_000_000_u32).map(|byte| byte as u8)).collect();
        for (number, slot) in [(1, 0), (2, 1), (3, 0)] {
            let notice = write(&memory, number, slot, &frame);
            assert_ne!(taken(&memory, slot), number);
            let came = memory.take(notice, usize::MAX, &pool).unwrap().unwrap();
            assert!(came == frame);
            assert_eq!(came[104..].as_ptr().align_offset(64), 0, "the payload can be seen as an array");
            assert_eq!(taken(&memory, slot), number);
        }
    }

    #[test]
    fn the_robot_can_read_how_much_has_come() {
        let memory = Memory::new().unwrap();
        let arrived = || {
            let mut number = [0; 8];
            memory.file.read_exact_at(&mut number, ARRIVED_AT).unwrap();
            u64::from_le_bytes(number)
        };
        for count in 0..3 {
            assert_eq!(arrived(), count);
            memory.came();
        }
    }

    #[test]
    fn the_first_and_the_last_byte_of_the_memory_can_be_read() {
        let (memory, pool) = (Memory::new().unwrap(), Pool::default());
        for len in [0, 1, 3] {
            let notice = write(&memory, 1, 0, &vec![7; len]);
            assert_eq!(memory.take(notice, usize::MAX, &pool).unwrap().unwrap(), vec![7; len]);
        }
        let longest = MemoryNotice::new(memory.offer().tag, 1, SLOTS - 1, SLOT_BYTES as usize).unwrap();
        let came = memory.take(longest, usize::MAX, &pool).unwrap().unwrap();
        assert!(came.len() as u64 == SLOT_BYTES && came.iter().all(|byte| *byte == 0), "nobody wrote there");
    }

    #[test]
    fn frames_that_are_too_long_or_of_another_memory_are_not_taken() {
        let (memory, other, pool) = (Memory::new().unwrap(), Memory::new().unwrap(), Pool::default());
        let notice = write(&memory, 1, 0, &[7; 1000]);
        assert_eq!(other.take(notice, 1000, &pool).unwrap(), None);
        assert_eq!(taken(&other, 0), 0);
        assert_eq!(memory.take(notice, 999, &pool).unwrap(), None);
        assert_eq!(taken(&memory, 0), 1, "there is room for the next");
    }

    #[test]
    fn nobody_can_make_the_memory_shorter_under_us() {
        let memory = Memory::new().unwrap();
        let path = format!("/proc/{}/fd/{}", memory.offer().process, memory.offer().file);
        let file = File::options().write(true).open(path).unwrap();
        assert!(file.set_len(4096).is_err() && file.set_len(2 * MEMORY_BYTES).is_err());
    }
}
