//! Values with several owners, whose counts of owners are used again: sharing a buffer takes no memory once it is warm.
//!
//! A buffer's words come out of a backend's pool and return to it; what counts its owners does the same here.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Released counts, for reuse. Clones are the same.
pub struct Owners<T>(Arc<Mutex<Vec<Arc<Slot<T>>>>>);

/// A value of several owners; released to its [`Owners`] by the last of them.
pub struct Shared<T>(Arc<Slot<T>>);

/// Both are there as long as there is an owner, and neither among released ones.
struct Slot<T> {
    value: Option<T>,
    home: Option<Owners<T>>,
}

impl<T> Clone for Owners<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Owners<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Owners<T> {
    fn released(&self) -> MutexGuard<'_, Vec<Arc<Slot<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value with its first owner.
    pub fn share(&self, value: T) -> Shared<T> {
        let full = Slot {
            value: Some(value),
            home: Some(self.clone()),
        };
        let released = self.released().pop();
        if let Some(mut slot) = released
            // The owner who brings it may not have let go of it yet.
            && let Some(empty) = Arc::get_mut(&mut slot)
        {
            *empty = full;
            return Shared(slot);
        }
        Shared(Arc::new(full))
    }
}

impl<T> Shared<T> {
    /// The value, if this is its only owner.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        Arc::get_mut(&mut self.0).and_then(|slot| slot.value.as_mut())
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: a slot is given to an owner with a value, which is taken out by the drop of the last owner alone.
        unsafe { self.0.value.as_ref().unwrap_unchecked() }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // Owners come from owners: when there is one, it is the last. Two that leave at the same time may both see two, and then
        // the slot is freed with its value, as any other.
        if let Some(slot) = Arc::get_mut(&mut self.0) {
            slot.value = None;
            if let Some(home) = slot.home.take() {
                home.released().push(Arc::clone(&self.0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_owner_releases_the_value_and_its_count_is_used_again() {
        let (owners, value) = (Owners::default(), Arc::new(5));
        let mut first = owners.share(Arc::clone(&value));
        let at = Arc::as_ptr(&first.0);
        assert!(first.get_mut().is_some());
        let second = first.clone();
        assert!(first.get_mut().is_none() && **second == 5);
        drop(first);
        assert_eq!(Arc::strong_count(&value), 2);
        drop(second);
        assert_eq!(Arc::strong_count(&value), 1);
        let again = owners.share(Arc::new(6));
        assert!(Arc::as_ptr(&again.0) == at && **again == 6);
        let other = owners.share(Arc::new(7));
        assert!(Arc::as_ptr(&other.0) != at);
    }

    #[test]
    fn values_are_released_once_from_any_thread() {
        let (owners, value) = (Owners::default(), Arc::new(()));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let shared = owners.share(Arc::clone(&value));
                        let clone = shared.clone();
                        std::thread::scope(|inner| {
                            // Most rounds stay on this thread; some race for the last drop.
                            if Arc::strong_count(&value).is_multiple_of(64) {
                                inner.spawn(move || drop(clone));
                            }
                        });
                        drop(shared);
                    }
                });
            }
        });
        assert_eq!(Arc::strong_count(&value), 1);
        assert!(owners.released().iter().all(|slot| slot.value.is_none()));
    }
}
