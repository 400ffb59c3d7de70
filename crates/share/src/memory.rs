//! Memory that two processes see. The hub makes it and fixes its size, so that no client can take it away under the hub's
//! feet; a client maps what it was given and checks that it cannot be taken away either.

#[cfg(unix)]
#[path = "memory/linux.rs"]
mod os;
#[cfg(windows)]
#[path = "memory/windows.rs"]
mod os;

pub use mapped::Block;
pub use os::Handle;

use crate::layout::{GateWords, HeadWords, PageWords};
use barewire_types::{Error, ErrorKind, Result};
use std::marker::PhantomData;
use std::sync::Arc;

/// Words at the beginning of a block.
///
/// # Safety
/// Made of 32-bit atomics and nothing else, so that any bytes are a value of it and others may write it at any time.
pub unsafe trait Words: Sync + Send {}

// SAFETY: atomics only; see `layout`.
unsafe impl Words for PageWords {}
// SAFETY: atomics only; see `layout`.
unsafe impl Words for GateWords {}
// SAFETY: atomics only; see `layout`.
unsafe impl Words for HeadWords {}

/// A block that begins with such words.
#[derive(Debug)]
pub struct Shared<T> {
    block: Arc<Block>,
    words: PhantomData<T>,
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self { block: self.block.clone(), words: PhantomData }
    }
}

fn too_short() -> Error {
    Error::new(ErrorKind::Malfunction, "the memory that was shared is too short")
        .remedy("end the hub and start it from the same version")
}

impl<T: Words> Shared<T> {
    /// The words at the beginning of `block`.
    ///
    /// # Errors
    /// `Malfunction` if it is too short for them.
    pub fn new(block: Arc<Block>) -> Result<Self> {
        if block.bytes() < size_of::<T>() || !block.base().cast::<T>().is_aligned() {
            return Err(too_short());
        }
        Ok(Self { block, words: PhantomData })
    }

    /// The words.
    pub fn words(&self) -> &T {
        // SAFETY: `new` has checked size and alignment; the block lives as long as this value; `Words` are atomics, so
        // what others write meanwhile is no data race. A page that is mapped to be read is only read by its clients.
        unsafe { &*self.block.base().cast::<T>() }
    }

    /// The block.
    pub fn block(&self) -> &Arc<Block> {
        &self.block
    }
}

mod mapped {
    use super::os::{self, Handle, Mapping};
    use crate::layout::LINE;
    use barewire_rt::{Area, AreaMut};
    use barewire_types::{Error, ErrorKind, Result};
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::sync::Arc;

    /// A piece of memory that others may see and write.
    #[derive(Debug)]
    pub struct Block {
        base: *mut u8,
        bytes: usize,
        owner: Owner,
    }

    #[derive(Debug)]
    enum Owner {
        Heap(Layout),
        Mapped { _mapping: Mapping, handle: Option<Handle> },
    }

    // SAFETY: the memory is reached through atomics and foreign views only.
    unsafe impl Send for Block {}
    // SAFETY: as above.
    unsafe impl Sync for Block {}

    /// Where a piece of planar samples lies in a block.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Planes {
        pub(crate) offset: usize,
        pub(crate) channels: u16,
        pub(crate) plane_bytes: usize,
        pub(crate) sample_bytes: usize,
        pub(crate) frames: u32,
    }

    impl Block {
        /// Memory of this process, zeroed: for clients within it. Control thread.
        ///
        /// # Errors
        /// `NoMemory`.
        pub fn heap(bytes: usize) -> Result<Arc<Self>> {
            let none = || Error::new(ErrorKind::NoMemory, format!("{bytes} bytes cannot be had"));
            let layout = Layout::from_size_align(bytes.max(LINE), LINE).map_err(|_| none())?;
            // SAFETY: the layout is not of size 0.
            let base = unsafe { alloc_zeroed(layout) };
            if base.is_null() {
                return Err(none());
            }
            Ok(Arc::new(Self { base, bytes: layout.size(), owner: Owner::Heap(layout) }))
        }

        /// Memory that can be given to other processes, zeroed; its size is fixed for good. If `for_readers`, nobody else
        /// can ever map it to write. Control thread.
        ///
        /// # Errors
        /// `NoMemory` or what the system says.
        pub fn shared(bytes: usize, for_readers: bool) -> Result<Arc<Self>> {
            let (mapping, handle) = os::create(bytes, for_readers)?;
            let base = mapping.base();
            let owner = Owner::Mapped { _mapping: mapping, handle: Some(handle) };
            Ok(Arc::new(Self { base, bytes, owner }))
        }

        /// Memory that the hub has given. Control thread.
        ///
        /// # Errors
        /// `Malfunction` if it has another size or could be taken away, else what the system says.
        pub fn given(handle: &Handle, bytes: usize, to_write: bool) -> Result<Arc<Self>> {
            let mapping = os::open(handle, bytes, to_write)?;
            let base = mapping.base();
            let owner = Owner::Mapped { _mapping: mapping, handle: None };
            Ok(Arc::new(Self { base, bytes, owner }))
        }

        /// What can be given to another process.
        pub fn handle(&self) -> Option<&Handle> {
            match &self.owner {
                Owner::Mapped { handle, .. } => handle.as_ref(),
                Owner::Heap(_) => None,
            }
        }

        /// Its size.
        pub fn bytes(&self) -> usize {
            self.bytes
        }

        pub(crate) fn base(&self) -> *mut u8 {
            self.base
        }

        /// `None` if it does not lie within.
        fn checked(&self, planes: &Planes) -> Option<*mut u8> {
            let own = planes.frames as usize * planes.sample_bytes;
            let all = usize::from(planes.channels).checked_mul(planes.plane_bytes)?;
            let end = planes.offset.checked_add(all)?;
            let fits = own <= planes.plane_bytes && end <= self.bytes;
            fits.then(|| self.base.wrapping_add(planes.offset))
        }

        /// Samples to be read; empty if they do not lie within.
        pub(crate) fn area(&self, planes: &Planes) -> Area<'_> {
            let Some(base) = self.checked(planes) else { return Area::EMPTY };
            let Planes { channels, plane_bytes, sample_bytes, frames, .. } = *planes;
            // SAFETY: checked to lie within the block, which outlives the view; others may write it, as views allow.
            unsafe { Area::planes(base, usize::from(channels), plane_bytes, sample_bytes, frames) }
        }

        /// Samples to be written; empty if they do not lie within. The caller is the only one of this process.
        pub(crate) fn area_mut(&self, planes: &Planes) -> AreaMut<'_> {
            let Some(base) = self.checked(planes) else { return AreaMut::EMPTY };
            let Planes { channels, plane_bytes, sample_bytes, frames, .. } = *planes;
            // SAFETY: as in `area`; no reference to the memory exists.
            unsafe {
                AreaMut::planes(base, usize::from(channels), plane_bytes, sample_bytes, frames)
            }
        }

        /// Writes `bytes` at `offset`, as far as there is room: a client that scribbles, for tests.
        pub fn scribble(&self, offset: usize, bytes: &[u8]) {
            let offset = offset.min(self.bytes);
            let count = bytes.len().min(self.bytes - offset);
            for (n, &byte) in bytes.iter().take(count).enumerate() {
                // SAFETY: within the block.
                unsafe { self.base.wrapping_add(offset + n).write_volatile(byte) };
            }
        }
    }

    impl Drop for Block {
        fn drop(&mut self) {
            if let Owner::Heap(layout) = self.owner {
                // SAFETY: allocated in `heap` with this layout.
                unsafe { dealloc(self.base, layout) };
            }
        }
    }
}

pub(crate) use mapped::Planes;
