//! What lies where. A Zero 2 W has 512 MB, of which the graphics core takes 64: everything ends well below that.

use bytemuck::{Pod, Zeroable};
use embedded_alloc::LlffHeap;
use jamlet::model::Header;

extern crate alloc;
use alloc::vec::Vec;

/// Where config.txt asks the boot firmware to load the model (`initramfs model.jamlet 0x08000000`).
pub const MODEL: usize = 0x0800_0000;
/// The most bytes a model may have.
pub const MODEL_BYTES: usize = 128 << 20;
const HEAP: usize = MODEL + MODEL_BYTES;
const HEAP_BYTES: usize = 128 << 20;

#[global_allocator]
static ALLOCATOR: LlffHeap = LlffHeap::empty();

/// Gives the allocator its memory, once, before anything is allocated.
pub fn init_heap() {
    // SAFETY: called once, by `start`; this memory is no one else's, and above everything that the linker placed.
    unsafe { ALLOCATOR.init(HEAP, HEAP_BYTES) };
}

/// The memory that the boot firmware loaded the model into, as far as a model may reach.
pub fn model() -> &'static [u8] {
    // SAFETY: nothing writes here once the kernel runs.
    unsafe { core::slice::from_raw_parts(core::ptr::without_provenance(MODEL), MODEL_BYTES) }
}

/// The model there, if it is whole.
pub fn image() -> Option<&'static [u8]> {
    let length = Header::read(model()).ok()?.length;
    model().get(..usize::try_from(length).ok()?)
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(16))]
struct Block([u8; 16]);

/// Memory for a session: its size is known once the model is.
pub struct Workspace(Vec<Block>);

impl Workspace {
    /// At least `bytes` bytes; `None` where the heap hasn't that much.
    pub fn new(bytes: usize) -> Option<Self> {
        let mut blocks = Vec::new();
        blocks.try_reserve_exact(bytes.div_ceil(16)).ok()?;
        blocks.resize(bytes.div_ceil(16), Block([0; 16]));
        Some(Self(blocks))
    }

    /// The bytes.
    pub fn as_mut_bytes(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

/// Only core 0 has critical sections, the others just compute; and interrupts are masked: every section is critical already.
struct OneCore;
critical_section::set_impl!(OneCore);

// SAFETY: core 0 is the only one that calls this, and boot.rs masks its interrupts for good.
unsafe impl critical_section::Impl for OneCore {
    unsafe fn acquire() -> critical_section::RawRestoreState {}
    unsafe fn release(_: critical_section::RawRestoreState) {}
}
