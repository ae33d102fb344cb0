//! The memory, seen from this process.
#![expect(unsafe_code, reason = "mmap")]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use waldo_protocol::policy::shared_memory::MEMORY_BYTES;

/// All of it.
const LEN: usize = MEMORY_BYTES as usize;

/// A view of the whole memory, to be copied from.
pub(super) struct Mapping(NonNull<c_void>);

// SAFETY: it is only read, by copying, and the addresses are the same in every thread.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Of a file that has [`MEMORY_BYTES`] and can become no shorter, so that every byte of it stays there.
    ///
    /// # Errors
    /// There is no room for it.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the system chooses the place, so nothing else is there.
        let begin = unsafe { mmap(ptr::null_mut(), LEN, ProtFlags::READ, MapFlags::SHARED, file, 0) }?;
        NonNull::new(begin).map(Self).ok_or_else(|| io::Error::other("mapped at address 0"))
    }

    /// Appends `len` bytes of the memory from `begin` on to `to`. They lie within it.
    pub(super) fn append(&self, begin: u64, len: usize, to: &mut Vec<u8>) {
        assert!(begin <= MEMORY_BYTES && len as u64 <= MEMORY_BYTES - begin, "{len} bytes from {begin} on");
        to.reserve(len);
        // SAFETY: what is read lies in the mapping, and what is written in the room that was reserved. Should the other
        // side write at the same time, against the rules, then whatever is copied are bytes still, and they are checked as
        // those that come over the network are.
        unsafe {
            let from = self.0.as_ptr().cast::<u8>().add(begin as usize);
            ptr::copy_nonoverlapping(from, to.as_mut_ptr().add(to.len()), len);
            to.set_len(to.len() + len);
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nothing borrows from it.
        if let Err(error) = unsafe { munmap(self.0.as_ptr(), LEN) } {
            tracing::error!(%error, "cannot unmap memory");
        }
    }
}
