//! Options, and the memory that they take.

use crate::error::{JamletError, code};
use crate::handle::{bytes, write};
use crate::session::JamletSession;
use crate::summarizer::JamletSummarizer;
use core::ffi::c_void;
use jamlet::{Options, Plan};

/// The most summaries that are written side by side.
pub const JAMLET_MOST_BEAMS: usize = 2;
/// Workspaces and images lie at a multiple of so many bytes.
pub const JAMLET_ALIGN: usize = 16;
/// What a summarizer takes of its workspace, beside what `jamlet plan` says for the image.
#[cfg(target_pointer_width = "32")]
pub const JAMLET_SUMMARIZER_BYTES: usize = 25344;
/// What a summarizer takes of its workspace, beside what `jamlet plan` says for the image.
#[cfg(target_pointer_width = "64")]
pub const JAMLET_SUMMARIZER_BYTES: usize = 26624;
/// What a session takes of its workspace, beside what `jamlet plan` says for the image.
#[cfg(target_pointer_width = "32")]
pub const JAMLET_SESSION_BYTES: usize = 5632;
/// What a session takes of its workspace, beside what `jamlet plan` says for the image.
#[cfg(target_pointer_width = "64")]
pub const JAMLET_SESSION_BYTES: usize = 6656;

/// How a model runs. Where a pointer to it is null, `JAMLET_OPTIONS` is meant.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JamletOptions {
    /// Tokens that attention looks back, at least 1.
    pub window: u32,
    /// The first tokens that attention always sees.
    pub sinks: u32,
    /// Tokens that are read together: more are faster and take more memory, with the same result.
    pub chunk: u32,
    /// Summaries that are written side by side, 1 or 2: each takes memory for its state.
    pub beams: u32,
}

impl JamletOptions {
    /// `JAMLET_OPTIONS`, as the `jamlet` command has them.
    const DEFAULT: Self = Self { window: 256, sinks: 4, chunk: 8, beams: 2 };

    /// As the engine has them.
    ///
    /// # Safety
    /// `options` is null or points to options.
    pub(crate) unsafe fn read(options: *const Self) -> Result<Options, JamletError> {
        // SAFETY: the caller's promise.
        let Self { window, sinks, chunk, beams } = unsafe { options.as_ref() }.copied().unwrap_or(Self::DEFAULT);
        match beams as usize {
            1..=JAMLET_MOST_BEAMS => Ok(Options::window(window).sinks(sinks).chunk(chunk).beams(beams)),
            _ => Err(JamletError::Beams),
        }
    }
}

/// Bytes that an image takes with some options.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JamletSizes {
    /// Workspace of a summarizer.
    pub summarizer: usize,
    /// Workspace of a session.
    pub session: usize,
    /// A saved state of either, whatever was read: the most that it takes.
    pub snapshot: usize,
}

/// Says how much memory an image takes. Only the image's header is looked at.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_plan(
    image: *const c_void,
    image_bytes: usize,
    options: *const JamletOptions,
    sizes: *mut JamletSizes,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    code(unsafe { plan(image, image_bytes, options, sizes) })
}

unsafe fn plan(
    image: *const c_void,
    image_bytes: usize,
    options: *const JamletOptions,
    sizes: *mut JamletSizes,
) -> Result<(), JamletError> {
    // SAFETY: the caller's promises about pointers.
    let (image, options) = unsafe { (bytes(image, image_bytes)?, JamletOptions::read(options)?) };
    let plan = Plan::new(image, options)?;
    let whole = |handle: usize| handle.checked_add(plan.bytes()).ok_or(JamletError::TooLarge);
    let found = JamletSizes {
        summarizer: whole(size_of::<JamletSummarizer>())?,
        session: whole(size_of::<JamletSession>())?,
        snapshot: plan.snapshot_with_logits_bytes(),
    };
    // SAFETY: the caller's promises about pointers.
    unsafe { write(sizes, found) }
}

// Constants of the header, so that a workspace can be declared; no more than a little larger than what they are for.
const _: () = assert!(size_of::<JamletSummarizer>() <= JAMLET_SUMMARIZER_BYTES);
const _: () = assert!(size_of::<JamletSession>() <= JAMLET_SESSION_BYTES);
