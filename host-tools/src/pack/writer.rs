//! Writes an image front to back: tables first, then every section from a source that gives rows when asked.

use super::quantize::{self, Fit, Format, Noise};
use crate::hf::WeightId;
use anyhow::{Context, Result, bail, ensure};
use jamlet::image::layout::{SectionSpec, layer_sections, model_sections};
use jamlet::image::{
    Encoding, FeedForward, Header, LayerKind, MAGIC, Mixer, NONE_U32, Role, SECTION_ALIGN, VERSION, features, field,
};
use jamlet::matrix::Bits;
use std::io::Write;

/// Where a section's numbers come from.
pub trait Source {
    /// Appends the rows `rows` of a section, as the image has them, to `out`.
    ///
    /// # Errors
    /// What can't be read, with its name and file.
    fn rows(&mut self, section: &SectionSpec, rows: std::ops::Range<usize>, out: &mut Vec<f32>) -> Result<()>;
    /// Bits of a weight of a matrix.
    fn bits(&self, _section: &SectionSpec) -> Bits {
        Bits::Eight
    }
    /// How scales of matrices are chosen.
    fn fit(&self) -> Fit {
        Fit::Search
    }
    /// The weight that a section is made of.
    fn id(&self, _section: &SectionSpec) -> Option<WeightId> {
        None
    }
    /// The name of a section's tensor, for the report.
    fn name(&self, section: &SectionSpec) -> String;
}

/// Sections with a format of their own.
#[derive(Clone, Debug, Default)]
pub struct Blobs {
    /// See [`jamlet::image::Role::Tokenizer`]; empty for none.
    pub tokenizer: Vec<u8>,
    /// See [`jamlet::image::Role::Prompt`].
    pub prompt: Vec<u8>,
    /// See [`jamlet::image::Role::Template`]; empty for none.
    pub template: Vec<u8>,
    /// See [`jamlet::image::Role::Sampling`]; empty for none.
    pub sampling: Vec<u8>,
    /// UTF-8 JSON.
    pub provenance: Vec<u8>,
}

/// A section as it was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The tensor's name.
    pub name: String,
    /// The weight that it is made of.
    pub id: Option<WeightId>,
    /// Its section.
    pub section: SectionSpec,
    /// Its bytes in the image.
    pub bytes: u64,
    /// What quantization lost; `None` where nothing was quantized.
    pub noise: Option<Noise>,
}

/// Floats that are read at a time: 8 MiB.
const BATCH: usize = 2 << 20;

/// Writes an image. `header.sections`, `header.length` and `header.layers` are filled in here; `progress` hears of bytes
/// written and bytes in all.
///
/// # Errors
/// What the source says, and what goes wrong in writing.
pub fn write(
    mut header: Header,
    layers: &[LayerKind],
    source: &mut dyn Source,
    blobs: &Blobs,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<Written>> {
    header.layers = layers.len() as u32;
    let bits_of = |section: &SectionSpec| source.bits(section);
    let (entries, length) = table(&mut header, layers, &|role| blob(blobs, role).len(), &bits_of)?;
    let head = tables(&header, layers, &entries);
    // The reader's own checks, before anything large is read.
    Header::read(&head).map_err(|error| anyhow::anyhow!("this model can't be an image: {error}"))?;
    let tick = &mut |done| progress(done, length);
    let mut out = Summed::new(out);
    out.write(&head)?;
    let mut report = Vec::new();
    for (section, offset, bytes) in entries {
        out.pad_to(offset)?;
        let noise = match section.encoding {
            Encoding::Bytes => {
                out.write(blob(blobs, section.role))?;
                None
            }
            Encoding::F32 => {
                write_f32(&section, source, &mut out)?;
                None
            }
            Encoding::Q8 | Encoding::Q4 => {
                let bits = section.encoding.bits().unwrap_or_default();
                let format = Format { bits, group: header.group as usize, fit: source.fit() };
                Some(write_matrix(&section, format, source, &mut out, tick)?)
            }
        };
        ensure!(out.offset == offset + bytes, "section {:?} has {} bytes", section.role, out.offset - offset);
        tick(out.offset);
        report.push(Written { name: source.name(&section), id: source.id(&section), section, bytes, noise });
    }
    out.finish(length)?;
    Ok(report)
}

/// Sections with offset and length, and the length of the image.
pub(super) type Table = (Vec<(SectionSpec, u64, u64)>, u64);

/// The table of an image whose sections of free length have the length that `length_of` says, and whose matrices have as many
/// bits as `bits_of` says.
pub(super) fn table(
    header: &mut Header,
    layers: &[LayerKind],
    length_of: &dyn Fn(Role) -> usize,
    bits_of: &dyn Fn(&SectionSpec) -> Bits,
) -> Result<Table> {
    let mut sections: Vec<SectionSpec> = model_sections(header).collect();
    for (index, &kind) in layers.iter().enumerate() {
        sections.extend(layer_sections(header, index as u16, kind));
    }
    header.sections = sections.len() as u32;
    header.features &= !features::FOUR_BITS;
    for section in sections.iter_mut().filter(|section| section.encoding == Encoding::Q8) {
        if bits_of(section) == Bits::Four {
            section.encoding = Encoding::Q4;
            header.features |= features::FOUR_BITS;
        }
    }
    let mut offset = header.tables_end() as u64;
    let mut entries = Vec::new();
    for mut section in sections {
        let bytes = match section.bytes(header) {
            Some(bytes) => bytes,
            None => length_of(section.role) as u64,
        };
        section.shape.get_or_insert((1, u32::try_from(bytes).context("a section is too large")?));
        offset = offset.next_multiple_of(SECTION_ALIGN as u64);
        entries.push((section, offset, bytes));
        offset += bytes;
    }
    header.length = offset.next_multiple_of(4) + 4;
    Ok((entries, header.length))
}

pub(super) fn blob(blobs: &Blobs, role: Role) -> &[u8] {
    match role {
        Role::Tokenizer => &blobs.tokenizer,
        Role::Prompt => &blobs.prompt,
        Role::Template => &blobs.template,
        Role::Sampling => &blobs.sampling,
        _ => &blobs.provenance,
    }
}

/// Header, layer table and section table of an image whose `entries` are its sections with their offsets and lengths.
pub fn tables(h: &Header, layers: &[LayerKind], entries: &[(SectionSpec, u64, u64)]) -> Vec<u8> {
    let mut bytes = vec![0u8; h.tables_end()];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &MAGIC);
    for (at, value) in [
        (field::VERSION, VERSION),
        (field::FEATURES, h.features),
        (field::SECTIONS, h.sections),
        (field::LAYERS, h.layers),
        (field::VOCAB, h.vocab),
        (field::HIDDEN, h.hidden),
        (field::INTERMEDIATE, h.intermediate),
        (field::HEADS, h.heads),
        (field::KV_HEADS, h.kv_heads),
        (field::HEAD_DIM, h.head_dim),
        (field::D_INNER, h.d_inner),
        (field::D_STATE, h.d_state),
        (field::D_CONV, h.d_conv),
        (field::DT_RANK, h.dt_rank),
        (field::EXPERTS, h.experts),
        (field::TOP_K, h.top_k),
        (field::GROUP, h.group),
        (field::EPS, h.eps.to_bits()),
        (field::MIXER_EPS, if h.mixer_eps == h.eps { 0 } else { h.mixer_eps.to_bits() }),
        (field::BOS, h.bos.unwrap_or(NONE_U32)),
        (field::SSM_HEADS, h.ssm_heads),
        (field::SSM_HEAD_DIM, h.ssm_head_dim),
        (field::SSM_GROUPS, h.ssm_groups),
        (field::STEP_MIN, h.step_limit[0].to_bits()),
        (field::STEP_MAX, h.step_limit[1].to_bits()),
        (field::SHARED, h.shared_intermediate),
    ] {
        put(at, &value.to_le_bytes());
    }
    put(field::LENGTH, &h.length.to_le_bytes());
    for (index, kind) in layers.iter().enumerate() {
        let at = field::HEADER_BYTES + index * field::LAYER_BYTES;
        let first = entries.iter().position(|(section, ..)| usize::from(section.layer) == index);
        let mixer = match kind.mixer {
            Mixer::Mamba => 1,
            Mixer::Attention => 2,
            Mixer::S4d => 3,
            Mixer::Mamba2 => 4,
        };
        let ffn = match kind.ffn {
            FeedForward::None => 0,
            FeedForward::Mlp => 1,
            FeedForward::Moe => 2,
        };
        put(at + field::LAYER_MIXER, &[mixer]);
        put(at + field::LAYER_FFN, &[ffn]);
        put(at + field::LAYER_FIRST, &(first.unwrap_or(0) as u32).to_le_bytes());
    }
    for (index, (section, offset, length)) in entries.iter().enumerate() {
        let at = h.section_table() + index * field::SECTION_BYTES;
        let (rows, cols) = section.shape.unwrap_or((1, 0));
        put(at + field::SECTION_ROLE, &(section.role as u16).to_le_bytes());
        put(at + field::SECTION_LAYER, &section.layer.to_le_bytes());
        put(at + field::SECTION_EXPERT, &section.expert.to_le_bytes());
        put(at + field::SECTION_ENCODING, &(section.encoding as u16).to_le_bytes());
        put(at + field::SECTION_ROWS, &rows.to_le_bytes());
        put(at + field::SECTION_COLS, &cols.to_le_bytes());
        put(at + field::SECTION_OFFSET, &offset.to_le_bytes());
        put(at + field::SECTION_LENGTH, &length.to_le_bytes());
    }
    bytes
}

fn write_f32(section: &SectionSpec, source: &mut dyn Source, out: &mut Summed<'_>) -> Result<()> {
    let mut numbers = Vec::new();
    for rows in batches(section, 1) {
        numbers.clear();
        source.rows(section, rows, &mut numbers)?;
        // As `verify` wants it: products of a checkpoint's finite numbers may be none.
        if let Some(x) = numbers.iter().find(|x| !x.is_finite()) {
            bail!(
                "{}: {:?} would be {x} in the image; finite numbers would be right",
                source.name(section),
                section.role
            );
        }
        out.write(bytemuck::cast_slice(&numbers))?;
    }
    Ok(())
}

fn write_matrix(
    section: &SectionSpec,
    format: Format,
    source: &mut dyn Source,
    out: &mut Summed<'_>,
    tick: &mut dyn FnMut(u64),
) -> Result<Noise> {
    let (_, cols) = section.shape.unwrap_or((0, 0));
    let (mut numbers, mut total) = (Vec::new(), Noise::default());
    for rows in batches(section, jamlet::matrix::TILE_ROWS) {
        numbers.clear();
        source.rows(section, rows, &mut numbers)?;
        if let Some(w) = numbers.iter().find(|w| w.abs() > quantize::max_weight(format.bits)) {
            let bits = format.bits.count();
            bail!("{}: a weight of {w} is too large for int{bits} with f16 scales", source.name(section));
        }
        let (bytes, noise) = quantize::tiles(&numbers, cols as usize, format);
        out.write(&bytes)?;
        total = total.plus(noise);
        tick(out.offset);
    }
    Ok(total)
}

/// The section's rows in batches of about [`BATCH`] numbers, a multiple of `step` rows each.
fn batches(section: &SectionSpec, step: usize) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
    let (rows, cols) = section.shape.unwrap_or((0, 0));
    let (rows, batch) = (rows as usize, (BATCH / (cols as usize).max(1)).max(1).next_multiple_of(step));
    (0..rows).step_by(batch).map(move |first| first..(first + batch).min(rows))
}

/// A writer that keeps the checksum and the offset.
pub(super) struct Summed<'a> {
    out: &'a mut dyn Write,
    crc: crc32fast::Hasher,
    offset: u64,
}

impl<'a> Summed<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out, crc: crc32fast::Hasher::new(), offset: 0 }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.crc.update(bytes);
        self.offset += bytes.len() as u64;
        self.out.write_all(bytes).context("writing the image")
    }

    pub(super) fn pad_to(&mut self, offset: u64) -> Result<()> {
        let gap = offset - self.offset;
        self.write(&vec![0; gap as usize])
    }

    /// Ends the image, which must have `length` bytes then.
    pub(super) fn finish(mut self, length: u64) -> Result<()> {
        self.pad_to(self.offset.next_multiple_of(4))?;
        let crc = self.crc.clone().finalize();
        self.write(&crc.to_le_bytes())?;
        ensure!(self.offset == length, "the image has {} bytes instead of {length}", self.offset);
        self.out.flush().context("writing the image")
    }
}
