//! A lock for control threads, which waits through the [`System`], so that the simulator sees every wait.
//!
//! Never for the device thread.

use crate::system::System;
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and somebody waits.
const WANTED: u32 = 2;

/// One thread at a time. A panic of the holder leaves it free: what it guards has to stand that.
#[derive(Debug)]
pub struct Lock<T> {
    system: Arc<dyn System>,
    state: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: only the holder of the guard reaches the value, so it is passed between threads, never shared.
unsafe impl<T: Send> Send for Lock<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Lock<T> {}

/// Holds the lock until dropped.
#[derive(Debug)]
pub struct LockGuard<'a, T> {
    lock: &'a Lock<T>,
}

impl<T> Lock<T> {
    /// A free lock round `value`.
    pub fn new(system: Arc<dyn System>, value: T) -> Self {
        Self { system, state: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        self.state
            .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            .then(|| LockGuard { lock: self })
    }

    /// Waits for the lock. Whoever holds it waits with deadlines only, so this ends.
    pub fn lock(&self) -> LockGuard<'_, T> {
        if let Some(guard) = self.try_lock() {
            return guard;
        }
        while self.state.swap(WANTED, Ordering::Acquire) != FREE {
            self.system.await_word(&self.state, WANTED, u64::MAX);
        }
        LockGuard { lock: self }
    }

    /// Takes the lock at latest at `until`.
    pub fn lock_until(&self, until: u64) -> Option<LockGuard<'_, T>> {
        if let Some(guard) = self.try_lock() {
            return Some(guard);
        }
        while self.state.swap(WANTED, Ordering::Acquire) != FREE {
            let woken = self.system.await_word(&self.state, WANTED, until);
            if woken == crate::Woken::Time && self.system.now_ns() >= until {
                return None;
            }
        }
        Some(LockGuard { lock: self })
    }
}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard is the only way to the value while it lives.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed alone.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for LockGuard<'_, T> {
    fn drop(&mut self) {
        if self.lock.state.swap(FREE, Ordering::Release) == WANTED {
            self.lock.system.wake(&self.lock.state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lock;
    use crate::RealSystem;

    #[test]
    fn only_one_thread_at_a_time_is_inside() {
        let lock = Lock::new(RealSystem::new(), 0_u64);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let mut value = lock.lock();
                        *value = std::hint::black_box(*value) + 1;
                    }
                });
            }
        });
        assert_eq!(*lock.lock(), 80_000);
        let held = lock.lock();
        assert!(lock.try_lock().is_none() && lock.lock_until(0).is_none());
        drop(held);
        assert!(lock.try_lock().is_some());
    }
}
