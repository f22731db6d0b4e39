//! Header and layer table, readable in a `const fn`.

use super::{ImageError, MAGIC, NONE_U32, VERSION, features, field};
use crate::matrix::NIBBLE_GROUP;

/// What mixes tokens in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mixer {
    /// Selective state space, with or without Jamba's norms on dt, B and C.
    Mamba,
    /// Grouped-query attention without positional encoding.
    Attention,
    /// Mamba's block without selectivity: dt, B and C are constants of a channel (Gu et al. 2022).
    S4d,
    /// Mamba-2: one decay a head, B and C of a group of heads (Dao and Gu 2024).
    Mamba2,
}

/// What follows the mixer in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedForward {
    /// Nothing: the layer is its mixer.
    None,
    /// SwiGLU.
    Mlp,
    /// Mixture of SwiGLU experts.
    Moe,
}

/// A layer's two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerKind {
    /// What mixes tokens.
    pub mixer: Mixer,
    /// What follows.
    pub ffn: FeedForward,
}

/// The header's fields. Once [`Header::read`] says Ok, every size is within the bounds that it checks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Header {
    /// Bits of [`features`].
    pub features: u32,
    /// Length of the image in bytes.
    pub length: u64,
    /// Entries of the section table.
    pub sections: u32,
    /// Layers.
    pub layers: u32,
    /// Vocabulary size.
    pub vocab: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Width of an MLP or of one expert.
    pub intermediate: u32,
    /// Query heads.
    pub heads: u32,
    /// Key-value heads.
    pub kv_heads: u32,
    /// Numbers of a head.
    pub head_dim: u32,
    /// Mamba channels, a multiple of 8.
    pub d_inner: u32,
    /// State size of a Mamba channel.
    pub d_state: u32,
    /// Width of the causal convolution.
    pub d_conv: u32,
    /// Rank of dt.
    pub dt_rank: u32,
    /// Experts of a mixture.
    pub experts: u32,
    /// Experts that a token uses.
    pub top_k: u32,
    /// Quantization group along the input dimension.
    pub group: u32,
    /// Epsilon of the RMS norms of the residual stream.
    pub eps: f32,
    /// Epsilon of the RMS norms inside a Mamba block: on dt, B and C, or of Mamba-2's output.
    pub mixer_eps: f32,
    /// Heads of a Mamba-2 block.
    pub ssm_heads: u32,
    /// Channels of such a head.
    pub ssm_head_dim: u32,
    /// Groups of such heads, which share B and C and are normalized together.
    pub ssm_groups: u32,
    /// The smallest and the largest step dt of Mamba-2.
    pub step_limit: [f32; 2],
    /// Width of the MLP beside a mixture's experts, or 0.
    pub shared_intermediate: u32,
    /// Beginning-of-sequence token.
    pub bos: Option<u32>,
}

/// `N` bytes from `at` on; zeros where they aren't there, which callers have ruled out.
const fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    match bytes.split_at_checked(at) {
        Some((_, rest)) => match rest.first_chunk() {
            Some(found) => *found,
            None => [0; N],
        },
        None => [0; N],
    }
}

pub(crate) const fn u8_at(bytes: &[u8], at: usize) -> u8 {
    u8::from_le_bytes(bytes_at(bytes, at))
}

pub(crate) const fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(bytes, at))
}

pub(crate) const fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, at))
}

pub(crate) const fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, at))
}

/// That none of the sizes is 0.
const fn all_positive(checks: &[(&'static str, u32)]) -> Result<(), ImageError> {
    let mut i = 0;
    while i < checks.len() {
        let (name, found) = checks[i];
        if found == 0 {
            return Err(ImageError::Field { name, found: 0, min: 1, max: u32::MAX as u64 });
        }
        i += 1;
    }
    Ok(())
}

/// Bounds that keep every product of sizes far inside 64 bits, generous for any model there is.
const BOUNDS: [(&str, usize, u32, u32); 19] = [
    ("section count", field::SECTIONS, 1, 1 << 20),
    ("layer count", field::LAYERS, 1, 4096),
    ("vocab_size", field::VOCAB, 1, 1 << 24),
    ("hidden_size", field::HIDDEN, 1, 1 << 18),
    ("intermediate_size", field::INTERMEDIATE, 0, 1 << 20),
    ("num_attention_heads", field::HEADS, 0, 4096),
    ("num_key_value_heads", field::KV_HEADS, 0, 4096),
    // 512 · 127 · 32767 still fits the i32 in which a score is summed.
    ("head_dim", field::HEAD_DIM, 0, 512),
    ("d_inner", field::D_INNER, 0, 1 << 20),
    ("d_state", field::D_STATE, 0, 256),
    ("d_conv", field::D_CONV, 0, 64),
    ("dt_rank", field::DT_RANK, 0, 1 << 18),
    ("num_experts", field::EXPERTS, 0, 1024),
    ("num_experts_per_tok", field::TOP_K, 0, 64),
    ("mamba_n_heads", field::SSM_HEADS, 0, 4096),
    ("mamba_d_head", field::SSM_HEAD_DIM, 0, 1 << 16),
    ("mamba_n_groups", field::SSM_GROUPS, 0, 4096),
    ("shared_intermediate_size", field::SHARED, 0, 1 << 20),
    // 1024 · 127 · 127 is still exact in f32.
    ("group_size", field::GROUP, 8, 1024),
];

impl Header {
    /// Of an image without layers and sizes, which writers fill in.
    #[doc(hidden)]
    pub const EMPTY: Self = Self {
        features: 0,
        length: 0,
        sections: 0,
        layers: 0,
        vocab: 0,
        hidden: 0,
        intermediate: 0,
        heads: 0,
        kv_heads: 0,
        head_dim: 0,
        d_inner: 0,
        d_state: 0,
        d_conv: 0,
        dt_rank: 0,
        experts: 0,
        top_k: 0,
        group: 0,
        eps: 1e-6,
        mixer_eps: 1e-6,
        ssm_heads: 0,
        ssm_head_dim: 0,
        ssm_groups: 0,
        step_limit: [0.0; 2],
        shared_intermediate: 0,
        bos: None,
    };

    /// Reads and checks the header. The layer table is checked to be there, its entries by [`Header::layer`].
    ///
    /// # Errors
    /// Names the field, what was found and what would be right.
    pub const fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        if bytes.len() < field::HEADER_BYTES {
            return Err(ImageError::Truncated { needed: field::HEADER_BYTES as u64, found: bytes.len() as u64 });
        }
        let mut i = 0;
        while i < MAGIC.len() {
            if u8_at(bytes, i) != MAGIC[i] {
                return Err(ImageError::NotAnImage);
            }
            i += 1;
        }
        let version = u32_at(bytes, field::VERSION);
        if version != VERSION {
            return Err(ImageError::Version { found: version });
        }
        let flags = u32_at(bytes, field::FEATURES);
        if flags & !features::KNOWN != 0 {
            return Err(ImageError::Features { unknown: flags & !features::KNOWN });
        }
        let mut i = 0;
        while i < BOUNDS.len() {
            let (name, at, min, max) = BOUNDS[i];
            let found = u32_at(bytes, at);
            if found < min || found > max {
                return Err(ImageError::Field { name, found: found as u64, min: min as u64, max: max as u64 });
            }
            i += 1;
        }
        let mut i = field::RESERVED;
        while i < field::SSM_HEADS {
            let found = u8_at(bytes, i) as u64;
            if found != 0 {
                return Err(ImageError::Field { name: "reserved", found, min: 0, max: 0 });
            }
            i += 1;
        }
        let bos = u32_at(bytes, field::BOS);
        let header = Self {
            features: flags,
            length: u64_at(bytes, field::LENGTH),
            sections: u32_at(bytes, field::SECTIONS),
            layers: u32_at(bytes, field::LAYERS),
            vocab: u32_at(bytes, field::VOCAB),
            hidden: u32_at(bytes, field::HIDDEN),
            intermediate: u32_at(bytes, field::INTERMEDIATE),
            heads: u32_at(bytes, field::HEADS),
            kv_heads: u32_at(bytes, field::KV_HEADS),
            head_dim: u32_at(bytes, field::HEAD_DIM),
            d_inner: u32_at(bytes, field::D_INNER),
            d_state: u32_at(bytes, field::D_STATE),
            d_conv: u32_at(bytes, field::D_CONV),
            dt_rank: u32_at(bytes, field::DT_RANK),
            experts: u32_at(bytes, field::EXPERTS),
            top_k: u32_at(bytes, field::TOP_K),
            group: u32_at(bytes, field::GROUP),
            eps: f32::from_bits(u32_at(bytes, field::EPS)),
            mixer_eps: f32::from_bits(match u32_at(bytes, field::MIXER_EPS) {
                0 => u32_at(bytes, field::EPS),
                own => own,
            }),
            ssm_heads: u32_at(bytes, field::SSM_HEADS),
            ssm_head_dim: u32_at(bytes, field::SSM_HEAD_DIM),
            ssm_groups: u32_at(bytes, field::SSM_GROUPS),
            step_limit: [
                f32::from_bits(u32_at(bytes, field::STEP_MIN)),
                f32::from_bits(u32_at(bytes, field::STEP_MAX)),
            ],
            shared_intermediate: u32_at(bytes, field::SHARED),
            bos: if bos == NONE_U32 { None } else { Some(bos) },
        };
        match header.check(bytes) {
            Ok(()) => Ok(header),
            Err(error) => Err(error),
        }
    }

    /// The checks that relate fields to each other, and those of the layers' kinds.
    const fn check(&self, bytes: &[u8]) -> Result<(), ImageError> {
        if !(self.eps >= 0.0 && self.eps <= 1.0) {
            return Err(ImageError::Fraction { name: "rms_norm_eps", bits: self.eps.to_bits() });
        }
        if !(self.mixer_eps >= 0.0 && self.mixer_eps <= 1.0) {
            return Err(ImageError::Fraction { name: "mixer_rms_eps", bits: self.mixer_eps.to_bits() });
        }
        if !self.group.is_multiple_of(8) {
            return Err(ImageError::Multiple { name: "group_size", found: self.group, of: 8 });
        }
        if self.has(features::FOUR_BITS) && self.group as usize != NIBBLE_GROUP {
            let right = NIBBLE_GROUP as u64;
            return Err(ImageError::Field { name: "group_size", found: self.group as u64, min: right, max: right });
        }
        if let Some(bos) = self.bos
            && bos >= self.vocab
        {
            return Err(ImageError::Field { name: "bos", found: bos as u64, min: 0, max: self.vocab as u64 - 1 });
        }
        let tables = self.tables_end() as u64;
        if (bytes.len() as u64) < tables {
            return Err(ImageError::Truncated { needed: tables, found: bytes.len() as u64 });
        }
        if self.length < tables + 4 {
            return Err(ImageError::Field { name: "length", found: self.length, min: tables + 4, max: u64::MAX });
        }
        let (mut mamba2, mut moe) = (false, false);
        let mut i = 0;
        while i < self.layers {
            let kind = match self.layer(bytes, i) {
                Ok(kind) => kind,
                Err(error) => return Err(error),
            };
            mamba2 |= matches!(kind.mixer, Mixer::Mamba2);
            moe |= matches!(kind.ffn, FeedForward::Moe);
            if let Err(error) = self.check_layer(kind) {
                return Err(error);
            }
            i += 1;
        }
        // What older readers take for zeros is zero where it says nothing.
        let unused = [
            (mamba2, "mamba_n_heads", self.ssm_heads),
            (mamba2, "mamba_d_head", self.ssm_head_dim),
            (mamba2, "mamba_n_groups", self.ssm_groups),
            (mamba2, "time_step_min, as bits,", self.step_limit[0].to_bits()),
            (mamba2, "time_step_max, as bits,", self.step_limit[1].to_bits()),
            (moe, "shared_intermediate_size", self.shared_intermediate),
        ];
        let mut i = 0;
        while i < unused.len() {
            let (used, name, found) = unused[i];
            if !used && found != 0 {
                return Err(ImageError::Field { name, found: found as u64, min: 0, max: 0 });
            }
            i += 1;
        }
        Ok(())
    }

    /// The sizes that a layer of this kind needs must not be zero and must agree.
    const fn check_layer(&self, kind: LayerKind) -> Result<(), ImageError> {
        let mixer = match kind.mixer {
            Mixer::Mamba => all_positive(&[
                ("d_inner", self.d_inner),
                ("d_state", self.d_state),
                ("d_conv", self.d_conv),
                ("dt_rank", self.dt_rank),
            ]),
            Mixer::S4d => {
                all_positive(&[("d_inner", self.d_inner), ("d_state", self.d_state), ("d_conv", self.d_conv)])
            }
            Mixer::Mamba2 => self.check_mamba2(),
            Mixer::Attention => all_positive(&[
                ("num_attention_heads", self.heads),
                ("num_key_value_heads", self.kv_heads),
                ("head_dim", self.head_dim),
            ]),
        };
        if let Err(error) = mixer {
            return Err(error);
        }
        if matches!(kind.mixer, Mixer::Mamba | Mixer::S4d) && !self.d_inner.is_multiple_of(8) {
            return Err(ImageError::Multiple { name: "d_inner", found: self.d_inner, of: 8 });
        }
        if matches!(kind.mixer, Mixer::Attention) && !self.heads.is_multiple_of(self.kv_heads) {
            return Err(ImageError::Divisor { name: "num_key_value_heads", found: self.kv_heads, of: self.heads });
        }
        match kind.ffn {
            FeedForward::None => Ok(()),
            FeedForward::Mlp => all_positive(&[("intermediate_size", self.intermediate)]),
            FeedForward::Moe => {
                if self.top_k > self.experts {
                    return Err(ImageError::Field {
                        name: "num_experts_per_tok",
                        found: self.top_k as u64,
                        min: 1,
                        max: self.experts as u64,
                    });
                }
                all_positive(&[
                    ("intermediate_size", self.intermediate),
                    ("num_experts", self.experts),
                    ("num_experts_per_tok", self.top_k),
                ])
            }
        }
    }

    /// What Mamba-2 needs, and that heads, groups and channels agree.
    const fn check_mamba2(&self) -> Result<(), ImageError> {
        if let Err(error) = all_positive(&[
            ("d_state", self.d_state),
            ("d_conv", self.d_conv),
            ("mamba_n_heads", self.ssm_heads),
            ("mamba_d_head", self.ssm_head_dim),
            ("mamba_n_groups", self.ssm_groups),
        ]) {
            return Err(error);
        }
        if !self.ssm_heads.is_multiple_of(self.ssm_groups) {
            return Err(ImageError::Divisor { name: "mamba_n_groups", found: self.ssm_groups, of: self.ssm_heads });
        }
        let padded = self.ssm_groups as u64 * self.ssm_group_channels() as u64;
        if self.d_inner as u64 != padded {
            return Err(ImageError::Field { name: "d_inner", found: self.d_inner as u64, min: padded, max: padded });
        }
        // Floats that aren't negative rise with their bits, and infinity is behind them all.
        let (min, max) = (self.step_limit[0].to_bits() as u64, self.step_limit[1].to_bits() as u64);
        let infinity = f32::INFINITY.to_bits() as u64;
        if min >= infinity {
            return Err(ImageError::Field { name: "time_step_min, as bits,", found: min, min: 0, max: infinity - 1 });
        }
        if max < min || max > infinity {
            return Err(ImageError::Field { name: "time_step_max, as bits,", found: max, min, max: infinity });
        }
        Ok(())
    }

    /// Channels of a group of Mamba-2's heads, padded to a multiple of 8.
    pub const fn ssm_group_channels(&self) -> u32 {
        match self.ssm_heads.checked_div(self.ssm_groups) {
            Some(heads) => (heads * self.ssm_head_dim).next_multiple_of(8),
            None => 0,
        }
    }

    /// Channels of the convolution of Mamba-2's B and C, of all groups, padded to a multiple of 8.
    pub const fn ssm_bc_channels(&self) -> u32 {
        (2 * self.ssm_groups * self.d_state).next_multiple_of(8)
    }

    /// The kind of layer `index`, which must be below [`Header::layers`], from the image that this header was read from.
    ///
    /// # Errors
    /// When the layer table has an unknown kind, or ends before the layer.
    pub const fn layer(&self, bytes: &[u8], index: u32) -> Result<LayerKind, ImageError> {
        let at = field::HEADER_BYTES + index as usize * field::LAYER_BYTES;
        if bytes.len() < at.saturating_add(field::LAYER_BYTES) {
            return Err(ImageError::Truncated { needed: (at + field::LAYER_BYTES) as u64, found: bytes.len() as u64 });
        }
        let mixer = match u8_at(bytes, at + field::LAYER_MIXER) {
            1 => Mixer::Mamba,
            2 => Mixer::Attention,
            3 => Mixer::S4d,
            4 => Mixer::Mamba2,
            other => return Err(ImageError::Layer { layer: index, name: "mixer", found: other as u32 }),
        };
        let ffn = match u8_at(bytes, at + field::LAYER_FFN) {
            0 => FeedForward::None,
            1 => FeedForward::Mlp,
            2 => FeedForward::Moe,
            other => return Err(ImageError::Layer { layer: index, name: "feed-forward", found: other as u32 }),
        };
        let zero = u16_at(bytes, at + field::LAYER_ZERO);
        if zero != 0 {
            return Err(ImageError::Layer { layer: index, name: "reserved", found: zero as u32 });
        }
        Ok(LayerKind { mixer, ffn })
    }

    /// Index of the first section of layer `index`.
    pub(crate) const fn first_section(bytes: &[u8], index: u32) -> u32 {
        u32_at(bytes, field::HEADER_BYTES + index as usize * field::LAYER_BYTES + field::LAYER_FIRST)
    }

    /// Offset of the section table.
    pub const fn section_table(&self) -> usize {
        field::HEADER_BYTES + self.layers as usize * field::LAYER_BYTES
    }

    /// Offset of the first byte after the section table.
    pub const fn tables_end(&self) -> usize {
        self.section_table() + self.sections as usize * field::SECTION_BYTES
    }

    /// Whether all bits of `feature` are set.
    pub const fn has(&self, feature: u32) -> bool {
        self.features & feature == feature
    }
}
