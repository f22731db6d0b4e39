//! Memory for tests on boards: the engine needs none.

use core::mem::MaybeUninit;
use embedded_alloc::LlffHeap;

#[global_allocator]
static ALLOCATOR: LlffHeap = LlffHeap::empty();

/// Gives the allocator its memory. Only once.
pub fn start<const N: usize>(memory: &'static mut [MaybeUninit<u8>; N]) {
    // SAFETY: the memory is borrowed for ever, and nothing else was given.
    unsafe { ALLOCATOR.init(memory.as_mut_ptr().addr(), N) }
}
