//! An `Option` whose `None` is all zeros, so that a `static` that has one lies in `.bss` and takes no flash.

/// A value, or none.
#[derive(Clone, Copy, Debug, Default)]
#[repr(u8)]
pub(crate) enum Slot<T> {
    // First, and with a tag of its own: zeros.
    #[default]
    Empty,
    Full(T),
}

impl<T> Slot<T> {
    #[inline]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    #[inline]
    pub fn as_ref(&self) -> Option<&T> {
        match self {
            Self::Empty => None,
            Self::Full(value) => Some(value),
        }
    }

    /// Leaves the slot empty.
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        match core::mem::take(self) {
            Self::Empty => None,
            Self::Full(value) => Some(value),
        }
    }
}
