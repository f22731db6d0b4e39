//! The table of sections: for each role its number, which parts of a model have it, its encoding and shape, and when it is
//! there. Sections lie in the order of the table; everything else about the layout follows from it.

use super::{Encoding, Header, SAMPLING_BYTES, SIGNATURE_BYTES, features};

/// What sections belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Part {
    Model = 1,
    Mamba = 2,
    S4d = 4,
    Attention = 8,
    Mlp = 16,
    Moe = 32,
    Expert = 64,
    Mamba2 = 128,
}

/// Makes [`Role`] and what is known of each from rows `name = number, parts, encoding(rows, columns) if condition`, with `h`
/// for the header. A section without a shape has any length.
macro_rules! roles {
    (@shape) => { None };
    (@shape $rows:expr, $cols:expr) => { Some(($rows, $cols)) };
    (@when) => { true };
    (@when $when:expr) => { $when };
    ($h:ident: $(
        $(#[$doc:meta])*
        $role:ident = $number:literal, $($part:ident)|+, $encoding:ident$(($rows:expr, $cols:expr))? $(if $when:expr)?;
    )*) => {
        /// What a section holds. `A × B` are its rows and columns; the weight matrices are `output × input`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Role {
            $($(#[$doc])* $role = $number,)*
        }

        /// All roles, in the order of the file.
        const ROLES: &[Role] = &[$(Role::$role),*];

        impl Role {
            const fn is_in(self, part: Part) -> bool {
                let parts = match self {
                    $(Self::$role => $(Part::$part as u8)|+,)*
                };
                parts & part as u8 != 0
            }

            /// Whether models with this header have it.
            pub(crate) const fn is_present(self, $h: &Header) -> bool {
                match self {
                    $(Self::$role => roles!(@when $($when)?),)*
                }
            }

            /// Encoding, rows and columns; `None` for the shape of a section that decides itself.
            pub(super) const fn shape(self, $h: &Header) -> (Encoding, Option<(u32, u32)>) {
                // In bounds: `Header::read` caps each factor.
                match self {
                    $(Self::$role => (Encoding::$encoding, roles!(@shape $($rows, $cols)?)),)*
                }
            }
        }
    };
}

roles! { h:
    /// Token embedding, vocabulary × hidden; also the head where the model ties the two.
    Embedding = 1, Model, Q8(h.vocab, h.hidden);
    /// Weight of the RMS norm before the head, 1 × hidden.
    FinalNorm = 2, Model, F32(1, h.hidden);
    /// Language-model head, vocabulary × hidden; absent when tied.
    Head = 3, Model, Q8(h.vocab, h.hidden) if !h.has(features::TIED);
    /// The packed tokenizer, see [`crate::tokenizer`].
    Tokenizer = 4, Model, Bytes if h.has(features::TOKENIZER);
    /// Token ids before and after a text to summarize, and the stop tokens, see [`crate::model::Prompt`].
    Prompt = 5, Model, Bytes;
    /// What the ids of the prompt don't say, see [`crate::model::Template`].
    Template = 9, Model, Bytes if h.has(features::TEMPLATE);
    /// How answers are drawn, 1 × 20, see [`crate::model::Sampling`].
    Sampling = 10, Model, Bytes(1, SAMPLING_BYTES as u32) if h.has(features::SAMPLING);
    /// Where the model came from: UTF-8 JSON for people and tools; the engine doesn't read it.
    Provenance = 6, Model, Bytes;
    /// The state after a fixed prefix, see [`crate::model::Baked`].
    Baked = 8, Model, Bytes if h.has(features::BAKED);
    /// What summaries are chosen by, see [`crate::model::parameters`].
    Summary = 11, Model, Bytes if h.has(features::SUMMARY);
    /// Ed25519 signature, 1 × 64, see [`crate::image::Image::signature`].
    Signature = 7, Model, Bytes(1, SIGNATURE_BYTES as u32) if h.has(features::SIGNED);
    /// RMS norm before the mixer, 1 × hidden.
    MixerNorm = 16, Mamba | S4d | Mamba2 | Attention, F32(1, h.hidden);
    /// Mamba in_proj, the half that is convolved and scanned (x), d_inner × hidden.
    MambaInX = 17, Mamba | S4d | Mamba2, Q8(h.d_inner, h.hidden);
    /// Mamba in_proj, the half that gates (z), d_inner × hidden.
    MambaInZ = 18, Mamba | S4d | Mamba2, Q8(h.d_inner, h.hidden);
    /// Bias of in_proj, x then z, 2 × d_inner.
    MambaInBias = 19, Mamba | S4d | Mamba2, F32(2, h.d_inner) if h.has(features::PROJ_BIAS);
    /// Depthwise convolution, tap-major: d_conv × d_inner.
    MambaConv = 20, Mamba | S4d | Mamba2, F32(h.d_conv, h.d_inner);
    /// Bias of the convolution, 1 × d_inner; zeros where the model has none.
    MambaConvBias = 21, Mamba | S4d | Mamba2, F32(1, h.d_inner);
    /// Mamba-2 in_proj, the part that becomes B of every group, then C of every group: (2 groups · d_state, padded to a multiple of
    /// 8) × hidden. What else a Mamba-2 layer has in common with Mamba's has Mamba's roles, the channels of each group padded to a
    /// multiple of 8.
    Mamba2InBc = 48, Mamba2, Q8(h.ssm_bc_channels(), h.hidden);
    /// Mamba-2 in_proj, the part that becomes dt, heads × hidden.
    Mamba2InDt = 49, Mamba2, Q8(h.ssm_heads, h.hidden);
    /// Bias of in_proj for B and C, 1 × as many as they are; that for dt is in the bias of dt.
    Mamba2BcBias = 50, Mamba2, F32(1, h.ssm_bc_channels()) if h.has(features::PROJ_BIAS);
    /// Depthwise convolution of B and C, tap-major: d_conv × as many as they are.
    Mamba2BcConv = 51, Mamba2, F32(h.d_conv, h.ssm_bc_channels());
    /// Bias of that convolution; zeros where the model has none.
    Mamba2BcConvBias = 52, Mamba2, F32(1, h.ssm_bc_channels());
    /// Bias of dt inside the softplus, 1 × heads.
    Mamba2DtBias = 53, Mamba2, F32(1, h.ssm_heads);
    /// −exp(A_log)·log2(e) of every channel's head, 1 × d_inner.
    Mamba2A = 54, Mamba2, F32(1, h.d_inner);
    /// Mamba x_proj to dt, B and C, (dt_rank + 2 d_state) × d_inner.
    MambaXProj = 22, Mamba, Q8(h.dt_rank + 2 * h.d_state, h.d_inner);
    /// RMS norm of dt, 1 × dt_rank; this and the next two are absent with [`features::PLAIN_MAMBA`].
    MambaDtNorm = 23, Mamba, F32(1, h.dt_rank) if !h.has(features::PLAIN_MAMBA);
    /// RMS norm of B, 1 × d_state.
    MambaBNorm = 24, Mamba, F32(1, h.d_state) if !h.has(features::PLAIN_MAMBA);
    /// RMS norm of C, 1 × d_state.
    MambaCNorm = 25, Mamba, F32(1, h.d_state) if !h.has(features::PLAIN_MAMBA);
    /// Mamba dt_proj, d_inner × dt_rank.
    MambaDtProj = 26, Mamba, Q8(h.d_inner, h.dt_rank);
    /// Bias of dt_proj, 1 × d_inner.
    MambaDtBias = 27, Mamba, F32(1, h.d_inner);
    /// −exp(A_log)·log2(e), in blocks of 8 channels: (d_inner / 8 · d_state) × 8.
    MambaA = 28, Mamba, F32(h.d_inner / 8 * h.d_state, 8);
    /// S4D: exp(dt·A), what a token leaves of the state, in blocks of 8 channels: (d_inner / 8 · d_state) × 8. What else an S4D
    /// layer has in common with Mamba's has Mamba's roles.
    S4dDecay = 32, S4d, F32(h.d_inner / 8 * h.d_state, 8);
    /// S4D: dt·B, laid out as the decay.
    S4dB = 33, S4d, F32(h.d_inner / 8 * h.d_state, 8);
    /// S4D: C, laid out as the decay.
    S4dC = 34, S4d, F32(h.d_inner / 8 * h.d_state, 8);
    /// The skip connection D, 1 × d_inner.
    MambaD = 29, Mamba | S4d | Mamba2, F32(1, h.d_inner);
    /// RMS norm of Mamba-2's gated output, 1 × d_inner, times √(channels / padded channels) of a group.
    Mamba2Norm = 55, Mamba2, F32(1, h.d_inner);
    /// Mamba out_proj, hidden × d_inner.
    MambaOut = 30, Mamba | S4d | Mamba2, Q8(h.hidden, h.d_inner);
    /// Bias of out_proj, 1 × hidden.
    MambaOutBias = 31, Mamba | S4d | Mamba2, F32(1, h.hidden) if h.has(features::PROJ_BIAS);
    /// Attention q_proj, (heads · head_dim) × hidden.
    AttentionQ = 40, Attention, Q8(h.heads * h.head_dim, h.hidden);
    /// Attention k_proj, (kv_heads · head_dim) × hidden.
    AttentionK = 41, Attention, Q8(h.kv_heads * h.head_dim, h.hidden);
    /// Attention v_proj, (kv_heads · head_dim) × hidden.
    AttentionV = 42, Attention, Q8(h.kv_heads * h.head_dim, h.hidden);
    /// Attention o_proj, hidden × (heads · head_dim).
    AttentionO = 43, Attention, Q8(h.hidden, h.heads * h.head_dim);
    /// RMS norm before the feed-forward part, 1 × hidden.
    FfnNorm = 60, Mlp | Moe, F32(1, h.hidden);
    /// MoE router, experts × hidden, kept in f32.
    Router = 61, Moe, F32(h.experts, h.hidden);
    /// gate_proj of the MLP beside a mixture's experts, its width × hidden; this and the next two are absent where it is 0.
    SharedGate = 65, Moe, Q8(h.shared_intermediate, h.hidden) if h.shared_intermediate > 0;
    /// up_proj of that MLP.
    SharedUp = 66, Moe, Q8(h.shared_intermediate, h.hidden) if h.shared_intermediate > 0;
    /// down_proj of that MLP, hidden × its width.
    SharedDown = 67, Moe, Q8(h.hidden, h.shared_intermediate) if h.shared_intermediate > 0;
    /// SwiGLU gate_proj, intermediate × hidden.
    Gate = 62, Mlp | Expert, Q8(h.intermediate, h.hidden);
    /// SwiGLU up_proj, intermediate × hidden.
    Up = 63, Mlp | Expert, Q8(h.intermediate, h.hidden);
    /// SwiGLU down_proj, hidden × intermediate.
    Down = 64, Mlp | Expert, Q8(h.hidden, h.intermediate);
}

/// The roles of a part that models with this header have, in the order of the file.
pub(crate) fn roles_of(part: Part, header: &Header) -> impl Iterator<Item = Role> + use<'_> {
    ROLES.iter().copied().filter(move |role| role.is_in(part) && role.is_present(header))
}

/// Sections of an expert, which every model with experts has.
pub(crate) const EXPERT_SECTIONS: u32 = {
    let (mut count, mut i) = (0, 0);
    while i < ROLES.len() {
        count += ROLES[i].is_in(Part::Expert) as u32;
        i += 1;
    }
    count
};
