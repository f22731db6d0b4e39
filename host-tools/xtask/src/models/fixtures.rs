//! Small images with random weights, the same on every machine: what a target computes with them shows whether its
//! arithmetic is right, and every kind of layer is in one of them.

use jamlet::image::layout::{SectionSpec, layer_sections, model_sections};
use jamlet::image::{Encoding, FeedForward, Header, LayerKind, Mixer, Role, SECTION_ALIGN, crc, features};
use jamlet::matrix::{Bits, TILE_ROWS, encode, encode_nibbles, groups, padded_cols};
use jamlet_tests::random::Random;
use jamlet_tools::pack;

/// The fixtures by name.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    use FeedForward::{Mlp, Moe, None};
    use Mixer::{Attention, Mamba, Mamba2, S4d};
    let layer = |mixer, ffn| LayerKind { mixer, ffn };
    let base = Header {
        features: features::TIED,
        vocab: 300,
        hidden: 64,
        intermediate: 96,
        heads: 4,
        kv_heads: 4,
        head_dim: 16,
        d_inner: 128,
        d_state: 16,
        d_conv: 4,
        dt_rank: 4,
        group: 32,
        bos: Some(1),
        ..Header::EMPTY
    };
    let moe = Header { experts: 4, top_k: 2, ..base };
    // Odd sizes: head dimension, rank and hidden size that are no multiple of a group.
    let gqa = Header { features: 0, hidden: 60, heads: 6, kv_heads: 2, head_dim: 10, intermediate: 100, ..base };
    let mamba = Header { hidden: 40, d_inner: 80, d_state: 11, dt_rank: 3, d_conv: 3, group: 64, vocab: 517, ..base };
    // What Jamba descends from, as small as can be: S4D; Mamba without norms on dt, B and C; a Transformer.
    let small = Header { hidden: 32, d_inner: 64, intermediate: 48, vocab: 96, head_dim: 8, ..base };
    let s4d = Header { d_state: 9, dt_rank: 0, ..small };
    let pure = Header { features: features::TIED | features::PLAIN_MAMBA | features::PROJ_BIAS, ..small };
    // Mamba-2 with groups whose channels are padded, and a Granite with mixtures.
    let mamba2 = Header {
        features: features::TIED | features::PROJ_BIAS,
        d_inner: 80,
        d_state: 13,
        ssm_heads: 6,
        ssm_head_dim: 13,
        ssm_groups: 2,
        step_limit: [0.02, 0.5],
        ..small
    };
    let granite = Header {
        d_inner: 64,
        d_state: 32,
        ssm_heads: 8,
        ssm_head_dim: 8,
        ssm_groups: 1,
        step_limit: [0.0, f32::INFINITY],
        experts: 4,
        top_k: 2,
        shared_intermediate: 40,
        kv_heads: 2,
        ..small
    };
    let attention = Header { features: 0, d_inner: 0, d_state: 0, d_conv: 0, dt_rank: 0, ..small };
    vec![
        ("moe", build(moe, &[layer(Mamba, Mlp), layer(Mamba, Moe), layer(Attention, Mlp), layer(Mamba, Moe)], 1)),
        ("gqa", build(gqa, &[layer(Attention, Mlp), layer(Mamba, Mlp), layer(Attention, None)], 2)),
        ("s4d", build(s4d, &[layer(S4d, None), layer(S4d, Mlp)], 4)),
        ("pure", build(pure, &[layer(Mamba, None), layer(Mamba, None)], 5)),
        ("mamba2", build(mamba2, &[layer(Mamba2, None), layer(Mamba2, Mlp)], 7)),
        ("granite", build(granite, &[layer(Mamba2, Moe), layer(Attention, Moe), layer(Mamba2, Mlp)], 8)),
        ("attention", build(attention, &[layer(Attention, Mlp), layer(Attention, Mlp)], 6)),
        // Every matrix of 4 bits, with sizes that end within a group and within a tile; and every other one, of another model.
        (
            "nibbles",
            build_in(gqa, &[layer(Attention, Mlp), layer(Mamba, Mlp), layer(Attention, None)], 7, |_| Bits::Four),
        ),
        ("mixed", build_in(moe, &[layer(Mamba, Mlp), layer(Mamba, Moe), layer(Attention, Moe)], 8, every_other)),
        ("mamba", build(mamba, &[layer(Mamba, None), layer(Mamba, None), layer(Mamba, Mlp)], 3)),
    ]
}

/// The smallest model that has everything that remembers: for runs of a million tokens.
pub fn smallest() -> Vec<u8> {
    let header = Header {
        features: features::TIED,
        vocab: 64,
        hidden: 32,
        intermediate: 32,
        heads: 2,
        kv_heads: 1,
        head_dim: 16,
        d_inner: 32,
        d_state: 8,
        d_conv: 4,
        dt_rank: 4,
        group: 32,
        bos: Some(1),
        ..Header::EMPTY
    };
    let layer = |mixer, ffn| LayerKind { mixer, ffn };
    build(header, &[layer(Mixer::Mamba, FeedForward::None), layer(Mixer::Attention, FeedForward::Mlp)], 4)
}

fn build(header: Header, layers: &[LayerKind], seed: u64) -> Vec<u8> {
    build_in(header, layers, seed, |_| Bits::Eight)
}

/// 4 bits for every other matrix of the table of sections.
fn every_other(index: usize) -> Bits {
    if index.is_multiple_of(2) { Bits::Eight } else { Bits::Four }
}

/// An image whose matrices, counted from 0, have as many bits a weight as `bits` says.
fn build_in(mut header: Header, layers: &[LayerKind], seed: u64, bits: fn(usize) -> Bits) -> Vec<u8> {
    header.layers = layers.len() as u32;
    let mut sections: Vec<SectionSpec> = model_sections(&header).collect();
    for (index, &kind) in layers.iter().enumerate() {
        sections.extend(layer_sections(&header, index as u16, kind));
    }
    header.sections = sections.len() as u32;
    let matrices = sections.iter_mut().filter(|section| section.encoding == Encoding::Q8);
    for (_, section) in matrices.enumerate().filter(|(index, _)| bits(*index) == Bits::Four) {
        section.encoding = Encoding::Q4;
        header.features |= features::FOUR_BITS;
    }
    let mut random = Random(seed);
    let mut image = vec![0; header.tables_end()];
    let mut entries = Vec::new();
    for section in &sections {
        image.resize(image.len().next_multiple_of(SECTION_ALIGN), 0);
        let offset = image.len();
        content(&header, section, &mut random, &mut image);
        let length = image.len() - offset;
        let shape = section.shape.or(Some((1, length as u32)));
        entries.push((SectionSpec { shape, ..*section }, offset as u64, length as u64));
    }
    image.resize(image.len().next_multiple_of(4), 0);
    header.length = image.len() as u64 + 4;
    let head = pack::tables(&header, layers, &entries);
    image[..head.len()].copy_from_slice(&head);
    image.extend([0; 4]);
    seal(&mut image);
    image
}

/// Writes the checksum of an image that was changed.
pub fn seal(image: &mut [u8]) {
    if let Some((body, sum)) = image.split_last_chunk_mut::<4>() {
        *sum = crc::checksum(body).to_le_bytes();
    }
}

fn content(header: &Header, section: &SectionSpec, random: &mut Random, image: &mut Vec<u8>) {
    let (rows, cols) = section.shape.unwrap_or((0, 0));
    let (rows, cols) = (rows as usize, cols as usize);
    match (section.encoding, section.role) {
        (Encoding::F32, role) => {
            for _ in 0..rows * cols {
                let x = match role {
                    Role::MambaA | Role::Mamba2A => random.between(-12.0, -0.5),
                    Role::S4dDecay => random.between(0.5, 1.0),
                    Role::S4dB | Role::S4dC => random.between(-1.0, 1.0),
                    Role::MambaDtBias | Role::Mamba2DtBias => random.between(-4.0, -1.0),
                    Role::MambaConv | Role::MambaConvBias | Role::Mamba2BcConv | Role::Mamba2BcConvBias => {
                        random.between(-0.5, 0.5)
                    }
                    Role::Router => random.between(-0.25, 0.25),
                    Role::MambaInBias | Role::MambaOutBias | Role::Mamba2BcBias => random.between(-0.1, 0.1),
                    _ => random.between(0.5, 1.5), // norms and D
                };
                image.extend(x.to_le_bytes());
            }
        }
        (Encoding::Q8, _) => matrix(Bits::Eight, rows, cols, header.group as usize, random, image),
        (Encoding::Q4, _) => matrix(Bits::Four, rows, cols, header.group as usize, random, image),
        // No prefix, no suffix, and token 2 stops.
        (Encoding::Bytes, Role::Prompt) => image.extend([0u32, 0, 1, 2].into_iter().flat_map(u32::to_le_bytes)),
        (Encoding::Bytes, _) => image.extend(b"{}"),
    }
}

/// A matrix in tiles; weights are about as large as makes outputs as large as inputs.
fn matrix(bits: Bits, rows: usize, cols: usize, group: usize, random: &mut Random, image: &mut Vec<u8>) {
    let size = 2.0 / (cols as f32).sqrt();
    let steps = if bits == Bits::Eight { 127 } else { 7 };
    for tile in 0..rows.div_ceil(TILE_ROWS) {
        let row = |r: usize| tile * TILE_ROWS + r < rows;
        for part in 0..groups(cols, group) {
            for r in 0..TILE_ROWS {
                let scale = if row(r) { size / steps as f32 * random.between(0.5, 1.0) } else { 0.0 };
                image.extend(half::f16::from_f32(scale).to_le_bytes());
            }
            let end = ((part + 1) * group).min(padded_cols(cols));
            for first in (part * group..end).step_by(bits.block_cols()) {
                for r in 0..TILE_ROWS {
                    let mut weight = |col: usize| {
                        let weight = (random.bits() % (2 * steps + 1)) as i64 - steps as i64;
                        if row(r) && first + col < cols { weight as i8 } else { 0 }
                    };
                    image.extend(match bits {
                        Bits::Eight => encode([0, 1, 2, 3].map(&mut weight)),
                        Bits::Four => encode_nibbles([0, 1, 2, 3, 4, 5, 6, 7].map(&mut weight)),
                    });
                }
            }
        }
    }
}
