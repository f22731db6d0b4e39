//! Bytes as an image and a workspace want them: on a multiple of 64.

use alloc::vec::Vec;

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Some bytes.
pub struct Bytes {
    lines: Vec<Line>,
    count: usize,
}

impl Bytes {
    /// None.
    pub const NONE: Self = Self { lines: Vec::new(), count: 0 };

    /// So many zeros; `None` where memory doesn't suffice.
    pub fn zeroed(count: usize) -> Option<Self> {
        let mut lines = Vec::new();
        lines.try_reserve_exact(count.div_ceil(64)).ok()?;
        lines.resize(count.div_ceil(64), Line([0; 64]));
        Some(Self { lines, count })
    }

    /// Where they begin.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.lines.as_mut_ptr().cast()
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        bytemuck::cast_slice(&self.lines).get(..self.count).unwrap_or(&[])
    }

    /// The bytes, for as long as the module lives.
    pub fn leak(self) -> &'static mut [u8] {
        bytemuck::cast_slice_mut(self.lines.leak()).get_mut(..self.count).unwrap_or(&mut [])
    }
}
