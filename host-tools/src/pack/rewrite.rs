//! An image again, with some of its opaque sections added or replaced: nothing is quantized a second time.

use super::writer::{Summed, table, tables};
use anyhow::{Context, Result};
use jamlet::image::layout::SectionSpec;
use jamlet::image::{Header, Image, LayerKind, Role};
use jamlet::matrix::Bits;
use std::collections::HashMap;
use std::io::Write;

/// Writes `image` with other `features` and with the sections of the model as a whole that `replaced` names. What the features
/// ask for must be in the image or among `replaced`.
///
/// # Errors
/// A section that is missing, and what goes wrong in writing.
pub fn rewrite(image: &Image<'_>, features: u32, replaced: &[(Role, &[u8])], out: &mut dyn Write) -> Result<()> {
    let mut header = Header { features, ..*image.header() };
    let layers: Vec<LayerKind> = (0..header.layers).filter_map(|index| image.layer(index)).collect();
    let place = |section: &SectionSpec| (section.role as u16, section.layer, section.expert);
    let mut contents: HashMap<_, &[u8]> = image.sections().map(|(is, section)| (place(&is), section.bytes)).collect();
    for (role, bytes) in replaced {
        contents.insert((*role as u16, u16::MAX, u16::MAX), *bytes);
    }
    let length_of = |role| contents.get(&(role as u16, u16::MAX, u16::MAX)).map_or(0, |bytes| bytes.len());
    let bits: HashMap<_, Bits> =
        image.sections().filter_map(|(is, _)| Some((place(&is), is.encoding.bits()?))).collect();
    let bits_of = |section: &SectionSpec| bits.get(&place(section)).copied().unwrap_or_default();
    let (entries, length) = table(&mut header, &layers, &length_of, &bits_of)?;
    let mut out = Summed::new(out);
    out.write(&tables(&header, &layers, &entries))?;
    for (section, offset, _) in &entries {
        out.pad_to(*offset)?;
        out.write(contents.get(&place(section)).with_context(|| format!("no section {:?}", section.role))?)?;
    }
    out.finish(length)
}
