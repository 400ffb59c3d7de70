//! One slot through which a boxed value passes between threads. Neither side ever waits.
//!
//! A value that the device thread is done with goes back through a second mailbox, to be freed where it was made.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Holds one boxed value, or none.
#[derive(Debug)]
pub struct Mailbox<T> {
    slot: AtomicPtr<T>,
    owns: PhantomData<Box<T>>,
}

// SAFETY: a value goes from one thread to one other, never to two at once; that asks for `Send` and no more.
unsafe impl<T: Send> Sync for Mailbox<T> {}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self { slot: AtomicPtr::new(ptr::null_mut()), owns: PhantomData }
    }
}

impl<T: Send> Mailbox<T> {
    /// An empty mailbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `value` in; gives back what was in it before, unread.
    pub fn put(&self, value: Box<T>) -> Option<Box<T>> {
        owned(self.slot.swap(Box::into_raw(value), Ordering::AcqRel))
    }

    /// Puts `value` in if the mailbox is empty.
    ///
    /// # Errors
    /// Gives `value` back if it is not.
    pub fn offer(&self, value: Box<T>) -> Result<(), Box<T>> {
        let raw = Box::into_raw(value);
        let exchanged =
            self.slot.compare_exchange(ptr::null_mut(), raw, Ordering::AcqRel, Ordering::Relaxed);
        match exchanged {
            Ok(_) => Ok(()),
            // SAFETY: `raw` came from a box just above and was not stored.
            Err(_) => Err(unsafe { Box::from_raw(raw) }),
        }
    }

    /// Takes out what is in it.
    pub fn take(&self) -> Option<Box<T>> {
        if self.is_empty() {
            return None;
        }
        owned(self.slot.swap(ptr::null_mut(), Ordering::AcqRel))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.slot.load(Ordering::Relaxed).is_null()
    }
}

fn owned<T>(raw: *mut T) -> Option<Box<T>> {
    // SAFETY: the slot only ever holds what came from `Box::into_raw`, and a swap hands it to one taker alone.
    (!raw.is_null()).then(|| unsafe { Box::from_raw(raw) })
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        drop(owned(*self.slot.get_mut()));
    }
}

#[cfg(test)]
mod tests {
    use super::Mailbox;

    #[test]
    fn nothing_is_lost_or_read_twice() {
        let mailbox = Mailbox::new();
        assert_eq!(mailbox.put(Box::new(1)), None);
        assert_eq!(mailbox.offer(Box::new(2)), Err(Box::new(2)));
        assert_eq!(mailbox.put(Box::new(3)), Some(Box::new(1)));
        assert_eq!((mailbox.take(), mailbox.take()), (Some(Box::new(3)), None));
    }
}
