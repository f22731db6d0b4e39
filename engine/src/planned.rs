//! What a bug in the memory plan comes to: builds with debug assertions stop, firmware without them goes on without a panic.

/// What the plan has room for; an empty one where it hasn't, which can only be a bug of this crate.
#[track_caller]
#[inline(always)]
pub(crate) fn planned<T: Default>(found: Option<T>) -> T {
    there(found).unwrap_or_default()
}

/// As [`planned`], for what has no empty value: the caller then leaves its work undone.
#[track_caller]
#[inline(always)]
pub(crate) fn there<T>(found: Option<T>) -> Option<T> {
    debug_assert!(found.is_some(), "the memory plan and its use disagree");
    found
}
