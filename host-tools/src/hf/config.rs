//! `config.json` of a Jamba or one of its relatives: every size and switch that decides which tensors exist and what they compute.
//!
//! | `model_type` | layers |
//! |---|---|
//! | `jamba` | Mamba with norms on dt, B and C, attention, MLPs and mixtures; an all-attention one is a Transformer |
//! | `mamba` | Mamba without these norms, nothing between the mixers |
//! | `falcon_mamba` | the same with norms that have no weights |
//! | `mamba2` | Mamba-2, nothing between the mixers |
//! | `granitemoehybrid` | Mamba-2, attention, MLPs, or mixtures beside an MLP for all tokens; multipliers (Granite 4.0 H) |
//! | `jamlet` | as `jamba`, and S4D |
//!
//! The last is jamlet's own, since transformers has no S4D: all fields and tensors are Jamba's, and the list `layers_block_type`
//! says of every layer whether it is `"mamba"`, `"attention"` or `"s4d"`, instead of period and offset. The tensors of an S4D
//! mixer begin with `model.layers.N.s4d.`: those of a Mamba mixer without `x_proj`, `dt_proj` and the norms, but with `log_dt`
//! (E), `B` (E, N) and `C` (E, N). A token moves the state by `h = exp(dt·A)·h + dt·B·u`, with dt = exp(log_dt) and
//! A = −exp(A_log), and gives `C·h + D·u` (S4D-Real, Gu et al. 2022).
//!
//! Missing fields take the defaults of transformers' `JambaConfig`, `MambaConfig`, `FalconMambaConfig`, `Mamba2Config` or
//! `GraniteMoeHybridConfig`. Fields without effect on the result
//! (`initializer_range`, `use_mamba_kernels`, `router_aux_loss_coef`, `n_ctx`, `auto_map`, …) are ignored; a field that
//! asks for something that jamlet does not compute is refused by name.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

pub use jamlet::image::{FeedForward, LayerKind, Mixer};

use super::{ImportError, files};

/// No size in a config may exceed this: far above any model, and products of two stay far from overflow.
const MAX_SIZE: u64 = 1 << 24;

/// The most layers and experts, which are the image's: what a config implies is listed, so it must not be endless.
const MAX_LAYERS: usize = 4096;
const MAX_EXPERTS: usize = 1024;

/// What `model_type` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `jamba`.
    Jamba,
    /// `mamba`.
    Mamba,
    /// `falcon_mamba`.
    FalconMamba,
    /// `jamlet`.
    Jamlet,
    /// `mamba2`.
    Mamba2,
    /// `granitemoehybrid`.
    Granite,
}

impl Family {
    /// Each with its name and that of the language model with its head.
    const ALL: [(Self, &str, &str); 6] = [
        (Self::Jamba, "jamba", "JambaForCausalLM"),
        (Self::Mamba, "mamba", "MambaForCausalLM"),
        (Self::FalconMamba, "falcon_mamba", "FalconMambaForCausalLM"),
        (Self::Jamlet, "jamlet", "JamletForCausalLM"),
        (Self::Mamba2, "mamba2", "Mamba2ForCausalLM"),
        (Self::Granite, "granitemoehybrid", "GraniteMoeHybridForCausalLM"),
    ];

    /// Name of the language model with its head.
    pub fn architecture(self) -> &'static str {
        Self::ALL.iter().find(|(family, ..)| *family == self).map_or("", |(.., architecture)| architecture)
    }

    /// Whether all layers are Mamba mixers and nothing else, under the names of `MambaForCausalLM`.
    pub fn is_pure_mamba(self) -> bool {
        matches!(self, Self::Mamba | Self::FalconMamba | Self::Mamba2)
    }
}

/// What Mamba-2 has beside the sizes of Mamba. A head has `mamba_d_inner / heads` channels, a group `heads / groups` heads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mamba2Config {
    /// Heads; a divisor of `mamba_d_inner`.
    pub heads: usize,
    /// Groups of heads that share B and C, and are normalized together; a divisor of `heads`.
    pub groups: usize,
    /// The least and the largest step dt, from 0 to infinity.
    pub step_limit: [f32; 2],
}

/// Factors of Granite, each above 0; 1 in models that have none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Multipliers {
    /// Of the embedding on its way into the residual stream.
    pub embedding: f32,
    /// Of what a mixer or a feed-forward part adds to the residual stream.
    pub residual: f32,
    /// Of attention's scores; where there is none, they are divided by the root of `head_dim`.
    pub attention: Option<f32>,
    /// What logits are divided by.
    pub logits: f32,
}

impl Multipliers {
    /// Of a model that has none.
    pub const NONE: Self = Self { embedding: 1.0, residual: 1.0, attention: None, logits: 1.0 };
}

/// A checked config: every size is at least 1 and every relation between sizes holds.
#[derive(Clone, Debug, PartialEq)]
pub struct JambaConfig {
    /// Whose names and layers.
    pub family: Family,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream, H.
    pub hidden_size: usize,
    /// Width inside an MLP or an expert, I.
    pub intermediate_size: usize,
    /// Layers; each is a mixer and a feed-forward part.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key-value heads; divides `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Width of a head: `hidden_size / num_attention_heads`, or what a Granite says.
    pub head_dim: usize,
    /// State per Mamba channel, N.
    pub mamba_d_state: usize,
    /// Taps of the causal convolution, K.
    pub mamba_d_conv: usize,
    /// Mamba channels, E: `mamba_expand * hidden_size`.
    pub mamba_d_inner: usize,
    /// Width of dt before its projection, R; `ceil(hidden_size / 16)` where the file says "auto".
    pub mamba_dt_rank: usize,
    /// Whether the convolution has a bias.
    pub mamba_conv_bias: bool,
    /// Whether Mamba's in_proj and out_proj have biases.
    pub mamba_proj_bias: bool,
    /// Of Mamba-2's layers, in models that have them.
    pub mamba2: Option<Mamba2Config>,
    /// Experts of a mixture layer; with 1, or in a Granite with 0, every layer has a plain MLP.
    pub num_experts: usize,
    /// Experts that a token visits; at most `num_experts`.
    pub num_experts_per_tok: usize,
    /// Width of the MLP that all tokens go through beside the experts of a mixture, or 0.
    pub shared_intermediate_size: usize,
    /// Layer i is attention if `i % attn_layer_period == attn_layer_offset`.
    pub attn_layer_period: usize,
    /// Below `attn_layer_period`.
    pub attn_layer_offset: usize,
    /// Layer i is a mixture if `i % expert_layer_period == expert_layer_offset` and there is more than one expert.
    pub expert_layer_period: usize,
    /// Below `expert_layer_period`.
    pub expert_layer_offset: usize,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// ε inside the RMS norms of the residual stream, above 0.
    pub rms_norm_eps: f32,
    /// ε inside the RMS norms of dt, B and C, above 0.
    pub mixer_rms_eps: f32,
    /// Factors between the parts.
    pub multipliers: Multipliers,
    /// The mixers of all layers, where the file lists them.
    pub mixers: Option<Vec<Mixer>>,
    /// Token that begins a text, if any.
    pub bos_token_id: Option<u32>,
    /// Tokens that end one; may be empty.
    pub eos_token_ids: Vec<u32>,
    /// Padding, if any.
    pub pad_token_id: Option<u32>,
}

impl JambaConfig {
    /// Reads `config.json` of the folder `dir`.
    ///
    /// # Errors
    /// If the file can't be read or a field isn't what a Jamba language model needs.
    pub fn open(dir: &Path) -> Result<Self, ImportError> {
        let file = dir.join("config.json");
        match files::read_if_there(&file) {
            Ok(Some(json)) => Self::parse(&file, &json),
            Ok(None) => Err(no_config(dir)),
            Err(ImportError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotADirectory => {
                Err(no_config(dir))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the content `json` of a config; `file` is named in errors.
    ///
    /// # Errors
    /// As [`JambaConfig::open`].
    pub fn parse(file: &Path, json: &[u8]) -> Result<Self, ImportError> {
        let map: Map<String, Value> = files::parse(json)
            .map_err(|e| ImportError::file(file, format!("not a JSON object: {e}; expected a model config")))?;
        let f = Fields { file: file.into(), map };
        let family = f.check_kind()?;
        match family {
            Family::Mamba | Family::FalconMamba | Family::Mamba2 => return f.pure_mamba(family),
            Family::Granite => return f.granite(),
            Family::Jamba | Family::Jamlet => {}
        }

        let hidden_size = f.size("hidden_size", 4096)?;
        let num_attention_heads = f.size("num_attention_heads", 32)?;
        if hidden_size % num_attention_heads != 0 {
            let expected = format!("a divisor of hidden_size {hidden_size}");
            return Err(f.wrong("num_attention_heads", expected));
        }
        let head_dim = hidden_size / num_attention_heads;
        if !f.is_null("head_dim") && f.size("head_dim", head_dim)? != head_dim {
            let expected = format!("hidden_size / num_attention_heads = {head_dim}");
            return Err(f.wrong("head_dim", expected));
        }
        let num_key_value_heads = f.kv_heads(num_attention_heads, 8)?;

        let (attn_layer_period, attn_layer_offset) = f.schedule("attn_layer_period", 8, "attn_layer_offset", 4)?;
        let (expert_layer_period, expert_layer_offset) =
            f.schedule("expert_layer_period", 2, "expert_layer_offset", 1)?;
        let num_experts = f.at_most("num_experts", f.experts()?, MAX_EXPERTS)?;
        let num_experts_per_tok = f.size("num_experts_per_tok", 2)?;
        if num_experts > 1 && num_experts_per_tok > num_experts {
            return Err(f.wrong("num_experts_per_tok", format!("at most num_experts {num_experts}")));
        }

        let vocab_size = f.size("vocab_size", 65536)?;
        let num_hidden_layers = f.at_most("num_hidden_layers", f.size("num_hidden_layers", 32)?, MAX_LAYERS)?;
        let rms_norm_eps = f.epsilon("rms_norm_eps", 1e-6)?;
        Ok(Self {
            family,
            vocab_size,
            hidden_size,
            intermediate_size: f.size("intermediate_size", 14336)?,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads,
            head_dim,
            mamba_d_state: f.size("mamba_d_state", 16)?,
            mamba_d_conv: f.size("mamba_d_conv", 4)?,
            mamba_d_inner: f.inner("mamba_expand", hidden_size)?,
            mamba_dt_rank: f.dt_rank("mamba_dt_rank", hidden_size)?,
            mamba_conv_bias: f.flag("mamba_conv_bias", true)?,
            mamba_proj_bias: f.flag("mamba_proj_bias", false)?,
            mamba2: None,
            num_experts,
            num_experts_per_tok: num_experts_per_tok.min(num_experts),
            shared_intermediate_size: 0,
            attn_layer_period,
            attn_layer_offset,
            expert_layer_period,
            expert_layer_offset,
            tie_word_embeddings: f.flag("tie_word_embeddings", false)?,
            rms_norm_eps,
            mixer_rms_eps: rms_norm_eps,
            multipliers: Multipliers::NONE,
            mixers: f.mixers(family, num_hidden_layers)?,
            bos_token_id: f.tokens("bos_token_id", Some(1), vocab_size)?.first().copied(),
            eos_token_ids: f.tokens("eos_token_id", Some(2), vocab_size)?,
            pad_token_id: f.pad(Some(0), vocab_size)?,
        })
    }

    /// Whether the feed-forward part of some layers is a mixture.
    pub fn has_mixtures(&self) -> bool {
        match self.family {
            Family::Granite => self.num_experts > 0,
            _ => self.num_experts > 1,
        }
    }

    /// Channels of the convolution: of x, and in Mamba-2 of B and C of every group.
    pub fn conv_channels(&self) -> usize {
        self.mamba_d_inner + self.mamba2.map_or(0, |mamba2| 2 * mamba2.groups * self.mamba_d_state)
    }

    /// What layer `i` is made of. The two schedules are independent: a layer may be attention and a mixture.
    pub fn layer(&self, i: usize) -> LayerKind {
        LayerKind {
            mixer: match &self.mixers {
                Some(mixers) => mixers.get(i).copied().unwrap_or(Mixer::Mamba),
                None if i % self.attn_layer_period == self.attn_layer_offset => Mixer::Attention,
                None => Mixer::Mamba,
            },
            ffn: match self.has_mixtures() && i % self.expert_layer_period == self.expert_layer_offset {
                true => FeedForward::Moe,
                false if self.family.is_pure_mamba() => FeedForward::None,
                false => FeedForward::Mlp,
            },
        }
    }

    /// All layers in order.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = LayerKind> + '_ {
        (0..self.num_hidden_layers).map(|i| self.layer(i))
    }
}

/// Why there is no `config.json` at `dir`.
fn no_config(dir: &Path) -> ImportError {
    let wanted = "expected a Hugging Face folder with config.json, safetensors and tokenizer";
    let problem = if dir.is_file() {
        format!("a file; {wanted}")
    } else if dir.is_dir() {
        format!("no config.json here; {wanted}")
    } else if dir.is_relative() && dir.components().count() == 2 && !dir.starts_with("..") && !dir.starts_with(".") {
        format!("no such folder; {wanted}: a model on a hub must be downloaded first")
    } else {
        format!("no such folder; {wanted}")
    };
    ImportError::file(dir, problem)
}

/// The raw fields, and the file to name when one is wrong.
struct Fields {
    file: PathBuf,
    map: Map<String, Value>,
}

impl Fields {
    /// Refuses what is not a language model of the family in plain floats.
    fn check_kind(&self) -> Result<Family, ImportError> {
        let kind = self.map.get("model_type");
        let Some(&(family, _, architecture)) =
            Family::ALL.iter().find(|(_, name, _)| kind.is_some_and(|kind| kind == name))
        else {
            let known = "\"jamba\", \"mamba\", \"falcon_mamba\", \"mamba2\", \"granitemoehybrid\" or \"jamlet\"";
            // Fields that only the package mamba-ssm writes.
            let mamba_ssm =
                kind.is_none() && ["ssm_cfg", "d_model", "n_layer"].iter().any(|field| self.map.contains_key(*field));
            return Err(match mamba_ssm {
                true => self.wrong(
                    "model_type",
                    format!("{known}: this is a config of the package mamba-ssm; use the same model as transformers saves it"),
                ),
                false => self.wrong("model_type", known),
            });
        };
        match self.map.get("architectures") {
            None | Some(Value::Null) => {}
            Some(Value::Array(names)) if names.iter().any(|v| v == architecture) => {}
            // Reward, classification and headless models have other outputs than the next token.
            Some(_) => {
                return Err(
                    self.wrong("architectures", format!("[\"{architecture}\"], a language model with its head"))
                );
            }
        }
        // Both are names of one activation.
        if !self.is_null("hidden_act") && self.map["hidden_act"] != "silu" && self.map["hidden_act"] != "swish" {
            return Err(self.wrong("hidden_act", "\"silu\", the only activation that is computed"));
        }
        if !self.is_null("sliding_window") {
            return Err(self.wrong(
                "sliding_window",
                "null: the model was trained with full attention; choose a window when planning",
            ));
        }
        if !self.is_null("quantization_config") {
            return Err(self.wrong("quantization_config", "none: pack the unquantized f32, f16 or bf16 checkpoint"));
        }
        if !self.flag("mamba_inner_layernorms", true)? {
            return Err(self.wrong("mamba_inner_layernorms", "true: Jamba normalizes dt, B and C"));
        }
        Ok(family)
    }

    /// A model of Mamba or of Mamba-2 layers alone, whose fields have other names.
    fn pure_mamba(&self, family: Family) -> Result<JambaConfig, ImportError> {
        let second = family == Family::Mamba2;
        // The defaults of `MambaConfig`, and those of `Mamba2Config`.
        let default = |first: usize, of_second: usize| if second { of_second } else { first };
        let token = |first: u32, of_second: u32| Some(if second { of_second } else { first });

        let hidden_size = self.size("hidden_size", default(768, 4096))?;
        let inner = self.inner("expand", hidden_size)?;
        if !second && !self.is_null("intermediate_size") && self.size("intermediate_size", inner)? != inner {
            return Err(self.wrong("intermediate_size", format!("expand * hidden_size = {inner}")));
        }
        let vocab_size = self.size("vocab_size", default(50280, 32768))?;
        let layers = self.size("num_hidden_layers", default(32, 64))?;
        let num_hidden_layers = self.at_most("num_hidden_layers", layers, MAX_LAYERS)?;
        let rms_norm_eps = self.epsilon("layer_norm_epsilon", 1e-5)?;
        Ok(JambaConfig {
            family,
            vocab_size,
            hidden_size,
            intermediate_size: 1,
            num_hidden_layers,
            num_attention_heads: 1,
            num_key_value_heads: 1,
            head_dim: hidden_size,
            mamba_d_state: self.size("state_size", default(16, 128))?,
            mamba_d_conv: self.size("conv_kernel", 4)?,
            mamba_d_inner: inner,
            mamba_dt_rank: if second { 1 } else { self.dt_rank("time_step_rank", hidden_size)? },
            mamba_conv_bias: self.flag("use_conv_bias", true)?,
            mamba_proj_bias: self.flag("use_bias", false)?,
            mamba2: match second {
                true => Some(self.mamba2(("num_heads", 128), ("head_dim", Some(64)), ("n_groups", 8), inner)?),
                false => None,
            },
            num_experts: 1,
            num_experts_per_tok: 1,
            shared_intermediate_size: 0,
            attn_layer_period: 1,
            attn_layer_offset: 0,
            expert_layer_period: 1,
            expert_layer_offset: 0,
            tie_word_embeddings: self.flag("tie_word_embeddings", !second)?,
            rms_norm_eps,
            mixer_rms_eps: match family {
                Family::FalconMamba => self.epsilon("mixer_rms_eps", 1e-6)?,
                _ => rms_norm_eps,
            },
            multipliers: Multipliers::NONE,
            mixers: Some(vec![if second { Mixer::Mamba2 } else { Mixer::Mamba }; num_hidden_layers]),
            bos_token_id: self.tokens("bos_token_id", Some(0), vocab_size)?.first().copied(),
            eos_token_ids: self.tokens("eos_token_id", token(0, 2), vocab_size)?,
            pad_token_id: self.pad(token(0, 1), vocab_size)?,
        })
    }

    /// A Granite 4.0 H.
    fn granite(&self) -> Result<JambaConfig, ImportError> {
        if self.flag("attention_bias", false)? {
            return Err(self.wrong("attention_bias", "false: attention is computed without biases"));
        }
        let positions = "position_embedding_type";
        if !self.is_null(positions) && self.map[positions] != "nope" {
            return Err(self.wrong(positions, "null or \"nope\": attention is computed without positions"));
        }
        let hidden_size = self.size("hidden_size", 4096)?;
        let num_attention_heads = self.size("num_attention_heads", 32)?;
        let head_dim = match self.is_null("head_dim") {
            false => self.size("head_dim", 1)?,
            true if hidden_size % num_attention_heads == 0 => hidden_size / num_attention_heads,
            true => {
                let expected = format!("a divisor of hidden_size {hidden_size}, as there is no head_dim");
                return Err(self.wrong("num_attention_heads", expected));
            }
        };
        let num_key_value_heads = self.kv_heads(num_attention_heads, num_attention_heads)?;
        let shared_intermediate_size = self.size("shared_intermediate_size", 1024)?;
        let experts = "num_local_experts";
        let num_experts = self.at_most(experts, self.integer(experts, 0, 8)?, MAX_EXPERTS)?;
        let num_experts_per_tok = self.integer("num_experts_per_tok", 0, 2)?;
        if num_experts > 0 && !(1..=num_experts).contains(&num_experts_per_tok) {
            return Err(self.wrong("num_experts_per_tok", format!("1 to {experts} {num_experts}")));
        }
        let inner = self.inner("mamba_expand", hidden_size)?;
        let vocab_size = self.size("vocab_size", 32000)?;
        let num_hidden_layers = self.at_most("num_hidden_layers", self.size("num_hidden_layers", 32)?, MAX_LAYERS)?;
        let rms_norm_eps = self.epsilon("rms_norm_eps", 1e-6)?;
        Ok(JambaConfig {
            family: Family::Granite,
            vocab_size,
            hidden_size,
            // A dense model has the shared MLP alone.
            intermediate_size: match num_experts {
                0 => shared_intermediate_size,
                _ => self.size("intermediate_size", 11008)?,
            },
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads,
            head_dim,
            mamba_d_state: self.size("mamba_d_state", 256)?,
            mamba_d_conv: self.size("mamba_d_conv", 4)?,
            mamba_d_inner: inner,
            mamba_dt_rank: 1,
            mamba_conv_bias: self.flag("mamba_conv_bias", true)?,
            mamba_proj_bias: self.flag("mamba_proj_bias", false)?,
            mamba2: Some(self.mamba2(("mamba_n_heads", 128), ("mamba_d_head", None), ("mamba_n_groups", 1), inner)?),
            num_experts,
            num_experts_per_tok: num_experts_per_tok.min(num_experts),
            shared_intermediate_size: if num_experts > 0 { shared_intermediate_size } else { 0 },
            attn_layer_period: 1,
            attn_layer_offset: 0,
            expert_layer_period: 1,
            expert_layer_offset: 0,
            tie_word_embeddings: self.flag("tie_word_embeddings", false)?,
            rms_norm_eps,
            mixer_rms_eps: rms_norm_eps,
            multipliers: Multipliers {
                embedding: self.multiplier("embedding_multiplier")?,
                residual: self.multiplier("residual_multiplier")?,
                attention: Some(self.multiplier("attention_multiplier")?),
                logits: self.multiplier("logits_scaling")?,
            },
            mixers: Some(self.layer_types(num_hidden_layers)?),
            bos_token_id: self.tokens("bos_token_id", Some(1), vocab_size)?.first().copied(),
            eos_token_ids: self.tokens("eos_token_id", Some(2), vocab_size)?,
            pad_token_id: self.pad(None, vocab_size)?,
        })
    }

    /// Mamba-2's heads, in fields with their defaults: a head's width may be "auto", which is the default of `None`.
    fn mamba2(
        &self,
        (heads_field, heads): (&str, usize),
        (width_field, width): (&str, Option<usize>),
        (groups_field, groups): (&str, usize),
        inner: usize,
    ) -> Result<Mamba2Config, ImportError> {
        let heads = self.size(heads_field, heads)?;
        if !inner.is_multiple_of(heads) {
            return Err(self.wrong(heads_field, format!("a divisor of the {inner} channels")));
        }
        let auto = self.map.get(width_field).map_or(width.is_none(), |width| width == "auto");
        if !auto && self.size(width_field, width.unwrap_or(1))? != inner / heads {
            return Err(self.wrong(width_field, format!("{inner} channels / {heads} heads = {}", inner / heads)));
        }
        let groups = self.size(groups_field, groups)?;
        if !heads.is_multiple_of(groups) {
            return Err(self.wrong(groups_field, format!("a divisor of {heads_field} {heads}")));
        }
        Ok(Mamba2Config { heads, groups, step_limit: self.step_limit("time_step_limit")? })
    }

    /// Two numbers, which Python may have written as infinity: no JSON, or in transformers 5 `{"__float__": "Infinity"}`.
    fn step_limit(&self, field: &str) -> Result<[f32; 2], ImportError> {
        let number = |value: &Value| {
            let value = value.get("__float__").unwrap_or(value);
            match value == "Infinity" {
                true => Some(f32::INFINITY),
                false => value.as_f64().map(|x| x as f32),
            }
        };
        let limits = match self.map.get(field) {
            None | Some(Value::Null) => Some([0.0, f32::INFINITY]),
            Some(Value::Array(limits)) => match &limits[..] {
                [least, largest] => number(least).zip(number(largest)).map(|(least, largest)| [least, largest]),
                _ => None,
            },
            Some(_) => None,
        };
        match limits {
            Some([least, largest]) if least >= 0.0 && least.is_finite() && least <= largest => Ok([least, largest]),
            _ => {
                Err(self.wrong(field, "two numbers from 0 up, the smaller first, of which the second may be infinite"))
            }
        }
    }

    fn multiplier(&self, field: &str) -> Result<f32, ImportError> {
        match self.map.get(field) {
            None => Ok(1.0),
            Some(value) => match value.as_f64() {
                Some(x) if (1e-4..=1e4).contains(&x) => Ok(x as f32),
                _ => Err(self.wrong(field, "a number from 0.0001 to 10000")),
            },
        }
    }

    /// The key-value heads, `default` where the file doesn't say; an explicit null means one per query head.
    fn kv_heads(&self, heads: usize, default: usize) -> Result<usize, ImportError> {
        let field = "num_key_value_heads";
        let kv_heads = match self.map.get(field) {
            Some(Value::Null) => heads,
            _ => self.size(field, default)?,
        };
        match heads.is_multiple_of(kv_heads) {
            true => Ok(kv_heads),
            false => Err(self.wrong(field, format!("a divisor of num_attention_heads {heads}"))),
        }
    }

    /// Granite's list: in its folders' own words, or in those of transformers 5. Without a list, all layers are Mamba-2.
    fn layer_types(&self, layers: usize) -> Result<Vec<Mixer>, ImportError> {
        let alias = "layers_block_type";
        let field = if self.is_null("layer_types") && !self.is_null(alias) { alias } else { "layer_types" };
        let wrong = || self.wrong(field, format!("a list of {layers}, each \"mamba\" or \"attention\""));
        let mixer = |name: &Value| match name.as_str() {
            Some("mamba" | "linear_attention") => Ok(Mixer::Mamba2),
            Some("attention" | "full_attention") => Ok(Mixer::Attention),
            _ => Err(wrong()),
        };
        match self.map.get(field) {
            None | Some(Value::Null) => Ok(vec![Mixer::Mamba2; layers]),
            Some(Value::Array(names)) if names.len() == layers => names.iter().map(mixer).collect(),
            Some(_) => Err(wrong()),
        }
    }

    /// The list of `model_type` "jamlet".
    fn mixers(&self, family: Family, layers: usize) -> Result<Option<Vec<Mixer>>, ImportError> {
        if family != Family::Jamlet {
            return Ok(None);
        }
        let field = "layers_block_type";
        let wrong = || self.wrong(field, format!("a list of {layers}, each \"mamba\", \"attention\" or \"s4d\""));
        let mixer = |name: &Value| match name.as_str() {
            Some("mamba") => Ok(Mixer::Mamba),
            Some("attention") => Ok(Mixer::Attention),
            Some("s4d") => Ok(Mixer::S4d),
            _ => Err(wrong()),
        };
        match self.map.get(field) {
            Some(Value::Array(names)) if names.len() == layers => {
                names.iter().map(mixer).collect::<Result<_, _>>().map(Some)
            }
            _ => Err(wrong()),
        }
    }

    fn is_null(&self, field: &str) -> bool {
        self.map.get(field).is_none_or(Value::is_null)
    }

    /// The error for a field, with what was found there.
    fn wrong(&self, field: &str, expected: impl Into<String>) -> ImportError {
        let found = self.map.get(field).map_or_else(|| "nothing".into(), Value::to_string);
        ImportError::field(&self.file, field, found, expected)
    }

    fn size(&self, field: &str, default: usize) -> Result<usize, ImportError> {
        self.integer(field, 1, default)
    }

    /// A number that has a bound of its own.
    fn at_most(&self, field: &str, found: usize, most: usize) -> Result<usize, ImportError> {
        match found <= most {
            true => Ok(found),
            false => Err(ImportError::field(&self.file, field, found, format!("at most {most}"))),
        }
    }

    fn integer(&self, field: &str, least: u64, default: usize) -> Result<usize, ImportError> {
        match self.map.get(field) {
            None => Ok(default),
            Some(v) => match v.as_u64() {
                Some(n) if (least..=MAX_SIZE).contains(&n) => Ok(n as usize),
                _ => Err(self.wrong(field, format!("an integer from {least} to {MAX_SIZE}"))),
            },
        }
    }

    fn flag(&self, field: &str, default: bool) -> Result<bool, ImportError> {
        match self.map.get(field) {
            None => Ok(default),
            Some(Value::Bool(b)) => Ok(*b),
            Some(_) => Err(self.wrong(field, "true or false")),
        }
    }

    /// A period and the offset below it.
    fn schedule(&self, period: &str, p: usize, offset: &str, o: usize) -> Result<(usize, usize), ImportError> {
        let (p, o) = (self.size(period, p)?, self.integer(offset, 0, o)?);
        match o < p {
            true => Ok((p, o)),
            false if self.map.contains_key(offset) => Err(self.wrong(offset, format!("less than {period} {p}"))),
            false => Err(self.wrong(period, format!("more than {offset}, which defaults to {o}"))),
        }
    }

    /// `num_experts`, which some writers call `num_local_experts`.
    fn experts(&self) -> Result<usize, ImportError> {
        let (name, alias) = ("num_experts", "num_local_experts");
        if !self.map.contains_key(alias) {
            return self.size(name, 16);
        }
        let experts = self.size(alias, 16)?;
        match self.size(name, experts)? == experts {
            true => Ok(experts),
            false => Err(self.wrong(alias, format!("the same as {name}"))),
        }
    }

    /// The factor in `field` times `hidden_size`; it may be a fraction as long as the product isn't.
    fn inner(&self, field: &str, hidden: usize) -> Result<usize, ImportError> {
        let expand = match self.map.get(field) {
            None => 2.0,
            Some(v) => v.as_f64().unwrap_or(f64::NAN),
        };
        let inner = expand * hidden as f64;
        match inner >= 1.0 && inner <= MAX_SIZE as f64 && inner.fract() == 0.0 {
            true => Ok(inner as usize),
            false => Err(self.wrong(field, format!("a number that gives hidden_size {hidden} a whole multiple"))),
        }
    }

    fn dt_rank(&self, field: &str, hidden: usize) -> Result<usize, ImportError> {
        match self.map.get(field) {
            None => Ok(hidden.div_ceil(16)),
            Some(v) if v == "auto" => Ok(hidden.div_ceil(16)),
            Some(v) => match v.as_u64() {
                Some(n) if (1..=MAX_SIZE).contains(&n) => Ok(n as usize),
                _ => Err(self.wrong(field, format!("\"auto\" or an integer from 1 to {MAX_SIZE}"))),
            },
        }
    }

    fn epsilon(&self, field: &str, default: f32) -> Result<f32, ImportError> {
        match self.map.get(field) {
            None => Ok(default),
            Some(v) => match v.as_f64().map(|x| x as f32) {
                Some(x) if x > 0.0 && x < 1.0 => Ok(x),
                _ => Err(self.wrong(field, "a number above 0 and below 1")),
            },
        }
    }

    /// A token id, a list of them, or null.
    fn tokens(&self, field: &str, default: Option<u32>, vocab: usize) -> Result<Vec<u32>, ImportError> {
        let wrong = || self.wrong(field, format!("token ids below vocab_size {vocab}, or null"));
        let id = |v: &Value| match v.as_u64() {
            Some(n) if n < vocab as u64 => Ok(n as u32),
            _ => Err(wrong()),
        };
        match self.map.get(field) {
            None => Ok(default.into_iter().filter(|&t| (t as usize) < vocab).collect()),
            Some(Value::Null) => Ok(vec![]),
            Some(Value::Array(list)) => list.iter().map(id).collect(),
            Some(v) => Ok(vec![id(v)?]),
        }
    }

    /// Padding never reaches the model, so an id outside the vocabulary (some writers put -1) counts as none.
    fn pad(&self, default: Option<u32>, vocab: usize) -> Result<Option<u32>, ImportError> {
        match self.map.get("pad_token_id") {
            Some(v) if v.as_i64().is_some_and(|n| n < 0 || n >= vocab as i64) => Ok(None),
            _ => Ok(self.tokens("pad_token_id", default, vocab)?.first().copied()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<JambaConfig, ImportError> {
        JambaConfig::parse(Path::new("folder/config.json"), json.as_bytes())
    }

    /// A small valid config with `changes` laid over it; null removes nothing, it is a value like any other.
    fn with(changes: &str) -> Result<JambaConfig, ImportError> {
        let mut map: Map<String, Value> = serde_json::from_str(
            r#"{"model_type": "jamba", "hidden_size": 40, "num_attention_heads": 4, "num_key_value_heads": 2}"#,
        )
        .unwrap();
        map.extend(serde_json::from_str::<Map<String, Value>>(changes).unwrap());
        parse(&Value::Object(map).to_string())
    }

    #[test]
    fn an_empty_config_is_jamba_v0_1() {
        let c = parse(r#"{"model_type": "jamba"}"#).unwrap();
        assert_eq!((c.vocab_size, c.hidden_size, c.intermediate_size), (65536, 4096, 14336));
        assert_eq!((c.num_hidden_layers, c.num_attention_heads, c.num_key_value_heads, c.head_dim), (32, 32, 8, 128));
        assert_eq!((c.mamba_d_state, c.mamba_d_conv, c.mamba_d_inner, c.mamba_dt_rank), (16, 4, 8192, 256));
        assert_eq!((c.num_experts, c.num_experts_per_tok), (16, 2));
        assert!(c.mamba_conv_bias && !c.mamba_proj_bias && !c.tie_word_embeddings);
        assert_eq!((c.bos_token_id, c.eos_token_ids.as_slice(), c.pad_token_id), (Some(1), &[2][..], Some(0)));
        let kinds: Vec<_> = c.layers().collect();
        assert_eq!(kinds.iter().filter(|k| k.mixer == Mixer::Attention).count(), 4);
        assert_eq!(kinds[4], LayerKind { mixer: Mixer::Attention, ffn: FeedForward::Mlp });
        assert_eq!(kinds[5], LayerKind { mixer: Mixer::Mamba, ffn: FeedForward::Moe });
    }

    #[test]
    fn empty_configs_of_pure_mambas_are_those_of_transformers() {
        let mamba = parse(r#"{"model_type": "mamba"}"#).unwrap();
        assert_eq!((mamba.vocab_size, mamba.hidden_size, mamba.num_hidden_layers), (50280, 768, 32));
        assert_eq!((mamba.mamba_d_state, mamba.mamba_d_conv), (16, 4));
        assert_eq!((mamba.mamba_d_inner, mamba.mamba_dt_rank), (1536, 48));
        assert!(mamba.mamba_conv_bias && !mamba.mamba_proj_bias && mamba.tie_word_embeddings);
        assert_eq!((mamba.rms_norm_eps, mamba.mixer_rms_eps), (1e-5, 1e-5));
        assert_eq!((mamba.bos_token_id, mamba.eos_token_ids.as_slice()), (Some(0), &[0][..]));
        assert!(mamba.layers().all(|kind| kind == LayerKind { mixer: Mixer::Mamba, ffn: FeedForward::None }));
        let falcon = parse(r#"{"model_type": "falcon_mamba"}"#).unwrap();
        assert_eq!(falcon, JambaConfig { family: Family::FalconMamba, mixer_rms_eps: 1e-6, ..mamba });
        let mamba2 = parse(r#"{"model_type": "mamba2"}"#).unwrap();
        assert_eq!((mamba2.vocab_size, mamba2.hidden_size, mamba2.num_hidden_layers), (32768, 4096, 64));
        assert_eq!((mamba2.mamba_d_state, mamba2.mamba_d_conv, mamba2.mamba_d_inner), (128, 4, 8192));
        let heads = Mamba2Config { heads: 128, groups: 8, step_limit: [0.0, f32::INFINITY] };
        assert_eq!((mamba2.mamba2, mamba2.tie_word_embeddings), (Some(heads), false));
        assert_eq!(
            (mamba2.bos_token_id, mamba2.eos_token_ids.as_slice(), mamba2.pad_token_id),
            (Some(0), &[2][..], Some(1))
        );
        assert!(mamba2.layers().all(|kind| kind == LayerKind { mixer: Mixer::Mamba2, ffn: FeedForward::None }));
    }

    /// As [`with`], of a Granite.
    fn granite(changes: &str) -> Result<JambaConfig, ImportError> {
        let mut map: Map<String, Value> = serde_json::from_str(
            r#"{"model_type": "granitemoehybrid", "hidden_size": 40, "num_attention_heads": 4, "num_hidden_layers": 3,
                "mamba_n_heads": 8}"#,
        )
        .unwrap();
        map.extend(serde_json::from_str::<Map<String, Value>>(changes).unwrap());
        parse(&Value::Object(map).to_string())
    }

    #[test]
    fn an_empty_config_is_that_of_transformers_granite() {
        let c = parse(r#"{"model_type": "granitemoehybrid"}"#).unwrap();
        assert_eq!((c.vocab_size, c.hidden_size, c.intermediate_size), (32000, 4096, 11008));
        assert_eq!((c.num_hidden_layers, c.num_attention_heads, c.num_key_value_heads, c.head_dim), (32, 32, 32, 128));
        assert_eq!((c.mamba_d_state, c.mamba_d_conv, c.mamba_d_inner), (256, 4, 8192));
        assert_eq!(c.mamba2, Some(Mamba2Config { heads: 128, groups: 1, step_limit: [0.0, f32::INFINITY] }));
        assert_eq!((c.num_experts, c.num_experts_per_tok, c.shared_intermediate_size), (8, 2, 1024));
        assert_eq!(c.multipliers, Multipliers { attention: Some(1.0), ..Multipliers::NONE });
        assert_eq!((c.bos_token_id, c.eos_token_ids.as_slice(), c.pad_token_id), (Some(1), &[2][..], None));
        assert!(c.layers().all(|kind| kind == LayerKind { mixer: Mixer::Mamba2, ffn: FeedForward::Moe }));
    }

    #[test]
    fn what_granite_folders_say_is_read() {
        let dense = granite(
            r#"{"num_local_experts": 0, "num_experts_per_tok": 0, "shared_intermediate_size": 72, "intermediate_size": 0,
                "layer_types": ["mamba", "attention", "mamba"], "position_embedding_type": "nope", "head_dim": 6,
                "attention_multiplier": 0.015625, "embedding_multiplier": 12, "time_step_limit": [0.0, {"__float__": "Infinity"}]}"#,
        )
        .unwrap();
        assert_eq!((dense.intermediate_size, dense.shared_intermediate_size, dense.head_dim), (72, 0, 6));
        let mlp = |mixer| LayerKind { mixer, ffn: FeedForward::Mlp };
        let kinds: Vec<_> = dense.layers().collect();
        assert_eq!(kinds, [mlp(Mixer::Mamba2), mlp(Mixer::Attention), mlp(Mixer::Mamba2)]);
        assert_eq!((dense.multipliers.attention, dense.multipliers.embedding), (Some(0.015625), 12.0));
        assert_eq!(dense.mamba2.unwrap().step_limit, [0.0, f32::INFINITY]);
        let words = granite(r#"{"layers_block_type": ["linear_attention", "full_attention", "mamba"]}"#).unwrap();
        assert_eq!(words.layer(1).mixer, Mixer::Attention);
        let limited =
            granite(r#"{"time_step_limit": [0.125, 0.5], "num_local_experts": 1, "num_experts_per_tok": 1}"#).unwrap();
        assert_eq!((limited.mamba2.unwrap().step_limit, limited.layer(0).ffn), ([0.125, 0.5], FeedForward::Moe));
    }

    #[test]
    fn what_granite_may_not_say_is_named() {
        for (changes, field, found, expected) in [
            (r#"{"position_embedding_type": "rope"}"#, "position_embedding_type", "rope", "without positions"),
            (r#"{"attention_bias": true}"#, "attention_bias", "true", "without biases"),
            (r#"{"num_attention_heads": 3}"#, "num_attention_heads", "3", "divisor of hidden_size 40"),
            (r#"{"num_key_value_heads": 3}"#, "num_key_value_heads", "3", "divisor of num_attention_heads 4"),
            (r#"{"num_experts_per_tok": 0}"#, "num_experts_per_tok", "0", "1 to num_local_experts 8"),
            (r#"{"num_experts_per_tok": 9}"#, "num_experts_per_tok", "9", "1 to num_local_experts 8"),
            (r#"{"num_local_experts": 2000}"#, "num_local_experts", "2000", "at most 1024"),
            (r#"{"shared_intermediate_size": 0}"#, "shared_intermediate_size", "0", "from 1"),
            (r#"{"layer_types": ["mamba", "mamba"]}"#, "layer_types", "mamba", "a list of 3"),
            (r#"{"layer_types": ["mamba", "sliding_attention", "mamba"]}"#, "layer_types", "sliding", "\"attention\""),
            (r#"{"mamba_n_heads": 7}"#, "mamba_n_heads", "7", "a divisor of the 80 channels"),
            (r#"{"mamba_d_head": 20}"#, "mamba_d_head", "20", "= 10"),
            (r#"{"mamba_d_head": "wide"}"#, "mamba_d_head", "wide", "an integer"),
            (r#"{"mamba_n_groups": 3}"#, "mamba_n_groups", "3", "a divisor of mamba_n_heads 8"),
            (r#"{"time_step_limit": [0.5, 0.25]}"#, "time_step_limit", "0.5", "the smaller first"),
            (r#"{"time_step_limit": [-1, 1]}"#, "time_step_limit", "-1", "from 0"),
            (r#"{"time_step_limit": 0.5}"#, "time_step_limit", "0.5", "two numbers"),
            (r#"{"residual_multiplier": 0}"#, "residual_multiplier", "0", "from 0.0001"),
            (r#"{"logits_scaling": null}"#, "logits_scaling", "null", "a number"),
        ] {
            let error = granite(changes).expect_err(changes).to_string();
            assert!(error.starts_with(&format!("folder/config.json: {field}: found ")), "{changes}: {error}");
            let (left, right) = error.split_once(", expected ").unwrap();
            assert!(left.contains(found) && right.contains(expected), "{changes}: {error}");
        }
    }

    #[test]
    fn what_transformers_reads_is_read() {
        assert_eq!(with(r#"{"hidden_act": "swish"}"#).unwrap(), with("{}").unwrap(), "another name of silu");
        let infinite = parse(r#"{"model_type": "jamba", "time_step_limit": [0.0, Infinity]}"#).unwrap();
        assert_eq!(infinite, parse(r#"{"model_type": "jamba"}"#).unwrap());
    }

    #[test]
    fn a_folder_without_a_config_is_one_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.safetensors");
        std::fs::write(&file, "x").unwrap();
        let (missing, hub) = (folder.path().join("missing"), Path::new("owner/no-such-model"));
        for (path, right) in [
            (folder.path(), "no config.json here"),
            (&file, "a file"),
            (&missing, "no such folder"),
            (hub, "no such folder"),
        ] {
            let error = format!("{:#}", anyhow::Error::from(JambaConfig::open(path).unwrap_err()));
            assert_eq!(error.matches("expected a Hugging Face folder").count(), 1, "{error}");
            assert!(error.contains(right) && !error.contains("os error"), "{error}");
            assert_eq!(error.contains("a hub"), path == hub, "{error}");
        }
    }

    #[test]
    fn a_list_says_what_each_layer_is() {
        let list = r#"{"model_type": "jamlet", "num_hidden_layers": 3, "num_experts": 1,
            "layers_block_type": ["s4d", "attention", "mamba"]}"#;
        let mixers: Vec<_> = with(list).unwrap().layers().map(|kind| kind.mixer).collect();
        assert_eq!(mixers, [Mixer::S4d, Mixer::Attention, Mixer::Mamba]);
    }

    #[test]
    fn every_spelling_of_a_field_is_read() {
        assert_eq!(with(r#"{"num_key_value_heads": null}"#).unwrap().num_key_value_heads, 4);
        assert_eq!(with(r#"{"mamba_dt_rank": "auto"}"#).unwrap().mamba_dt_rank, 3);
        assert_eq!(with(r#"{"mamba_dt_rank": 40}"#).unwrap().mamba_dt_rank, 40);
        assert_eq!(with(r#"{"mamba_expand": 3}"#).unwrap().mamba_d_inner, 120);
        assert_eq!(with(r#"{"mamba_expand": 1.5}"#).unwrap().mamba_d_inner, 60);
        assert_eq!(with(r#"{"num_local_experts": 4}"#).unwrap().num_experts, 4);
        assert_eq!(with(r#"{"eos_token_id": [2, 518]}"#).unwrap().eos_token_ids, [2, 518]);
        assert!(with(r#"{"eos_token_id": null, "bos_token_id": null}"#).unwrap().eos_token_ids.is_empty());
        assert_eq!(with(r#"{"pad_token_id": -1}"#).unwrap().pad_token_id, None);
        assert_eq!(with(r#"{"num_experts": 1, "num_experts_per_tok": 2}"#).unwrap().num_experts_per_tok, 1);
        let legacy = r#"{"sliding_window": null, "num_logits_to_keep": 1, "n_ctx": 262144, "auto_map": {},
            "calc_logits_for_entire_prompt": false, "mamba_inner_layernorms": true, "d_model": 40, "torch_dtype": "bfloat16",
            "use_mamba_kernels": true, "architectures": ["JambaForCausalLM"]}"#;
        assert_eq!(with(legacy).unwrap(), with("{}").unwrap());
    }

    #[test]
    fn a_wrong_field_is_named_with_what_was_found_and_what_would_be_right() {
        for (changes, field, found, expected) in [
            (r#"{"model_type": "mamba3"}"#, "model_type", "\"mamba3\"", "\"jamba\""),
            (r#"{"model_type": "mamba2", "num_heads": 3}"#, "num_heads", "3", "a divisor of the 80 channels"),
            (r#"{"model_type": "mamba2", "num_heads": 8}"#, "head_dim", "nothing", "80 channels / 8 heads = 10"),
            (
                r#"{"model_type": "mamba2", "num_heads": 8, "head_dim": 10, "n_groups": 3}"#,
                "n_groups",
                "3",
                "num_heads 8",
            ),
            (r#"{"model_type": "mamba", "intermediate_size": 81}"#, "intermediate_size", "81", "= 80"),
            (r#"{"model_type": "mamba", "layer_norm_epsilon": 0}"#, "layer_norm_epsilon", "0", "above 0"),
            (r#"{"model_type": "falcon_mamba", "mixer_rms_eps": 2}"#, "mixer_rms_eps", "2", "below 1"),
            (r#"{"model_type": "jamlet"}"#, "layers_block_type", "nothing", "a list of 32"),
            (
                r#"{"model_type": "jamlet", "num_hidden_layers": 1, "layers_block_type": ["s5"]}"#,
                "layers_block_type",
                "s5",
                "\"s4d\"",
            ),
            (
                r#"{"architectures": ["JambaForSequenceClassification"]}"#,
                "architectures",
                "SequenceClass",
                "JambaForCausalLM",
            ),
            (r#"{"architectures": ["JambaModel"]}"#, "architectures", "JambaModel", "JambaForCausalLM"),
            (r#"{"hidden_act": "gelu"}"#, "hidden_act", "gelu", "silu"),
            (r#"{"sliding_window": 512}"#, "sliding_window", "512", "null"),
            (r#"{"quantization_config": {"bits": 8}}"#, "quantization_config", "bits", "bf16"),
            (r#"{"mamba_inner_layernorms": false}"#, "mamba_inner_layernorms", "false", "true"),
            (r#"{"hidden_size": 0}"#, "hidden_size", "0", "from 1"),
            (r#"{"hidden_size": -8}"#, "hidden_size", "-8", "from 1"),
            (r#"{"hidden_size": 40.5}"#, "hidden_size", "40.5", "an integer"),
            (r#"{"hidden_size": 1e30}"#, "hidden_size", "1e+30", "an integer"),
            (r#"{"vocab_size": "many"}"#, "vocab_size", "many", "an integer"),
            (r#"{"vocab_size": 4294967296}"#, "vocab_size", "4294967296", "to 16777216"),
            (r#"{"num_attention_heads": 3}"#, "num_attention_heads", "3", "divisor of hidden_size 40"),
            (r#"{"num_key_value_heads": 3}"#, "num_key_value_heads", "3", "divisor of num_attention_heads 4"),
            (r#"{"head_dim": 16}"#, "head_dim", "16", "= 10"),
            (r#"{"attn_layer_offset": 8}"#, "attn_layer_offset", "8", "less than attn_layer_period 8"),
            (r#"{"attn_layer_period": 4}"#, "attn_layer_period", "4", "defaults to 4"),
            (r#"{"expert_layer_offset": 2}"#, "expert_layer_offset", "2", "less than expert_layer_period 2"),
            (r#"{"expert_layer_period": 0}"#, "expert_layer_period", "0", "from 1"),
            (r#"{"num_experts": 4, "num_local_experts": 8}"#, "num_local_experts", "8", "num_experts"),
            (r#"{"num_experts": 4, "num_experts_per_tok": 5}"#, "num_experts_per_tok", "5", "at most num_experts 4"),
            (r#"{"mamba_expand": 1.01}"#, "mamba_expand", "1.01", "hidden_size 40"),
            (r#"{"mamba_expand": "two"}"#, "mamba_expand", "two", "a number"),
            (r#"{"mamba_dt_rank": "big"}"#, "mamba_dt_rank", "big", "\"auto\""),
            (r#"{"mamba_conv_bias": 1}"#, "mamba_conv_bias", "1", "true or false"),
            (r#"{"rms_norm_eps": 0}"#, "rms_norm_eps", "0", "above 0"),
            (r#"{"eos_token_id": [2, 70000]}"#, "eos_token_id", "70000", "below vocab_size 65536"),
            (r#"{"bos_token_id": "one"}"#, "bos_token_id", "one", "token ids"),
        ] {
            let error = with(changes).expect_err(changes).to_string();
            assert!(error.starts_with(&format!("folder/config.json: {field}: found ")), "{changes}: {error}");
            let (left, right) = error.split_once(", expected ").unwrap();
            assert!(left.contains(found) && right.contains(expected), "{changes}: {error}");
        }
        assert!(parse("[]").unwrap_err().to_string().contains("folder/config.json: not a JSON object"));
        assert!(parse("{}").unwrap_err().to_string().contains("model_type: found nothing, expected \"jamba\""));
    }
}
