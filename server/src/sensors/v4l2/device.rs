//! A Video4Linux device: the system calls, and nothing else.
//!
//! Written here because the bindings on the registry need libclang on every computer that builds Waldo, and panic when a
//! camera is unplugged. The structures are those of `linux/videodev2.h` on 64-bit Linux; that part of the kernel's
//! interface does not change.
#![expect(unsafe_code, reason = "ioctl and mmap")]

use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::NonNull;
use std::slice;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::ioctl::{Opcode, Setter, Updater, ioctl, opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use waldo_protocol::time::MonoTime;

use super::V4l2Address;
use super::decode::{Format, Pixels};
use crate::clock;

/// Buffers that the driver fills in turn; one of them is with us at most.
const BUFFERS: u32 = 4;

/// More than a picture of 8192x8192 needs.
const LARGEST_BUFFER: u32 = 256 << 20;

const CAPTURE: u32 = 1;
const MMAP: u32 = 1;
const CAN_CAPTURE: u32 = 1;
const CAN_STREAM: u32 = 0x0400_0000;
const HAS_DEVICE_CAPS: u32 = 0x8000_0000;
const FIELD_NONE: u32 = 1;
const DAMAGED: u32 = 0x40;
const CLOCK_MASK: u32 = 0xe000;
const CLOCK_MONOTONIC: u32 = 0x2000;

const MJPG: u32 = u32::from_le_bytes(*b"MJPG");
const JPEG: u32 = u32::from_le_bytes(*b"JPEG");
const YUYV: u32 = u32::from_le_bytes(*b"YUYV");

#[repr(C)]
#[derive(Clone, Copy)]
struct Capability {
    driver: [u8; 16],
    card: [u8; 32],
    bus_info: [u8; 32],
    version: u32,
    capabilities: u32,
    device_caps: u32,
    reserved: [u32; 3],
}

/// `v4l2_format` with the variant for single-plane capture of its union.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct FormatRequest {
    kind: u32,
    padding: u32,
    width: u32,
    height: u32,
    pixel_format: u32,
    field: u32,
    bytes_per_line: u32,
    size_image: u32,
    rest_of_union: [u32; 44],
}

/// `v4l2_streamparm` with the variant for capture of its union.
#[repr(C)]
#[derive(Clone, Copy)]
struct StreamParameters {
    kind: u32,
    capability: u32,
    capture_mode: u32,
    /// Seconds per picture, as a fraction.
    period: [u32; 2],
    rest_of_union: [u32; 46],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct RequestBuffers {
    count: u32,
    kind: u32,
    memory: u32,
    capabilities: u32,
    flags_and_reserved: u32,
}

/// `v4l2_buffer` with the variant for mapped memory of its union.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Buffer {
    index: u32,
    kind: u32,
    bytes_used: u32,
    flags: u32,
    field: u32,
    padding: u32,
    seconds: i64,
    microseconds: i64,
    time_code: [u32; 4],
    sequence: u32,
    memory: u32,
    offset: u64,
    length: u32,
    reserved: [u32; 3],
}

/// Requests of `linux/videodev2.h`; all of them belong to the group `V`.
const QUERY_CAPABILITY: Opcode = opcode::read::<Capability>(b'V', 0);
const SET_FORMAT: Opcode = opcode::read_write::<FormatRequest>(b'V', 5);
const REQUEST_BUFFERS: Opcode = opcode::read_write::<RequestBuffers>(b'V', 8);
const QUERY_BUFFER: Opcode = opcode::read_write::<Buffer>(b'V', 9);
const QUEUE: Opcode = opcode::read_write::<Buffer>(b'V', 15);
const DEQUEUE: Opcode = opcode::read_write::<Buffer>(b'V', 17);
const STREAM_ON: Opcode = opcode::write::<i32>(b'V', 18);
const STREAM_OFF: Opcode = opcode::write::<i32>(b'V', 19);
const SET_PARAMETERS: Opcode = opcode::read_write::<StreamParameters>(b'V', 22);

/// A structure of this module that consists of integers only: every pattern of bits is a valid value of it.
trait Request: Copy {
    fn zeroed() -> Self {
        // SAFETY: the implementors below are `repr(C)` structures of integers and arrays of them.
        unsafe { std::mem::zeroed() }
    }
}

impl Request for Capability {}
impl Request for FormatRequest {}
impl Request for StreamParameters {}
impl Request for RequestBuffers {}
impl Request for Buffer {}

/// Makes a request of the driver that reads and changes a value.
fn request<const CODE: Opcode, T: Request>(file: &File, value: &mut T) -> io::Result<()> {
    // SAFETY: each constant above was made from the type of its argument, whose size is thus part of the code, and the
    // test below compares all codes with the kernel's. The driver writes at most that many bytes, any of which are a
    // valid `T`; it keeps no reference. On another kind of file the request is refused or has no such meaning.
    unsafe { ioctl(file, Updater::<CODE, T>::new(value)) }?;
    Ok(())
}

/// An open camera.
pub(super) struct Device {
    file: File,
    capability: Capability,
}

impl Device {
    /// Opens a device.
    ///
    /// # Errors
    /// What the system says; `InvalidInput` if it cannot capture video.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // O_NONBLOCK, so that no call waits for a picture longer than `poll` was told to.
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(path)?;
        let mut capability = Capability::zeroed();
        let no_camera = || io::Error::new(io::ErrorKind::InvalidInput, "not a camera");
        request::<QUERY_CAPABILITY, _>(&file, &mut capability).map_err(|_| no_camera())?;
        let own = capability.capabilities & HAS_DEVICE_CAPS != 0;
        let caps = if own { capability.device_caps } else { capability.capabilities };
        if caps & (CAN_CAPTURE | CAN_STREAM) != CAN_CAPTURE | CAN_STREAM {
            return Err(no_camera());
        }
        Ok(Self { file, capability })
    }

    /// What the camera calls itself.
    pub(super) fn card(&self) -> String {
        let end = self.capability.card.iter().position(|&b| b == 0).unwrap_or(self.capability.card.len());
        String::from_utf8_lossy(&self.capability.card[..end]).into_owned()
    }

    /// Chooses format, size and rate; gives what the camera made of it, and its pictures per second if it tells.
    ///
    /// # Errors
    /// What the system says; `ResourceBusy` if somebody else uses the camera, `Unsupported` if it has neither motion
    /// JPEG nor YUYV.
    pub(super) fn set_up(&mut self, address: &V4l2Address) -> io::Result<(Format, Option<f64>)> {
        let (width, height) = address.size.unwrap_or((1280, 720));
        let mut chosen = None;
        // Uncompressed pictures of that size are too much for most cables.
        for pixel_format in [MJPG, YUYV] {
            let mut asked = FormatRequest { kind: CAPTURE, width, height, pixel_format, ..FormatRequest::zeroed() };
            asked.field = FIELD_NONE;
            request::<SET_FORMAT, _>(&self.file, &mut asked)?;
            let pixels = match asked.pixel_format {
                MJPG | JPEG => Pixels::Mjpeg,
                YUYV => Pixels::Yuyv { stride: asked.bytes_per_line.max(asked.width.saturating_mul(2)) },
                _ => continue,
            };
            chosen = Some(Format { pixels, width: asked.width, height: asked.height });
            break;
        }
        let unsupported = |text| io::Error::new(io::ErrorKind::Unsupported, text);
        let format = chosen.ok_or_else(|| unsupported("the camera has neither MJPEG nor YUYV".to_owned()))?;
        if let Err(error) = crate::sensors::RgbImage::check(format.width, format.height) {
            return Err(unsupported(error.to_string()));
        }
        let mut parameters = StreamParameters { kind: CAPTURE, ..StreamParameters::zeroed() };
        parameters.period = [1, address.fps.unwrap_or(30)];
        // A camera with one rate only may refuse.
        let rate = request::<SET_PARAMETERS, _>(&self.file, &mut parameters).ok().map(|()| parameters.period);
        Ok((format, rate.filter(|[seconds, _]| *seconds > 0).map(|[s, pictures]| f64::from(pictures) / f64::from(s))))
    }

    /// Begins to film, in the format set up before.
    ///
    /// # Errors
    /// What the system says; `ResourceBusy` if somebody else uses the camera.
    pub(super) fn stream(&mut self) -> io::Result<Stream<'_>> {
        let mut wanted = RequestBuffers { count: BUFFERS, kind: CAPTURE, memory: MMAP, ..RequestBuffers::zeroed() };
        request::<REQUEST_BUFFERS, _>(&self.file, &mut wanted)?;
        let mut stream = Stream { file: &self.file, buffers: Vec::new() };
        for index in 0..wanted.count.min(32) {
            let mut buffer = Buffer { index, kind: CAPTURE, memory: MMAP, ..Buffer::zeroed() };
            request::<QUERY_BUFFER, _>(stream.file, &mut buffer)?;
            if buffer.length == 0 || buffer.length > LARGEST_BUFFER {
                return Err(io::Error::other(format!("a buffer of {} bytes", buffer.length)));
            }
            // The kernel reads 32 bits of the union.
            stream.buffers.push(Mapping::new(stream.file, buffer.offset & 0xffff_ffff, buffer.length as usize)?);
            stream.queue(index)?;
        }
        // SAFETY: the request takes a pointer to an `int`, which it only reads.
        unsafe { ioctl(stream.file, Setter::<STREAM_ON, i32>::new(CAPTURE.cast_signed())) }?;
        Ok(stream)
    }
}

/// A camera that films.
pub(super) struct Stream<'a> {
    file: &'a File,
    buffers: Vec<Mapping>,
}

impl Stream<'_> {
    /// Waits for the next undamaged picture and shows it to `use_it`, with the time it was taken.
    ///
    /// # Errors
    /// `TimedOut` after this long; otherwise what the system says, such as that the device is gone.
    pub(super) fn next<R>(&mut self, limit: Duration, use_it: impl FnOnce(&[u8], MonoTime) -> R) -> io::Result<R> {
        let end = clock::now() + limit;
        loop {
            let mut ready = [PollFd::new(self.file, PollFlags::IN)];
            let left = Timespec::try_from(end.since(clock::now())).map_err(io::Error::other)?;
            if poll(&mut ready, Some(&left))? == 0 {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the camera gives no pictures"));
            }
            let mut buffer = Buffer { kind: CAPTURE, memory: MMAP, ..Buffer::zeroed() };
            match request::<DEQUEUE, _>(self.file, &mut buffer) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && ready[0].revents() == PollFlags::IN => {
                    continue;
                }
                Err(error) => return Err(error),
            }
            let mapping = self.buffers.get(buffer.index as usize).ok_or_else(|| io::Error::other("no such buffer"))?;
            if buffer.flags & DAMAGED != 0 || buffer.bytes_used == 0 {
                self.queue(buffer.index)?;
                continue;
            }
            let used = mapping.bytes().get(..buffer.bytes_used as usize).unwrap_or_else(|| mapping.bytes());
            let result = use_it(used, captured(&buffer, clock::now()));
            self.queue(buffer.index)?;
            return Ok(result);
        }
    }

    /// Gives a buffer to the driver to fill.
    fn queue(&self, index: u32) -> io::Result<()> {
        let mut buffer = Buffer { index, kind: CAPTURE, memory: MMAP, ..Buffer::zeroed() };
        request::<QUEUE, _>(self.file, &mut buffer)
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        // SAFETY: as for STREAM_ON. A camera that was unplugged refuses, and there is nothing left to stop.
        let _ = unsafe { ioctl(self.file, Setter::<STREAM_OFF, i32>::new(CAPTURE.cast_signed())) };
        self.buffers.clear();
        let mut none = RequestBuffers { kind: CAPTURE, memory: MMAP, ..RequestBuffers::zeroed() };
        let _ = request::<REQUEST_BUFFERS, _>(self.file, &mut none);
    }
}

/// When a picture was taken: the driver's time if it is of our clock and credible.
fn captured(buffer: &Buffer, now: MonoTime) -> MonoTime {
    let nanos = u64::try_from(buffer.seconds).ok().zip(u64::try_from(buffer.microseconds).ok());
    let stamp = nanos.and_then(|(s, us)| s.checked_mul(1_000_000_000)?.checked_add(us.checked_mul(1000)?));
    let stamp = stamp.map(MonoTime::from_nanos).filter(|_| buffer.flags & CLOCK_MASK == CLOCK_MONOTONIC);
    stamp.filter(|&t| t <= now && now.since(t) < Duration::from_secs(1)).unwrap_or(now)
}

/// A buffer of the driver, mapped for reading.
struct Mapping {
    start: NonNull<c_void>,
    length: usize,
}

impl Mapping {
    fn new(file: &File, offset: u64, length: usize) -> io::Result<Self> {
        // SAFETY: the kernel chooses a free place; nothing else in this process refers to it.
        let start = unsafe { mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::SHARED, file, offset) }?;
        NonNull::new(start).map(|start| Self { start, length }).ok_or_else(|| io::Error::other("mapped at zero"))
    }

    /// The contents. Only between dequeueing and queueing again: meanwhile the driver does not write there.
    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has `length` readable bytes until it is dropped, which the borrow outlives not. The one
        // caller holds a dequeued buffer, which the driver leaves alone until it is queued again; also when the camera
        // is unplugged the pages stay.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `mmap` with this length, and no borrow of it is left.
        let _ = unsafe { munmap(self.start.as_ptr(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that the kernel's headers give on 64-bit Linux; they contain the sizes of the structures.
    #[test]
    fn the_requests_are_those_of_the_kernel() {
        for (ours, kernel) in [
            (QUERY_CAPABILITY, 0x8068_5600),
            (SET_FORMAT, 0xc0d0_5605),
            (REQUEST_BUFFERS, 0xc014_5608),
            (QUERY_BUFFER, 0xc058_5609),
            (QUEUE, 0xc058_560f),
            (DEQUEUE, 0xc058_5611),
            (STREAM_ON, 0x4004_5612),
            (STREAM_OFF, 0x4004_5613),
            (SET_PARAMETERS, 0xc0cc_5616),
        ] {
            assert_eq!(ours, kernel, "{ours:x}");
        }
    }

    #[test]
    fn a_picture_has_the_drivers_time_unless_that_cannot_be() {
        let now = MonoTime::from_nanos(50_000_000_000);
        let taken = |seconds, microseconds, flags| {
            let buffer = Buffer { seconds, microseconds, flags, ..Buffer::zeroed() };
            captured(&buffer, now)
        };
        assert_eq!(taken(49, 990_000, CLOCK_MONOTONIC), MonoTime::from_nanos(49_990_000_000));
        assert_eq!(taken(49, 990_000, 0), now, "another clock");
        assert_eq!(taken(50, 1, CLOCK_MONOTONIC), now, "from the future");
        assert_eq!(taken(10, 0, CLOCK_MONOTONIC), now, "too old");
        assert_eq!(taken(-1, 0, CLOCK_MONOTONIC), now);
        assert_eq!(taken(i64::MAX, i64::MAX, CLOCK_MONOTONIC), now);
    }
}
