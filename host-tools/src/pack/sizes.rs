//! How large an image will be, before anything is read of its weights.

use super::source::Folder;
use super::writer::{Blobs, Source as _, blob, table, tables};
use super::{Options, header};
use crate::hf::{WeightId, Weights};
use anyhow::Result;
use std::collections::HashMap;

/// Bytes of an image.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// Of the whole.
    pub length: u64,
    /// Of the matrices of products, embedding and head, in the order of the file.
    pub matrices: Vec<MatrixSize>,
    /// Header, layer table and section table: enough for a [`jamlet::Plan`].
    pub head: Vec<u8>,
}

/// Bytes of a matrix: of all sections that it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixSize {
    /// Which.
    pub id: WeightId,
    /// Its bytes in the image.
    pub bytes: u64,
}

/// Sizes of the image that [`super::pack`] would write.
///
/// # Errors
/// When a section is too large.
pub fn sizes(weights: &Weights, blobs: &Blobs, options: &Options) -> Result<Sizes> {
    let layers: Vec<_> = weights.config().layers().collect();
    let mut header = header(weights.config(), options.group, blobs);
    header.layers = layers.len() as u32;
    let folder = Folder::new(weights, header.d_inner as usize, options);
    let length_of = |role| blob(blobs, role).len();
    let (entries, length) = table(&mut header, &layers, &length_of, &|section| folder.bits(section))?;
    let mut matrices: Vec<MatrixSize> = Vec::new();
    let mut places = HashMap::new();
    for (section, _, bytes) in &entries {
        let Some(id) = folder.id(section).filter(|_| section.encoding.bits().is_some()) else { continue };
        let place = *places.entry(id).or_insert(matrices.len());
        match matrices.get_mut(place) {
            Some(matrix) => matrix.bytes += bytes,
            None => matrices.push(MatrixSize { id, bytes: *bytes }),
        }
    }
    Ok(Sizes { length, matrices, head: tables(&header, &layers, &entries) })
}
