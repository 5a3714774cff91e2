//! The locks of the mock's state.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks the state.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // After a panic, the state is still consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
