//! How much memory a model needs, as a `const fn` of its image.

use crate::image::{FeedForward, Header, ImageError, Mixer};
pub use crate::kernels::StateWidth;
use crate::matrix::{groups, padded_cols};

/// Which tokens the attention cache keeps, beside the sinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Eviction {
    /// The most recent ones.
    #[default]
    Window,
    /// The `recent` most recent ones; in the rest of the window those that were attended to most (H2O, Zhang et al. 2023),
    /// for every layer and key-value head on its own. See `state/cache.rs`.
    #[cfg(feature = "heavy-hitters")]
    HeavyHitters {
        /// At least 1; at most the window, and then it is [`Eviction::Window`].
        recent: u32,
    },
}

impl Eviction {
    /// The most recent tokens of a window that are kept whatever they are.
    pub(crate) const fn recent(self, window: u32) -> u32 {
        match self {
            Self::Window => window,
            #[cfg(feature = "heavy-hitters")]
            Self::HeavyHitters { recent } => recent,
        }
    }
}

/// What a caller chooses: how far attention looks back, and how much is computed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Tokens that attention sees beside the sinks, at least 1.
    pub window: u32,
    /// The first tokens that it always sees (attention sinks, Xiao et al. 2023).
    pub sinks: u32,
    /// Tokens that prefill computes together: weights are read once a chunk. It costs memory, never results.
    pub chunk: u32,
    /// Width of the stored state.
    pub state: StateWidth,
    /// Which tokens are in the window.
    pub eviction: Eviction,
    /// Query heads that attention has room for at the same time, on so many of [the executor's](crate::kernels::Executor) cores;
    /// AVX-512 takes two on each, since they share their values. It costs memory, 4 bytes a token that attention sees for
    /// each, never results. All else is spread over the cores anyway.
    pub heads_at_once: u32,
    /// Summaries that [`Beams`](crate::Beams) writes side by side: there is room for the states of so many, and for a token of
    /// each at the same time, whatever the chunk. 1 is greedy search.
    pub beams: u32,
}

impl Options {
    /// A window, 4 sinks, chunks of 8, a state in f32, attention head by head, and one beam.
    pub const fn window(window: u32) -> Self {
        let (state, eviction) = (StateWidth::F32, Eviction::Window);
        Self { window, sinks: 4, chunk: 8, state, eviction, heads_at_once: 1, beams: 1 }
    }

    /// Another chunk size.
    pub const fn chunk(self, chunk: u32) -> Self {
        Self { chunk, ..self }
    }

    /// Another number of sinks.
    pub const fn sinks(self, sinks: u32) -> Self {
        Self { sinks, ..self }
    }

    /// Another state width.
    pub const fn state(self, state: StateWidth) -> Self {
        Self { state, ..self }
    }

    /// Room for another number of attention heads.
    pub const fn heads_at_once(self, heads_at_once: u32) -> Self {
        Self { heads_at_once, ..self }
    }

    /// Room for another number of beams.
    pub const fn beams(self, beams: u32) -> Self {
        Self { beams, ..self }
    }

    /// Another choice of tokens.
    pub const fn eviction(self, eviction: Eviction) -> Self {
        Self { eviction, ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::window(256)
    }
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PlanError {
    /// The image's header can't be read.
    Image(ImageError),
    /// An option is out of range.
    Option {
        /// Its name.
        name: &'static str,
        /// What was asked for.
        found: u32,
        /// The smallest right value.
        min: u32,
        /// The largest right value.
        max: u32,
    },
    /// The workspace would be larger than this machine's address space.
    TooLarge,
}

impl core::fmt::Display for PlanError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::Image(error) => error.fmt(f),
            Self::Option { name, found, min, max } => {
                write!(f, "{name} is {found}; {min} to {max} would be right")
            }
            Self::TooLarge => write!(f, "the workspace would be larger than this machine can address"),
        }
    }
}

impl core::error::Error for PlanError {}

/// Sizes of the buffers of a [`crate::Session`], in elements. All begin on multiples of 16 bytes, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The options it was made for.
    pub options: Options,
    pub(crate) mamba_layers: u64,
    pub(crate) attention_layers: u64,
    /// f32, a Mamba layer: the last `d_conv − 1` inputs of the convolution; in Mamba-2 of x, then of B and C.
    pub(crate) conv: u64,
    /// Bytes, a Mamba layer.
    pub(crate) ssm: u64,
    /// Tokens in the attention cache.
    pub(crate) slots: u64,
    /// i8, an attention layer: keys or values.
    pub(crate) cache: u64,
    /// f32, an attention layer: scales of keys or of values.
    pub(crate) cache_scales: u64,
    /// u16, an attention layer: how much tokens were attended to.
    pub(crate) cache_counts: u64,
    /// f32, `(rows, hidden)`, here and below a row for each token of a chunk, or for each beam if these are more: the residual
    /// stream.
    pub(crate) residual: u64,
    /// Numbers of a row of the residual stream.
    pub(crate) hidden: u64,
    /// i8 and its f32 scales: a block's input, quantized.
    pub(crate) quant_in: QuantSizes,
    /// i8 and its f32 scales: what lies between a block's matrices, quantized.
    pub(crate) quant_mid: QuantSizes,
    /// i8 and its f32 scales: the inputs of the tokens that share an expert.
    pub(crate) quant_routed: QuantSizes,
    /// f32, `(rows, widest)`; the first one also for `(beams, logits)`.
    pub(crate) wide: [u64; 3],
    /// f32: dt, B and C of a Mamba layer of either kind, or keys and values of an attention layer.
    pub(crate) narrow: u64,
    /// f32: scores of the heads that are computed at the same time; also the router's probabilities.
    pub(crate) scores: u64,
    /// i16: these query heads.
    pub(crate) query: u64,
    /// Logits of a token that are computed at a time.
    pub(crate) logits: u64,
    /// u16: `(rows, top_k)` chosen experts, then `(rows)` tokens that one expert serves.
    pub(crate) routed: u64,
    /// f32: `(rows, top_k)` probabilities of the chosen experts.
    pub(crate) routes: u64,
}

/// A plan's bytes by what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// State of the Mamba layers.
    pub ssm: usize,
    /// Inputs that the convolutions remember.
    pub conv: usize,
    /// Attention caches.
    pub cache: usize,
    /// States, convolution inputs and caches of every beam after the first.
    pub beams: usize,
    /// What one chunk is computed in.
    pub scratch: usize,
}

/// The most beams that a plan has room for.
pub const MAX_BEAMS: u32 = 8;
/// Logits that are computed at a time: nobody needs all of them in memory.
pub(crate) const LOGITS_BLOCK: u64 = 512;
/// Alignment of every buffer.
pub(crate) const ALIGN: u64 = 16;

const fn max(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

/// How many layers of each kind there are.
struct Layers {
    /// S4D among them.
    mamba: u64,
    mamba2: u64,
    attention: u64,
    mlp: u64,
    moe: u64,
}

/// Elements of a buffer of quantized rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QuantSizes {
    pub values: u64,
    pub scales: u64,
}

/// The sizes for `rows` rows of up to `cols` columns.
const fn quantized(rows: u64, cols: u64, group: u64) -> QuantSizes {
    let cols = cols as usize;
    QuantSizes { values: rows * padded_cols(cols) as u64, scales: rows * groups(cols, group as usize) as u64 }
}

impl Plan {
    /// The plan of an image. Only its header and layer table are read, so this works on an image in flash at compile time:
    ///
    /// ```ignore
    /// static IMAGE: &[u8] = jamlet::include_image!("model.jamlet");
    /// const PLAN: Plan = Plan::of(IMAGE, Options::window(256));
    /// static WORKSPACE: ConstStaticCell<Workspace<{ PLAN.bytes() }>> = ConstStaticCell::new(Workspace::new());
    ///
    /// let workspace = WORKSPACE.take().as_mut_bytes();
    /// ```
    ///
    /// # Errors
    /// When the header is wrong, an option is out of range, or the sum doesn't fit a `usize`.
    pub const fn new(image: &[u8], options: Options) -> Result<Self, PlanError> {
        let header = match Header::read(image) {
            Ok(header) => header,
            Err(error) => return Err(PlanError::Image(error)),
        };
        let recent = options.eviction.recent(options.window);
        let limits = [
            ("window", 1, 1 << 24),
            ("sinks", 0, 1 << 16),
            ("chunk", 1, 1 << 12),
            ("recent", 1, options.window),
            ("heads_at_once", 1, 1 << 12),
            ("beams", 1, MAX_BEAMS),
        ];
        let found = [options.window, options.sinks, options.chunk, recent, options.heads_at_once, options.beams];
        let mut i = 0;
        while i < limits.len() {
            let (name, min, max) = limits[i];
            if found[i] < min || found[i] > max {
                return Err(PlanError::Option { name, found: found[i], min, max });
            }
            i += 1;
        }
        let mut layers = Layers { mamba: 0, mamba2: 0, attention: 0, mlp: 0, moe: 0 };
        let mut layer = 0;
        while layer < header.layers {
            match header.layer(image, layer) {
                Ok(kind) => {
                    match kind.mixer {
                        // Both have the same state.
                        Mixer::Mamba | Mixer::S4d => layers.mamba += 1,
                        Mixer::Mamba2 => layers.mamba2 += 1,
                        Mixer::Attention => layers.attention += 1,
                    }
                    match kind.ffn {
                        FeedForward::None => {}
                        FeedForward::Mlp => layers.mlp += 1,
                        FeedForward::Moe => layers.moe += 1,
                    }
                }
                Err(error) => return Err(PlanError::Image(error)),
            }
            layer += 1;
        }
        let plan = Self::from_counts(&header, options, layers);
        match plan.total() <= (isize::MAX as u64) {
            true => Ok(plan),
            false => Err(PlanError::TooLarge),
        }
    }

    /// As [`Plan::new`] for constants: what is wrong stops the compiler.
    ///
    /// # Panics
    /// When there is no plan. Meant for `const` items only.
    pub const fn of(image: &[u8], options: Options) -> Self {
        match Self::new(image, options) {
            Ok(plan) => match Header::read(image) {
                Ok(header) if header.length == image.len() as u64 => plan,
                _ => panic!("the image is cut off, or has more bytes than its header says"),
            },
            Err(PlanError::Image(_)) => panic!("not an image that this version of jamlet can run"),
            Err(PlanError::Option { .. }) => {
                panic!("window, sinks, chunk, recent, heads_at_once or beams is out of range")
            }
            Err(PlanError::TooLarge) => panic!("the workspace doesn't fit the address space"),
        }
    }

    const fn from_counts(h: &Header, options: Options, layers: Layers) -> Self {
        let Layers { mamba, mamba2, attention, mlp, moe } = layers;
        // What is computed together: a chunk, or a token of every beam.
        let beams = options.beams as u64;
        let rows = max(options.chunk as u64, beams);
        let hidden = h.hidden as u64;
        // A kind that no layer has needs no room.
        let e = if mamba + mamba2 > 0 { h.d_inner as u64 } else { 0 };
        let r = if mamba > 0 { h.dt_rank as u64 } else { 0 };
        let n = if mamba + mamba2 > 0 { h.d_state as u64 } else { 0 };
        let taps = if mamba + mamba2 > 0 { h.d_conv as u64 - 1 } else { 0 };
        // Mamba-2's B and C of all groups, and its heads.
        let bc = if mamba2 > 0 { h.ssm_bc_channels() as u64 } else { 0 };
        let steps = if mamba2 > 0 { h.ssm_heads as u64 } else { 0 };
        let shared = if moe > 0 { h.shared_intermediate as u64 } else { 0 };
        let ffn = if mlp + moe > 0 { max(h.intermediate as u64, shared) } else { 0 };
        let kv = if attention > 0 { h.kv_heads as u64 } else { 0 };
        let dim = if attention > 0 { h.head_dim as u64 } else { 0 };
        let q = if attention > 0 { h.heads as u64 * dim } else { 0 };
        let (experts, top_k) = if moe > 0 { (h.experts as u64, h.top_k as u64) } else { (0, 0) };
        let slots = if attention > 0 { options.window as u64 + options.sinks as u64 } else { 0 };
        let group = h.group as u64;
        let widest = max(max(e, ffn), q);
        // No more than there are heads.
        let lanes = if options.heads_at_once < h.heads { options.heads_at_once as u64 } else { max(h.heads as u64, 1) };
        let logits = if (h.vocab as u64) < LOGITS_BLOCK { h.vocab as u64 } else { LOGITS_BLOCK };
        Self {
            options,
            mamba_layers: mamba + mamba2,
            attention_layers: attention,
            conv: taps * (e + bc),
            ssm: if n > 0 { e * options.state.channel_bytes(n) } else { 0 },
            slots,
            cache: slots * kv * dim,
            cache_scales: slots * kv,
            cache_counts: match options.eviction {
                Eviction::Window => 0,
                #[cfg(feature = "heavy-hitters")]
                Eviction::HeavyHitters { .. } => slots * kv,
            },
            residual: rows * hidden,
            hidden,
            quant_in: quantized(rows, max(hidden, r), group),
            quant_mid: quantized(rows, max(widest, hidden), group),
            quant_routed: if moe > 0 { quantized(rows, hidden, group) } else { QuantSizes { values: 0, scales: 0 } },
            // The head needs none of them for anything else.
            wide: [max(rows * widest, beams * logits), rows * widest, rows * max(e, hidden)],
            narrow: rows * max(max(r + 2 * n, bc + steps), 2 * kv * dim),
            scores: max(lanes * slots, experts),
            query: lanes * dim,
            logits,
            routed: rows * (top_k + 1),
            routes: rows * top_k,
        }
    }

    const fn total(&self) -> u64 {
        const fn up(bytes: u64) -> u64 {
            bytes.next_multiple_of(ALIGN)
        }
        self.state_bytes() * self.options.beams as u64 + {
            up(4 * self.residual)
                + up(self.quant_in.values)
                + up(4 * self.quant_in.scales)
                + up(self.quant_mid.values)
                + up(4 * self.quant_mid.scales)
                + up(self.quant_routed.values)
                + up(4 * self.quant_routed.scales)
                + up(4 * self.wide[0])
                + up(4 * self.wide[1])
                + up(4 * self.wide[2])
                + up(4 * self.narrow)
                + up(4 * self.scores)
                + up(2 * self.query)
                + up(2 * self.routed)
                + up(4 * self.routes)
        }
    }

    const fn ssm_bytes(&self) -> u64 {
        (self.mamba_layers * self.ssm).next_multiple_of(ALIGN)
    }

    const fn conv_bytes(&self) -> u64 {
        (self.mamba_layers * self.conv * 4).next_multiple_of(ALIGN)
    }

    const fn cache_bytes(&self) -> u64 {
        2 * (self.attention_layers * self.cache).next_multiple_of(ALIGN)
            + 2 * (self.attention_layers * self.cache_scales * 4).next_multiple_of(ALIGN)
            + (self.attention_layers * self.cache_counts * 2).next_multiple_of(ALIGN)
    }

    /// One beam's.
    pub(super) const fn state_bytes(&self) -> u64 {
        self.ssm_bytes() + self.conv_bytes() + self.cache_bytes()
    }

    /// Bytes of the whole workspace.
    pub const fn bytes(&self) -> usize {
        self.total() as usize
    }

    /// The same bytes, by part.
    pub const fn parts(&self) -> Parts {
        let states = self.state_bytes() * self.options.beams as u64;
        Parts {
            ssm: self.ssm_bytes() as usize,
            conv: self.conv_bytes() as usize,
            cache: self.cache_bytes() as usize,
            beams: (states - self.state_bytes()) as usize,
            scratch: (self.total() - states) as usize,
        }
    }
}
