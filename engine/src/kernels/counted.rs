//! Bytes of weights that matrix products cross: for tests.

extern crate std;

use core::cell::Cell;

std::thread_local! {
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

/// A product crosses a matrix of so many bytes.
pub(super) fn add(bytes: usize) {
    BYTES.set(BYTES.get() + bytes);
}

/// Bytes that this thread's products crossed since it was asked the last time.
pub(crate) fn take() -> usize {
    BYTES.take()
}
