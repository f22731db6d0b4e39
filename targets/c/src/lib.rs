//! jamlet for C. `jamlet.h` is made from this crate by `cargo xtask c-header --write`, so its docs are written for C.
//!
//! This is a boundary: every function takes pointers that the compiler can't check, checks what can be checked at run time,
//! and leaves everything else to the engine. What a caller has to promise stands once, at the head of the header.
#![no_std]
#![warn(missing_docs)]
#![expect(clippy::missing_safety_doc, reason = "the head of jamlet.h says what all pointers must be")]

mod choose;
mod error;
mod handle;
mod options;
mod session;
mod summarizer;

pub use choose::*;
pub use error::*;
pub use options::*;
pub use session::*;
pub use summarizer::*;

/// No panic of the engine is reachable, which the tests show: programs that are linked don't have this.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
