//! The file of a case, and memory that lies as an image and a workspace must.

use std::ffi::OsStr;
use std::path::Path;

/// Bytes on a multiple of 64.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Bytes that begin on a multiple of 64, and end on one.
pub struct Lines(Vec<Line>);

impl Lines {
    /// At least so many zeros.
    pub fn zeros(bytes: usize) -> Self {
        Self(vec![Line([0; 64]); bytes.div_ceil(64)])
    }

    /// All of them.
    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }

    /// All of them.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

/// What the file holds, followed by zeros.
///
/// # Errors
/// The file, and why it can't be read.
pub fn read(path: &OsStr) -> Result<Lines, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", Path::new(path).display()))?;
    let mut lines = Lines::zeros(bytes.len());
    if let Some(place) = lines.bytes_mut().get_mut(..bytes.len()) {
        place.copy_from_slice(&bytes);
    }
    Ok(lines)
}
