//! Memory that is lent to a driver under test: dirty before, guarded around.

use super::L;
use barewire_abi::layout::{self, BufferInfo, ChannelInfo, ClockSource};
use barewire_abi::{BufferRequest, HighLow, Long, Native};
use barewire_rt::Guarded;
use barewire_types::{Error, ErrorKind, Result};
use std::fmt;
use std::marker::PhantomData;
use std::ptr;

/// What memory is filled with before a driver writes there. A driver that writes nothing leaves it so.
pub const DIRTY: u8 = 0xDB;

/// Types of which every pattern of bits is a value.
///
/// # Safety
/// That has to be so, without padding that would have to be read.
pub unsafe trait Plain: Copy {}
// SAFETY: integers, floats, and structures of nothing else.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for i64 {}
// SAFETY: as above.
unsafe impl Plain for f64 {}
// SAFETY: as above.
unsafe impl Plain for HighLow {}
// SAFETY: as above.
unsafe impl<const N: usize> Plain for [u8; N] {}
// SAFETY: as above.
unsafe impl Plain for ChannelInfo<Native> {}
// SAFETY: as above.
unsafe impl Plain for ClockSource<Native> {}
// SAFETY: as above.
unsafe impl Plain for [ClockSource<Native>; 32] {}
// SAFETY: as above.
unsafe impl Plain for layout::InternalBufferInfo<Native> {}
// SAFETY: as above.
unsafe impl Plain for layout::IoFormat<Native> {}

fn memory(bytes: usize) -> Result<Guarded> {
    Guarded::new(bytes, DIRTY).ok_or_else(|| {
        Error::new(ErrorKind::NoMemory, format!("{bytes} bytes between guard pages cannot be had"))
    })
}

fn stained(memory: &Guarded) -> Option<String> {
    let place = memory.stain()?;
    Some(if place < 0 {
        format!("the byte {} before the beginning of {} was written", -place, memory.len())
    } else {
        format!("the byte {place} behind the end of {} was written", memory.len())
    })
}

/// Memory for one value.
#[derive(Debug)]
pub struct Place<T: Plain> {
    memory: Guarded,
    kind: PhantomData<T>,
}

impl<T: Plain> Place<T> {
    /// Dirty memory.
    ///
    /// # Errors
    /// If memory cannot be had.
    pub fn dirty() -> Result<Self> {
        Ok(Self { memory: memory(size_of::<T>())?, kind: PhantomData })
    }

    /// Memory with `value` in it.
    ///
    /// # Errors
    /// If memory cannot be had.
    pub fn with(value: T) -> Result<Self> {
        let place = Self::dirty()?;
        place.set(value);
        Ok(place)
    }

    pub(super) fn as_ptr(&self) -> *mut T {
        self.memory.as_ptr().cast()
    }

    /// Puts a value there.
    pub fn set(&self, value: T) {
        // SAFETY: as many bytes as the type has.
        unsafe { self.as_ptr().write_unaligned(value) };
    }

    /// What lies there.
    pub fn get(&self) -> T {
        // SAFETY: as many bytes as the type has, and any of them are a value.
        unsafe { self.as_ptr().read_unaligned() }
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.memory.read()
    }

    /// Whether nothing was written.
    pub fn is_dirty(&self) -> bool {
        self.bytes().iter().all(|&byte| byte == DIRTY)
    }

    /// What was written beside it, in words.
    pub fn stain(&self) -> Option<String> {
        stained(&self.memory)
    }
}

/// The entries of `createBuffers`, their pointers dirty.
#[derive(Debug)]
pub struct BufferTable {
    memory: Guarded,
    wanted: Vec<BufferRequest>,
}

const ENTRY: usize = size_of::<BufferInfo<Native>>();

impl BufferTable {
    /// One entry for each request.
    ///
    /// # Errors
    /// If memory cannot be had.
    pub fn new(wanted: &[BufferRequest]) -> Result<Self> {
        let table = Self { memory: memory(wanted.len() * ENTRY)?, wanted: wanted.to_vec() };
        let dirty = ptr::without_provenance_mut(usize::from_ne_bytes([DIRTY; size_of::<usize>()]));
        for (n, request) in wanted.iter().enumerate() {
            let info = BufferInfo::<Native> {
                is_input: L::from_i32(i32::from(request.is_input)),
                channel: L::from_i32(request.channel),
                buffers: [dirty; 2],
            };
            // SAFETY: inside of the table, which is aligned for its entries.
            unsafe { table.as_ptr().add(n).write(info) };
        }
        Ok(table)
    }

    pub(super) fn as_ptr(&self) -> *mut BufferInfo<Native> {
        self.memory.as_ptr().cast()
    }

    /// What was asked for.
    pub fn wanted(&self) -> &[BufferRequest] {
        &self.wanted
    }

    /// The number of entries, as the interface takes it.
    pub fn count(&self) -> i32 {
        i32::try_from(self.wanted.len()).unwrap_or(i32::MAX)
    }

    fn info(&self, entry: usize) -> Option<BufferInfo<Native>> {
        // SAFETY: inside of the table.
        (entry < self.wanted.len()).then(|| unsafe { self.as_ptr().add(entry).read() })
    }

    /// Both pointers of an entry.
    pub fn addresses(&self, entry: usize) -> [usize; 2] {
        self.info(entry).map_or([0; 2], |info| info.buffers.map(|half| half.addr()))
    }

    /// Whether an entry still asks for what it asked for.
    pub fn is_unchanged(&self, entry: usize) -> bool {
        let Some((info, wanted)) = self.info(entry).zip(self.wanted.get(entry)) else {
            return false;
        };
        info.channel == L::from_i32(wanted.channel)
            && info.is_input == L::from_i32(i32::from(wanted.is_input))
    }

    /// `bytes` of a half; `None` if the driver gave no pointer.
    pub fn half(&self, entry: usize, half: usize, bytes: usize) -> Option<HalfView> {
        let base = *self.info(entry)?.buffers.get(half)?;
        let dirty = usize::from_ne_bytes([DIRTY; size_of::<usize>()]);
        (!base.is_null() && base.addr() != dirty).then_some(HalfView { base: base.cast(), bytes })
    }

    /// What was written beside it, in words.
    pub fn stain(&self) -> Option<String> {
        stained(&self.memory)
    }
}

/// A half of a driver's buffer. The driver promised that it may be used until its buffers are disposed of.
#[derive(Clone, Copy)]
pub struct HalfView {
    base: *mut u8,
    bytes: usize,
}

// SAFETY: the driver's memory, used by whichever thread it calls.
unsafe impl Send for HalfView {}
// SAFETY: as above.
unsafe impl Sync for HalfView {}

impl fmt::Debug for HalfView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}+{}", self.base, self.bytes)
    }
}

impl HalfView {
    /// A copy of it.
    pub fn read(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.bytes];
        self.read_into(&mut bytes);
        bytes
    }

    /// Copies as much of it as fits.
    pub fn read_into(&self, bytes: &mut [u8]) {
        let length = bytes.len().min(self.bytes);
        // SAFETY: the driver says that so much may be read there; if not, that is what the test finds.
        unsafe { ptr::copy(self.base, bytes.as_mut_ptr(), length) };
    }

    /// Writes as much as fits.
    pub fn write(&self, bytes: &[u8]) {
        let length = bytes.len().min(self.bytes);
        // SAFETY: as above, for writing.
        unsafe { ptr::copy(bytes.as_ptr(), self.base, length) };
    }

    /// Fills it.
    pub fn fill(&self, byte: u8) {
        // SAFETY: as above.
        unsafe { ptr::write_bytes(self.base, byte, self.bytes) };
    }
}
