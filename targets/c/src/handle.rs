//! Workspaces as handles, and pointers as what they point to.

use crate::error::JamletError;
use crate::options::JAMLET_ALIGN;
use core::ffi::c_void;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::slice;
use jamlet::{Model, Options, Session};

/// What lies at the front of every workspace of a kind.
pub(crate) struct Head {
    /// [`Handle::KIND`].
    kind: u32,
    /// A function is at work.
    busy: bool,
}

impl Head {
    /// Of a handle that nobody uses yet.
    pub const fn of<H: Handle>() -> Self {
        Self { kind: H::KIND, busy: false }
    }
}

/// A kind of handle.
///
/// # Safety
/// `head` and `inner` give pointers to two fields of `Self` that don't overlap, and both are initialized in every handle that
/// begins with `KIND`.
pub(crate) unsafe trait Handle {
    /// What functions work with.
    type Inner;
    /// Marks workspaces that were made into handles of this kind.
    const KIND: u32;
    /// Where its head is.
    fn head(this: *mut Self) -> *mut Head;
    /// Where the rest is.
    fn inner(this: *mut Self) -> *mut Self::Inner;
}

/// A handle that a function is at work with.
pub(crate) struct Entered<'h, H: Handle> {
    head: NonNull<Head>,
    inner: &'h mut H::Inner,
}

impl<'h, H: Handle> Entered<'h, H> {
    /// Keeps others out until it is dropped.
    ///
    /// # Safety
    /// `handle` is null or points to as many bytes as a handle has, and no other thread uses it.
    pub unsafe fn new(handle: *mut H) -> Result<Self, JamletError> {
        let Some(head) = NonNull::new(H::head(handle)).filter(|_| !handle.is_null()) else {
            return Err(JamletError::Null);
        };
        if !handle.addr().is_multiple_of(JAMLET_ALIGN) {
            return Err(JamletError::Handle);
        }
        // SAFETY: the caller's promise. Fields are read as plain numbers, since the bytes may be any.
        let (kind, busy) = unsafe {
            ((&raw const (*head.as_ptr()).kind).read(), (&raw const (*head.as_ptr()).busy).cast::<u8>().read())
        };
        if kind != H::KIND {
            return Err(JamletError::Handle);
        }
        if busy != 0 {
            return Err(JamletError::Busy);
        }
        // SAFETY: of this kind, so both fields are initialized; not busy, so no other reference to them is alive.
        let inner = unsafe {
            (&raw mut (*head.as_ptr()).busy).write(true);
            &mut *H::inner(handle)
        };
        Ok(Self { head, inner })
    }
}

impl<H: Handle> Drop for Entered<'_, H> {
    fn drop(&mut self) {
        // SAFETY: the handle's head, as `new` found it.
        unsafe { (&raw mut (*self.head.as_ptr()).busy).write(false) }
    }
}

impl<H: Handle> Deref for Entered<'_, H> {
    type Target = H::Inner;

    fn deref(&self) -> &Self::Target {
        self.inner
    }
}

impl<H: Handle> DerefMut for Entered<'_, H> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.inner
    }
}

/// Divides a workspace into the handle and what is left for the session.
///
/// # Safety
/// `workspace` is null or points to `length` bytes that nobody else uses as long as the handle.
unsafe fn divide<H: Handle>(workspace: *mut c_void, length: usize) -> Result<(*mut H, &'static mut [u8]), JamletError> {
    if workspace.is_null() {
        return Err(JamletError::Null);
    }
    if !workspace.addr().is_multiple_of(JAMLET_ALIGN) {
        return Err(JamletError::WorkspaceMisaligned);
    }
    let handle = workspace.cast::<H>();
    let Some(rest) = length.checked_sub(size_of::<H>()).filter(|_| isize::try_from(length).is_ok()) else {
        return Err(JamletError::WorkspaceTooSmall);
    };
    // SAFETY: inside the workspace, whose bytes are nobody else's. What is behind the handle is zeroed first, because bytes of a
    // caller may not be initialized. A handle that was here before is none from now on.
    let session = unsafe {
        H::head(handle).write(Head { kind: 0, busy: false });
        let behind = workspace.cast::<u8>().add(size_of::<H>());
        behind.write_bytes(0, rest);
        slice::from_raw_parts_mut(behind, rest)
    };
    Ok((handle, session))
}

/// Checks an image and makes a session for it in a workspace, behind a handle. Not inlined, so that what it needs of the stack is
/// free again afterwards.
///
/// # Safety
/// As [`divide`].
#[inline(never)]
pub(crate) unsafe fn open<H: Handle>(
    (workspace, length): (*mut c_void, usize),
    image: &'static [u8],
    options: Options,
) -> Result<(*mut H, Session<'static, 'static>), JamletError> {
    let model = Model::parse(image)?;
    // SAFETY: the caller's promise.
    let (handle, rest) = unsafe { divide::<H>(workspace, length)? };
    Ok((handle, Session::new(&model, options, rest)?))
}

/// Bytes of a caller; none where there are none, whatever the pointer.
///
/// # Safety
/// `from` is null or points to `length` bytes that stay as they are while the result is used.
pub(crate) unsafe fn bytes<'a, T>(from: *const T, length: usize) -> Result<&'a [u8], JamletError> {
    if length == 0 {
        return Ok(&[]);
    }
    match from.is_null() || isize::try_from(length).is_err() {
        true => Err(JamletError::Null),
        // SAFETY: not null, not larger than can be, and the caller's promise.
        false => Ok(unsafe { slice::from_raw_parts(from.cast(), length) }),
    }
}

/// Gives a caller what it asked for.
///
/// # Safety
/// `to` is null or points to a place for it.
pub(crate) unsafe fn write<T>(to: *mut T, value: T) -> Result<(), JamletError> {
    if to.is_null() {
        return Err(JamletError::Null);
    }
    // SAFETY: not null, and the caller's promise.
    unsafe { to.write(value) };
    Ok(())
}
