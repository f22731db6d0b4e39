//! The checked view of an image's sections.

use super::header::{u16_at, u32_at, u64_at};
use super::layout::{SectionSpec, layer_sections, model_sections};
use super::{
    Encoding, Header, IMAGE_ALIGN, ImageError, LayerKind, Role, SECTION_ALIGN, SIGNATURE_BYTES, crc, features, field,
};
use core::ops::Range;

/// An image whose structure was checked: header, layers, section table and padding.
#[derive(Clone, Copy, Debug)]
pub struct Image<'m> {
    bytes: &'m [u8],
    header: Header,
}

/// What a signature is of, in the order in which it is hashed, and the signature.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'m> {
    /// All bytes before the signature, and all after it up to the checksum.
    pub message: [&'m [u8]; 2],
    /// Ed25519 (RFC 8032).
    pub signature: &'m [u8; SIGNATURE_BYTES],
}

/// A section's shape and bytes.
#[derive(Clone, Copy, Debug)]
pub struct Section<'m> {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// How its numbers are stored.
    pub encoding: Encoding,
    /// What it holds.
    pub bytes: &'m [u8],
}

impl Section<'_> {
    /// No rows and no bytes.
    pub(crate) const EMPTY: Self = Self { rows: 0, cols: 0, encoding: Encoding::Bytes, bytes: &[] };
}

impl<'m> Image<'m> {
    /// Checks structure and checksum.
    ///
    /// # Errors
    /// The first thing that is wrong, see [`ImageError`].
    pub fn parse(bytes: &'m [u8]) -> Result<Self, ImageError> {
        Self::parse_with(bytes, crc::checksum)
    }

    /// As [`Image::parse`], with another implementation of the same CRC-32 (hosts have fast ones).
    ///
    /// A caller that verified the image before, say when it was flashed, can skip the sum by returning the last four
    /// bytes of the image: all accessors are safe without it, only damage goes unseen.
    ///
    /// # Errors
    /// The first thing that is wrong, see [`ImageError`].
    pub fn parse_with(bytes: &'m [u8], checksum: impl FnOnce(&[u8]) -> u32) -> Result<Self, ImageError> {
        let header = Header::read(bytes)?;
        let found = bytes.len() as u64;
        if found < header.length {
            return Err(ImageError::Truncated { needed: header.length, found });
        }
        if found > header.length {
            return Err(ImageError::TrailingBytes { expected: header.length, found });
        }
        if !bytes.as_ptr().addr().is_multiple_of(IMAGE_ALIGN) {
            return Err(ImageError::Misaligned);
        }
        let (content, stored) = bytes.split_last_chunk::<4>().ok_or(ImageError::Truncated { needed: 4, found })?;
        let stored = u32::from_le_bytes(*stored);
        let computed = checksum(content);
        if stored != computed {
            return Err(ImageError::Crc { stored, computed });
        }
        let image = Self { bytes, header };
        image.check_sections(content.len() as u64)?;
        Ok(image)
    }

    /// Walks the sections that header and layers imply beside the section table.
    fn check_sections(&self, end: u64) -> Result<(), ImageError> {
        let mut walk = Walk {
            image: self,
            index: 0,
            offset: self.header.tables_end() as u64,
            end,
            features: self.header.features,
        };
        // Taken back by the first matrix that needs it.
        walk.features &= !features::FOUR_BITS;
        for expected in model_sections(&self.header) {
            walk.check(&expected)?;
        }
        for layer in 0..self.header.layers {
            let first = Header::first_section(self.bytes, layer);
            if first != walk.index {
                return Err(ImageError::Layer { layer, name: "first section", found: first });
            }
            for expected in layer_sections(&self.header, layer as u16, self.header.layer(self.bytes, layer)?) {
                walk.check(&expected)?;
            }
        }
        walk.finish()
    }

    /// The image's header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// All bytes of the image.
    pub const fn bytes(&self) -> &'m [u8] {
        self.bytes
    }

    /// The CRC-32 of the image, which also serves as its identity.
    pub fn checksum(&self) -> u32 {
        self.bytes.last_chunk::<4>().map_or(0, |b| u32::from_le_bytes(*b))
    }

    /// Whether the checksum is still right: memory forgets, too.
    pub fn is_intact(&self) -> bool {
        self.bytes.split_last_chunk::<4>().is_some_and(|(content, _)| crc::checksum(content) == self.checksum())
    }

    /// The signature, where the image carries one. Nobody has compared it with anything yet: whose it is, if anybody's, only
    /// a caller with a public key can tell.
    pub fn signature(&self) -> Option<Signed<'m>> {
        let signature: &[u8; SIGNATURE_BYTES] = self.model_section(Role::Signature)?.bytes.try_into().ok()?;
        let start = signature.as_ptr().addr().wrapping_sub(self.bytes.as_ptr().addr());
        let (before, rest) = self.bytes.split_at_checked(start)?;
        let after = rest.get(SIGNATURE_BYTES..rest.len().checked_sub(4)?)?;
        Some(Signed { message: [before, after], signature })
    }

    /// Kind of a layer; `None` past the last.
    pub fn layer(&self, index: u32) -> Option<LayerKind> {
        if index < self.header.layers { self.header.layer(self.bytes, index).ok() } else { None }
    }

    /// Section `index` of the table; empty past the last.
    pub fn section(&self, index: u32) -> Section<'m> {
        let Some(entry) = self.section_entry(index) else { return Section::EMPTY };
        let (start, length) = (u64_at(entry, field::SECTION_OFFSET), u64_at(entry, field::SECTION_LENGTH));
        // `check_sections` saw that the range lies within the image, whose length fits a usize.
        let Some(bytes) = self.bytes.get(start as usize..start.wrapping_add(length) as usize) else {
            return Section::EMPTY;
        };
        Section {
            rows: u32_at(entry, field::SECTION_ROWS) as usize,
            cols: u32_at(entry, field::SECTION_COLS) as usize,
            encoding: Encoding::read(u16_at(entry, field::SECTION_ENCODING)).unwrap_or(Encoding::Bytes),
            bytes,
        }
    }

    /// Entry `index` of the section table.
    fn section_entry(&self, index: u32) -> Option<&'m [u8]> {
        let at = self.header.section_table() + index as usize * field::SECTION_BYTES;
        if index < self.header.sections { self.bytes.get(at..at + field::SECTION_BYTES) } else { None }
    }

    /// Whether section `index` has this role.
    pub(crate) fn has_role(&self, index: u32, role: Role) -> bool {
        self.section_entry(index).is_some_and(|entry| u16_at(entry, field::SECTION_ROLE) == role as u16)
    }

    /// Section of a role of the model as a whole.
    pub fn model_section(&self, role: Role) -> Option<Section<'m>> {
        let index = model_sections(&self.header).position(|expected| expected.role == role)?;
        Some(self.section(index as u32))
    }

    /// All sections in the order of the file, with what each one is.
    pub fn sections(&self) -> impl Iterator<Item = (SectionSpec, Section<'m>)> + '_ {
        let layers = (0..self.header.layers).filter_map(|index| Some((index, self.layer(index)?)));
        let layers = layers.flat_map(|(index, kind)| layer_sections(&self.header, index as u16, kind));
        let all = model_sections(&self.header).chain(layers);
        all.enumerate().map(|(index, expected)| {
            let section = self.section(index as u32);
            (expected.stored_as(Some(section.encoding), &self.header), section)
        })
    }

    /// Indices of a layer's sections; none past the last layer.
    pub(crate) fn layer_indices(&self, layer: u32) -> Range<u32> {
        let first = |layer| match layer < self.header.layers {
            true => Header::first_section(self.bytes, layer),
            false => self.header.sections,
        };
        first(layer)..first(layer.saturating_add(1))
    }
}

/// Where the walk over the section table stands.
struct Walk<'a, 'm> {
    image: &'a Image<'m>,
    /// Index of the next entry.
    index: u32,
    /// End of the section before.
    offset: u64,
    /// End of the content: where the checksum begins.
    end: u64,
    /// Features that the header must have.
    features: u32,
}

impl Walk<'_, '_> {
    fn check(&mut self, expected: &SectionSpec) -> Result<(), ImageError> {
        let (index, header) = (self.index, &self.image.header);
        let wrong = |name, found, expected| Err(ImageError::Section { index, name, found, expected });
        if index >= header.sections {
            let found = u64::from(header.sections);
            return Err(ImageError::Field { name: "section count", found, min: found + 1, max: u64::MAX });
        }
        let at = header.section_table() + index as usize * field::SECTION_BYTES;
        let Some(entry) = self.image.bytes.get(at..at + field::SECTION_BYTES) else {
            return Err(ImageError::Truncated { needed: self.end, found: self.image.bytes.len() as u64 });
        };
        let encoding = Encoding::read(u16_at(entry, field::SECTION_ENCODING));
        let expected = &expected.stored_as(encoding, header);
        if expected.encoding == Encoding::Q4 {
            self.features |= features::FOUR_BITS;
        }
        for (name, at, right) in [
            ("role", field::SECTION_ROLE, expected.role as u16),
            ("layer", field::SECTION_LAYER, expected.layer),
            ("expert", field::SECTION_EXPERT, expected.expert),
            ("encoding", field::SECTION_ENCODING, expected.encoding as u16),
        ] {
            let found = u16_at(entry, at);
            if found != right {
                return wrong(name, found.into(), right.into());
            }
        }
        let (rows, cols) = (u32_at(entry, field::SECTION_ROWS), u32_at(entry, field::SECTION_COLS));
        let length = u64_at(entry, field::SECTION_LENGTH);
        let (right_rows, right_cols) = expected.shape.unwrap_or((1, cols));
        if rows != right_rows {
            return wrong("rows", rows.into(), right_rows.into());
        }
        if cols != right_cols {
            return wrong("columns", cols.into(), right_cols.into());
        }
        let right_length = match expected.encoding {
            Encoding::Bytes => u64::from(cols),
            _ => expected.bytes(header).unwrap_or(0),
        };
        if length != right_length {
            return wrong("length", length, right_length);
        }
        let offset = u64_at(entry, field::SECTION_OFFSET);
        let right_offset = self.offset.next_multiple_of(SECTION_ALIGN as u64);
        if offset != right_offset {
            return wrong("offset", offset, right_offset);
        }
        // No overflow: the header caps every factor of `length`, and `offset` is at most the file's length plus 64.
        let stop = offset.saturating_add(length);
        if stop > self.end {
            return Err(ImageError::Truncated { needed: stop.saturating_add(4), found: self.end + 4 });
        }
        self.check_padding(offset)?;
        self.offset = stop;
        self.index += 1;
        Ok(())
    }

    /// Bytes from the end of the section before up to `to` must be zero.
    fn check_padding(&self, to: u64) -> Result<(), ImageError> {
        let gap = self.image.bytes.get(self.offset as usize..to as usize).unwrap_or(&[]);
        match gap.iter().position(|&byte| byte != 0) {
            Some(at) => Err(ImageError::Padding { offset: self.offset + at as u64 }),
            None => Ok(()),
        }
    }

    fn finish(&self) -> Result<(), ImageError> {
        let (found, right) = (u64::from(self.image.header.sections), u64::from(self.index));
        if found != right {
            return Err(ImageError::Field { name: "section count", found, min: right, max: right });
        }
        let (found, right) = (u64::from(self.image.header.features), u64::from(self.features));
        if found != right {
            return Err(ImageError::Field { name: "features", found, min: right, max: right });
        }
        // The last section may be followed by zeros up to a multiple of 4, which aligns the checksum.
        let end = self.offset.next_multiple_of(4);
        if end != self.end {
            return Err(ImageError::TrailingBytes { expected: end + 4, found: self.end + 4 });
        }
        self.check_padding(end)
    }
}
