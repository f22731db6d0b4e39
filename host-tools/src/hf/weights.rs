//! The weights of a Jamba or one of its relatives by what they are, however the checkpoint names and groups them.
//!
//! Writers differ: experts stand one by one or fused into two tensors, the head is left out when it is the embedding,
//! and remote-code checkpoints from before Jamba entered transformers use other names. [`Weights::open`] settles all of
//! that and checks that exactly the tensors are there that the config implies.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::config::{Family, FeedForward, JambaConfig, LayerKind, Mixer};
use super::{Checkpoint, ImportError, Tensor};

/// One of the three matrices of a SwiGLU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Projection {
    /// (I, H), through silu.
    Gate,
    /// (I, H).
    Up,
    /// (H, I).
    Down,
}

/// Names one weight. Shapes are (rows, columns); vectors are one row. H: hidden, E: Mamba channels, N: state,
/// R: dt rank, K: taps, I: intermediate, D: head_dim; of Mamba-2 G: groups, M: heads. The first number is the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightId {
    /// (vocab, H).
    Embedding,
    /// (vocab, H); the embedding where the two are tied.
    Head,
    /// (1, H), norm before the head.
    FinalNorm,
    /// (1, H), norm before the mixer.
    MixerNorm(usize),
    /// (1, H), norm before the feed-forward part.
    FfnNorm(usize),
    /// (2E, H): rows 0..E give the channels that are convolved (x), rows E..2E the gate (z). In Mamba-2 (2E + 2GN + M, H): z
    /// (E rows), then what is convolved, x (E), B and C (GN each), then dt (M).
    InProj(usize),
    /// (1, rows of in_proj), only with `mamba_proj_bias`.
    InProjBias(usize),
    /// (E, K), in Mamba-2 (E + 2GN, K); the last tap meets the newest token.
    Conv(usize),
    /// (1, rows of the convolution), only with `mamba_conv_bias`.
    ConvBias(usize),
    /// (R + 2N, E): dt, B, C.
    XProj(usize),
    /// (1, R), norm of dt.
    DtNorm(usize),
    /// (1, N), norm of B.
    BNorm(usize),
    /// (1, N), norm of C.
    CNorm(usize),
    /// (E, R).
    DtProj(usize),
    /// (1, E), inside the softplus.
    DtProjBias(usize),
    /// (E, N), in Mamba-2 (1, M); A = -exp(A_log).
    ALog(usize),
    /// (1, E), in Mamba-2 (1, M); skip connection.
    D(usize),
    /// (1, M), inside Mamba-2's softplus.
    DtBias(usize),
    /// (1, E), norm of Mamba-2's gated output.
    GatedNorm(usize),
    /// (H, E).
    OutProj(usize),
    /// (1, H), only with `mamba_proj_bias`.
    OutProjBias(usize),
    /// (1, E), logarithm of S4D's dt.
    LogDt(usize),
    /// (E, N), S4D's B.
    S4dB(usize),
    /// (E, N), S4D's C.
    S4dC(usize),
    /// (heads D, H).
    Query(usize),
    /// (kv_heads D, H).
    Key(usize),
    /// (kv_heads D, H).
    Value(usize),
    /// (H, heads D).
    Output(usize),
    /// A matrix of a plain MLP.
    Mlp(usize, Projection),
    /// (experts, H), logits of the mixture.
    Router(usize),
    /// A matrix of an expert: layer, expert.
    Expert(usize, usize, Projection),
    /// A matrix of the MLP beside the experts, which all tokens go through.
    Shared(usize, Projection),
}

/// A weight as rows × columns, somewhere in a checkpoint.
#[derive(Clone, Debug)]
pub struct Matrix {
    tensor: Tensor,
    /// Numbers of the tensor before the first row: experts may share a tensor.
    begin: usize,
    rows: usize,
    cols: usize,
    /// Takes the place of what the file has.
    held: Option<Arc<Vec<f32>>>,
}

impl Matrix {
    /// The tensor that holds it.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Rows: outputs of a projection.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns: inputs of a projection.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Replaces `out` by `rows` of this matrix in f32, row after row.
    ///
    /// # Errors
    /// If the file can't be read, or a number is NaN or infinite.
    ///
    /// # Panics
    /// If the matrix has no such rows.
    pub fn read_rows(&self, rows: Range<usize>, out: &mut Vec<f32>) -> Result<(), ImportError> {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "{}: no rows {rows:?}", self.tensor.name());
        if let Some(held) = &self.held {
            out.clear();
            out.extend_from_slice(&held[rows.start * self.cols..rows.end * self.cols]);
            return Ok(());
        }
        self.tensor.read_numbers(self.begin + rows.start * self.cols..self.begin + rows.end * self.cols, out)
    }

    /// The whole matrix in f32, row after row.
    ///
    /// # Errors
    /// As [`Matrix::read_rows`].
    pub fn read(&self) -> Result<Vec<f32>, ImportError> {
        let mut out = Vec::new();
        self.read_rows(0..self.rows, &mut out)?;
        Ok(out)
    }
}

/// A checked Jamba on disk: its config and all its weights.
#[derive(Debug)]
pub struct Weights {
    config: JambaConfig,
    order: Vec<WeightId>,
    matrices: HashMap<WeightId, Matrix>,
}

impl Weights {
    /// Opens the folder `dir`; reads the config and the files' headers.
    ///
    /// # Errors
    /// If the config is refused, the checkpoint is damaged, or a tensor is missing, unknown, misshapen or of a type
    /// other than f32, f16 and bf16.
    pub fn open(dir: &Path) -> Result<Self, ImportError> {
        let config = JambaConfig::open(dir)?;
        let checkpoint = Checkpoint::open(dir)?;
        Self::new(config, &checkpoint)
    }

    fn new(config: JambaConfig, checkpoint: &Checkpoint) -> Result<Self, ImportError> {
        let mut finder = Finder::new(&config, checkpoint)?;
        // One at a time: a config may imply far more tensors than the checkpoint has, and the first missing one ends the walk.
        let (mut order, mut matrices) = (Vec::new(), HashMap::new());
        for id in ids(&config) {
            matrices.insert(id, finder.find(id)?);
            order.push(id);
        }
        finder.finish()?;
        Ok(Self { config, order, matrices })
    }

    /// The model's sizes.
    pub fn config(&self) -> &JambaConfig {
        &self.config
    }

    /// All weights of this model, in the order of the computation; the head comes last, also where it is tied.
    pub fn ids(&self) -> &[WeightId] {
        &self.order
    }

    /// A weight.
    ///
    /// # Panics
    /// If this model has no such weight; [`Weights::ids`] lists those that it has.
    pub fn matrix(&self, id: WeightId) -> &Matrix {
        self.matrices.get(&id).unwrap_or_else(|| panic!("this model has no {id:?}"))
    }

    /// Puts numbers in the place of those that the file has, in all that reads this matrix from now on.
    ///
    /// # Panics
    /// If this model has no such weight, or it has another shape.
    pub fn hold(&mut self, id: WeightId, numbers: Vec<f32>) {
        let matrix = self.matrices.get_mut(&id).unwrap_or_else(|| panic!("this model has no {id:?}"));
        assert_eq!(numbers.len(), matrix.rows * matrix.cols, "{id:?} has another shape");
        matrix.held = Some(Arc::new(numbers));
    }

    /// A weight that some configs don't have.
    pub fn get(&self, id: WeightId) -> Option<&Matrix> {
        self.matrices.get(&id)
    }
}

/// Every weight that the config implies.
fn ids(c: &JambaConfig) -> impl Iterator<Item = WeightId> + '_ {
    use WeightId::{Embedding, FinalNorm, Head};

    let layers = c.layers().enumerate().flat_map(|(l, kind)| layer_ids(c, l, kind));
    std::iter::once(Embedding).chain(layers).chain([FinalNorm, Head])
}

/// The weights of layer `l`.
fn layer_ids(c: &JambaConfig, l: usize, kind: LayerKind) -> impl Iterator<Item = WeightId> + use<> {
    use Projection::{Down, Gate, Up};
    use WeightId::*;

    let mut ids = vec![MixerNorm(l)];
    match kind.mixer {
        Mixer::Mamba | Mixer::S4d | Mixer::Mamba2 => {
            ids.push(InProj(l));
            ids.extend(c.mamba_proj_bias.then_some(InProjBias(l)));
            ids.push(Conv(l));
            ids.extend(c.mamba_conv_bias.then_some(ConvBias(l)));
            match kind.mixer {
                Mixer::S4d => ids.extend([LogDt(l), S4dB(l), S4dC(l)]),
                Mixer::Mamba2 => ids.extend([DtBias(l), GatedNorm(l)]),
                _ => {
                    ids.push(XProj(l));
                    if !c.family.is_pure_mamba() {
                        ids.extend([DtNorm(l), BNorm(l), CNorm(l)]);
                    }
                    ids.extend([DtProj(l), DtProjBias(l)]);
                }
            }
            ids.extend([ALog(l), D(l), OutProj(l)]);
            ids.extend(c.mamba_proj_bias.then_some(OutProjBias(l)));
        }
        Mixer::Attention => ids.extend([Query(l), Key(l), Value(l), Output(l)]),
    }
    match kind.ffn {
        FeedForward::None => {}
        FeedForward::Mlp => ids.extend([FfnNorm(l), Mlp(l, Gate), Mlp(l, Up), Mlp(l, Down)]),
        FeedForward::Moe => {
            ids.extend([FfnNorm(l), Router(l)]);
            if c.shared_intermediate_size > 0 {
                ids.extend([Shared(l, Gate), Shared(l, Up), Shared(l, Down)]);
            }
            ids.extend((0..c.num_experts).flat_map(|e| [Expert(l, e, Gate), Expert(l, e, Up), Expert(l, e, Down)]));
        }
    }
    ids.into_iter()
}

/// Finds weights in a checkpoint and remembers which of its tensors were of use.
struct Finder<'a> {
    config: &'a JambaConfig,
    checkpoint: &'a Checkpoint,
    /// From today's name to the tensor.
    by_name: HashMap<String, &'a Tensor>,
    used: BTreeSet<&'a str>,
}

impl<'a> Finder<'a> {
    fn new(config: &'a JambaConfig, checkpoint: &'a Checkpoint) -> Result<Self, ImportError> {
        let mut by_name = HashMap::new();
        for tensor in checkpoint.tensors() {
            let name = todays_name(tensor.name(), config);
            if let Some(first) = by_name.insert(name.clone(), tensor) {
                let expected = format!("only one tensor for {name}, which {} is too", first.name());
                return Err(tensor.wrong("it", expected));
            }
        }
        Ok(Self { config, checkpoint, by_name, used: BTreeSet::new() })
    }

    fn find(&mut self, id: WeightId) -> Result<Matrix, ImportError> {
        let c = self.config;
        let (h, e, n, r) = (c.hidden_size, c.mamba_d_inner, c.mamba_d_state, c.mamba_dt_rank);
        let (q, kv) = (c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim);
        let (pure, granite) = (c.family.is_pure_mamba(), c.family == Family::Granite);
        let convolved = c.conv_channels();
        let (in_rows, skips, decays) = match c.mamba2 {
            Some(mamba2) => (e + convolved + mamba2.heads, mamba2.heads, vec![mamba2.heads]),
            None => (2 * e, e, vec![e, n]),
        };
        let in_layer = |l: usize, part: &str| format!("{}.layers.{l}.{part}", if pure { "backbone" } else { "model" });
        let in_block = |l: usize, part: &str| match c.layer(l).mixer {
            Mixer::S4d => in_layer(l, &format!("s4d.{part}")),
            _ if pure => in_layer(l, &format!("mixer.{part}")),
            _ => in_layer(l, &format!("mamba.{part}")),
        };
        match id {
            WeightId::Embedding if pure => self.whole("backbone.embeddings.weight", &[c.vocab_size, h]),
            WeightId::Embedding => self.whole("model.embed_tokens.weight", &[c.vocab_size, h]),
            WeightId::Head if c.tie_word_embeddings => self.tied_head(),
            WeightId::Head => self.whole("lm_head.weight", &[c.vocab_size, h]),
            WeightId::FinalNorm if pure => self.whole("backbone.norm_f.weight", &[h]),
            WeightId::FinalNorm if granite => self.whole("model.norm.weight", &[h]),
            WeightId::FinalNorm => self.whole("model.final_layernorm.weight", &[h]),
            WeightId::MixerNorm(l) if pure => self.whole(&in_layer(l, "norm.weight"), &[h]),
            WeightId::MixerNorm(l) => self.whole(&in_layer(l, "input_layernorm.weight"), &[h]),
            WeightId::FfnNorm(l) if granite => self.whole(&in_layer(l, "post_attention_layernorm.weight"), &[h]),
            WeightId::FfnNorm(l) => self.whole(&in_layer(l, "pre_ff_layernorm.weight"), &[h]),
            WeightId::InProj(l) => self.whole(&in_block(l, "in_proj.weight"), &[in_rows, h]),
            WeightId::InProjBias(l) => self.whole(&in_block(l, "in_proj.bias"), &[in_rows]),
            WeightId::Conv(l) => self.whole(&in_block(l, "conv1d.weight"), &[convolved, 1, c.mamba_d_conv]),
            WeightId::ConvBias(l) => self.whole(&in_block(l, "conv1d.bias"), &[convolved]),
            WeightId::XProj(l) => self.whole(&in_block(l, "x_proj.weight"), &[r + 2 * n, e]),
            WeightId::DtNorm(l) => self.whole(&in_block(l, "dt_layernorm.weight"), &[r]),
            WeightId::BNorm(l) => self.whole(&in_block(l, "b_layernorm.weight"), &[n]),
            WeightId::CNorm(l) => self.whole(&in_block(l, "c_layernorm.weight"), &[n]),
            WeightId::DtProj(l) => self.whole(&in_block(l, "dt_proj.weight"), &[e, r]),
            WeightId::DtProjBias(l) => self.whole(&in_block(l, "dt_proj.bias"), &[e]),
            WeightId::ALog(l) => self.whole(&in_block(l, "A_log"), &decays),
            WeightId::D(l) => self.whole(&in_block(l, "D"), &[skips]),
            WeightId::DtBias(l) => self.whole(&in_block(l, "dt_bias"), &[skips]),
            WeightId::GatedNorm(l) => self.whole(&in_block(l, "norm.weight"), &[e]),
            WeightId::OutProj(l) => self.whole(&in_block(l, "out_proj.weight"), &[h, e]),
            WeightId::OutProjBias(l) => self.whole(&in_block(l, "out_proj.bias"), &[h]),
            WeightId::LogDt(l) => self.whole(&in_block(l, "log_dt"), &[e]),
            WeightId::S4dB(l) => self.whole(&in_block(l, "B"), &[e, n]),
            WeightId::S4dC(l) => self.whole(&in_block(l, "C"), &[e, n]),
            WeightId::Query(l) => self.whole(&in_layer(l, "self_attn.q_proj.weight"), &[q, h]),
            WeightId::Key(l) => self.whole(&in_layer(l, "self_attn.k_proj.weight"), &[kv, h]),
            WeightId::Value(l) => self.whole(&in_layer(l, "self_attn.v_proj.weight"), &[kv, h]),
            WeightId::Output(l) => self.whole(&in_layer(l, "self_attn.o_proj.weight"), &[h, q]),
            WeightId::Router(l) if granite => {
                self.whole(&in_layer(l, "block_sparse_moe.router.layer.weight"), &[c.num_experts, h])
            }
            WeightId::Router(l) => self.whole(&in_layer(l, "feed_forward.router.weight"), &[c.num_experts, h]),
            WeightId::Mlp(l, p) if granite => self.linear(&in_layer(l, "shared_mlp"), c.intermediate_size, None, p),
            WeightId::Shared(l, p) => self.linear(&in_layer(l, "shared_mlp"), c.shared_intermediate_size, None, p),
            WeightId::Expert(l, x, p) if granite => {
                self.linear(&in_layer(l, "block_sparse_moe"), c.intermediate_size, Some(x), p)
            }
            WeightId::Mlp(l, p) => {
                let (name, shape) = self.projection(p);
                self.whole(&in_layer(l, &format!("feed_forward.{name}.weight")), &shape)
            }
            WeightId::Expert(l, x, p) => self.expert(&in_layer(l, "feed_forward.experts"), x, p),
        }
    }

    /// A projection's name and shape.
    fn projection(&self, p: Projection) -> (&'static str, [usize; 2]) {
        let (h, i) = (self.config.hidden_size, self.config.intermediate_size);
        match p {
            Projection::Gate => ("gate_proj", [i, h]),
            Projection::Up => ("up_proj", [i, h]),
            Projection::Down => ("down_proj", [h, i]),
        }
    }

    /// A matrix of expert `x`: a tensor of its own, or a part of one that holds all experts, as transformers 5 lays them
    /// out in memory: `gate_up_proj` (experts, gate's I rows then up's, H) and `down_proj` (experts, H, I).
    fn expert(&mut self, prefix: &str, x: usize, p: Projection) -> Result<Matrix, ImportError> {
        let (name, shape) = self.projection(p);
        let [rows, cols] = shape;
        let experts = self.config.num_experts;
        let (fused, fused_shape, first_row) = match p {
            Projection::Gate => ("gate_up_proj", [experts, 2 * rows, cols], 0),
            Projection::Up => ("gate_up_proj", [experts, 2 * rows, cols], rows),
            Projection::Down => ("down_proj", [experts, rows, cols], 0),
        };
        let alone = format!("{prefix}.{x}.{name}.weight");
        let fused = format!("{prefix}.{fused}");
        if self.by_name.contains_key(&alone) || !self.by_name.contains_key(&fused) {
            return self.whole(&alone, &shape);
        }
        self.rows(&fused, &fused_shape, x * fused_shape[1] + first_row, rows)
    }

    /// A matrix of a SwiGLU of `width` as Granite names it: `input_linear` has gate's rows, then up's, and `output_linear` is down.
    /// The experts of a layer share both: (experts, rows, columns).
    fn linear(
        &mut self,
        prefix: &str,
        width: usize,
        expert: Option<usize>,
        p: Projection,
    ) -> Result<Matrix, ImportError> {
        let hidden = self.config.hidden_size;
        let (name, [rows, cols], first_row, count) = match p {
            Projection::Gate => ("input_linear", [2 * width, hidden], 0, width),
            Projection::Up => ("input_linear", [2 * width, hidden], width, width),
            Projection::Down => ("output_linear", [hidden, width], 0, hidden),
        };
        let name = format!("{prefix}.{name}.weight");
        match expert {
            Some(x) => self.rows(&name, &[self.config.num_experts, rows, cols], x * rows + first_row, count),
            None => self.rows(&name, &[rows, cols], first_row, count),
        }
    }

    /// The `count` rows from `first` on of a tensor that must have `shape`.
    fn rows(&mut self, name: &str, shape: &[usize], first: usize, count: usize) -> Result<Matrix, ImportError> {
        let mut matrix = self.whole(name, shape)?;
        matrix.begin = first * matrix.cols;
        matrix.rows = count;
        Ok(matrix)
    }

    /// The embedding, which the head is tied to. Some writers store the head all the same; then it must be a copy,
    /// because leaving out one that differs would change the model.
    fn tied_head(&mut self) -> Result<Matrix, ImportError> {
        let embedding = self.find(WeightId::Embedding)?;
        if !self.by_name.contains_key("lm_head.weight") {
            return Ok(embedding);
        }
        let head = self.whole("lm_head.weight", &[self.config.vocab_size, self.config.hidden_size])?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let step = (1 << 18) / embedding.cols + 1;
        for first in (0..embedding.rows).step_by(step) {
            let rows = first..(first + step).min(embedding.rows);
            embedding.read_rows(rows.clone(), &mut ours)?;
            head.read_rows(rows, &mut theirs)?;
            if let Some(at) = ours.iter().zip(&theirs).position(|(a, b)| a != b) {
                let row = first + at / embedding.cols;
                let name = embedding.tensor.name();
                let expected = format!("a copy of {name}, or none, because config.json has tie_word_embeddings");
                return Err(head.tensor.wrong(format!("another row {row}"), expected));
            }
        }
        Ok(embedding)
    }

    /// A whole tensor that must have `shape`. Vectors become one row; the depthwise convolution (E, 1, K) becomes (E, K).
    fn whole(&mut self, name: &str, shape: &[usize]) -> Result<Matrix, ImportError> {
        let Some(&tensor) = self.by_name.get(name) else {
            let near = self.checkpoint.tensors().len();
            let found = format!("nothing of that name among {near} tensors");
            let expected = format!("shape {shape:?}, which config.json implies");
            return Err(ImportError::tensor(self.checkpoint.dir(), name, found, expected));
        };
        if tensor.shape() != shape {
            let expected = format!("shape {shape:?}, which config.json implies");
            return Err(tensor.wrong(format!("shape {:?}", tensor.shape()), expected));
        }
        tensor.check_dtype()?;
        self.used.insert(tensor.name());
        let cols = *shape.last().unwrap_or(&1);
        Ok(Matrix { tensor: tensor.clone(), begin: 0, rows: shape.iter().product::<usize>() / cols, cols, held: None })
    }

    /// Refuses tensors that no weight of the model is made of: a checkpoint with more in it is another model.
    fn finish(self) -> Result<(), ImportError> {
        let extra: Vec<_> = self.checkpoint.tensors().filter(|t| !self.used.contains(t.name())).collect();
        let Some(first) = extra.first() else { return Ok(()) };
        let mut found = format!("unknown tensor of shape {:?}", first.shape());
        if extra.len() > 1 {
            let others: Vec<_> = extra[1..].iter().take(8).map(|t| t.name()).collect();
            let more = if extra.len() > 9 { ", …" } else { "" };
            found += &format!(" (and {} more: {}{more})", extra.len() - 1, others.join(", "));
        }
        Err(first.wrong(found, "only the tensors that config.json implies"))
    }
}

/// Today's name of a tensor that may have been written by the remote code from before Jamba entered transformers: it
/// said `moe` for the feed-forward part and its norm, and wrote a plain MLP as the only expert of a mixture.
fn todays_name(name: &str, config: &JambaConfig) -> String {
    let name = name.replace(".pre_moe_layernorm.", ".pre_ff_layernorm.").replace(".moe.", ".feed_forward.");
    // What Granite's experts are called in transformers 5, which writes them under their old names.
    if config.family == Family::Granite {
        return name
            .replace(".block_sparse_moe.experts.gate_up_proj", ".block_sparse_moe.input_linear.weight")
            .replace(".block_sparse_moe.experts.down_proj", ".block_sparse_moe.output_linear.weight")
            .replace(".block_sparse_moe.router.weight", ".block_sparse_moe.router.layer.weight");
    }
    // Mamba's own code, and transformers when it reads what that wrote, say `embedding`.
    if config.family.is_pure_mamba() {
        return name.replace("backbone.embedding.", "backbone.embeddings.");
    }
    let layer = name.strip_prefix("model.layers.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
    match layer {
        Some(layer) if config.layer(layer).ffn == FeedForward::Mlp => name.replace(".experts.0.", "."),
        _ => name,
    }
}
