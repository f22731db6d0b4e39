//! Random checkpoints of given sizes, as Hugging Face folders: for measuring speed and memory, which don't depend on what
//! the weights are. Tensors are made when they are written, so that a model may be larger than memory.

use anyhow::{Context, Result};
use clap::{Args as ClapArgs, ValueEnum};
use safetensors::{Dtype, View};
use serde::Serialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Writes a random checkpoint.
#[derive(ClapArgs)]
pub struct Args {
    /// Its size.
    #[arg(value_enum)]
    size: Size,
    /// The folder.
    folder: PathBuf,
}

/// Sizes at which other engines were measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[value(rename_all = "verbatim")]
pub enum Size {
    /// 7.2M parameters.
    S,
    /// 319M parameters, 8 experts, like Jamba-tiny-dev.
    M,
    /// 304M parameters, dense.
    D,
    /// 3.03B parameters (6 GB), with the sizes of AI21-Jamba-Reasoning-3B.
    L,
    /// 340M parameters in 28 layers of Mamba-2 and 4 of attention, with the sizes of Granite-4.0-H-350M.
    #[value(name = "granite-350m")]
    Granite350m,
    /// 1.46B parameters (2.9 GB) in 36 layers of Mamba-2 and 4 of attention, with the sizes of Granite-4.0-H-1B.
    #[value(name = "granite-1b")]
    Granite1b,
    /// 129M parameters, like mamba2-130m.
    #[value(name = "mamba2-130m")]
    Mamba2At130m,
}

impl Size {
    /// As the command line has it.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().into())
    }
}

/// Layers in a file.
const SHARD: u64 = 7;

pub fn run(args: &Args) -> Result<()> {
    write(args.size, &args.folder)
}

/// Writes the checkpoint of a size into a folder.
///
/// # Errors
/// When a file can't be written.
pub fn write(size: Size, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let config = config(size);
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| path.display().to_string())
    };
    write("config.json", &serde_json::to_vec_pretty(&config)?)?;
    write("tokenizer.model", &tokenizer())?;
    let layers = config["num_hidden_layers"].as_u64().context("num_hidden_layers")?;
    let files = layers.div_ceil(SHARD);
    let mut map = BTreeMap::new();
    let mut parameters = 0;
    for file in 0..files {
        let mut tensors = Vec::new();
        if file == 0 {
            outer(&config, &mut tensors);
        }
        for layer in file * SHARD..((file + 1) * SHARD).min(layers) {
            self::layer(&config, layer, &mut tensors);
        }
        let name = format!("model-{:05}-of-{files:05}.safetensors", file + 1);
        for (tensor, random) in &tensors {
            parameters += random.shape.iter().product::<usize>();
            map.insert(tensor.clone(), name.clone());
        }
        let path = folder.join(&name);
        eprintln!("{}", path.display());
        safetensors::serialize_to_file(tensors, None, &path).with_context(|| path.display().to_string())?;
    }
    let index = json!({ "metadata": { "total_size": 2 * parameters }, "weight_map": map });
    write("model.safetensors.index.json", &serde_json::to_vec(&index)?)?;
    eprintln!("{parameters} parameters");
    Ok(())
}

fn config(size: Size) -> Value {
    match size {
        Size::S | Size::M | Size::D | Size::L => jamba(size),
        Size::Granite350m | Size::Granite1b => granite(size),
        Size::Mamba2At130m => mamba2(),
    }
}

/// The config of a Jamba. L has the sizes, the places of attention and the context length of AI21-Jamba-Reasoning-3B's published config
/// as grkthegreat2018-bot/ForgeLM copied them (`scripts/port_jamba_to_forgelm_v2.py`), since it wasn't seen itself.
fn jamba(size: Size) -> Value {
    let sizes = match size {
        Size::S => json!({ "vocab_size": 4096, "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 8,
            "num_attention_heads": 4, "num_key_value_heads": 2, "attn_layer_period": 4, "attn_layer_offset": 2,
            "num_experts": 1, "num_experts_per_tok": 1, "mamba_dt_rank": 16, "tie_word_embeddings": true }),
        Size::M => json!({ "vocab_size": 65536, "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 16,
            "num_attention_heads": 8, "num_key_value_heads": 2, "attn_layer_period": 8, "attn_layer_offset": 4,
            "num_experts": 8, "num_experts_per_tok": 2, "mamba_dt_rank": 32, "tie_word_embeddings": false }),
        Size::D => {
            json!({ "vocab_size": 65536, "hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 16,
            "num_attention_heads": 16, "num_key_value_heads": 4, "attn_layer_period": 8, "attn_layer_offset": 4,
            "num_experts": 1, "num_experts_per_tok": 1, "mamba_dt_rank": 64, "tie_word_embeddings": true })
        }
        _ => {
            json!({ "vocab_size": 65536, "hidden_size": 2560, "intermediate_size": 8192, "num_hidden_layers": 28,
            "num_attention_heads": 20, "num_key_value_heads": 1, "attn_layer_period": 14, "attn_layer_offset": 7,
            "num_experts": 1, "num_experts_per_tok": 1, "mamba_dt_rank": 160, "tie_word_embeddings": true })
        }
    };
    let mut config = json!({ "architectures": ["JambaForCausalLM"], "model_type": "jamba", "dtype": "bfloat16",
        "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_conv_bias": true, "mamba_proj_bias": false,
        "max_position_embeddings": 262_144,
        "expert_layer_period": 2, "expert_layer_offset": 1, "rms_norm_eps": 1e-6, "hidden_act": "silu",
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0 });
    if let (Value::Object(all), Value::Object(sizes)) = (&mut config, sizes) {
        all.extend(sizes);
    }
    config
}

/// The config of a Granite 4.0 H. Sizes, places of attention and context lengths are those of the published configs of
/// granite-4.0-h-350m and granite-4.0-h-1b as others copied them, since they weren't seen themselves: lablup/mlxcel
/// (`src/models/granitemoehybrid_tests.rs`, which has all of 350m's) and gkarfakis19/Rapid-LLM
/// (`configs/model-config/granite_4_0_h_1b_inf.yaml`, which also has the number of 1b's parameters). `residual_multiplier` of 1b is
/// a guess; it changes neither size nor speed. Ids of special tokens are those of the tokenizer below.
fn granite(size: Size) -> Value {
    let (layers, attention, sizes) = match size {
        Size::Granite1b => (
            40,
            [5, 15, 25, 35],
            json!({ "hidden_size": 1536, "intermediate_size": 4096, "shared_intermediate_size": 4096,
                "mamba_d_head": 64, "attention_multiplier": 0.007_812_5, "residual_multiplier": 0.22, "logits_scaling": 6,
                "max_position_embeddings": 131_072 }),
        ),
        _ => (
            32,
            [10, 13, 17, 27],
            json!({ "hidden_size": 768, "intermediate_size": 2048, "shared_intermediate_size": 2048,
                "mamba_d_head": 32, "attention_multiplier": 0.015_625, "residual_multiplier": 0.246, "logits_scaling": 3,
                "max_position_embeddings": 32768 }),
        ),
    };
    let types: Vec<_> =
        (0..layers).map(|layer| if attention.contains(&layer) { "attention" } else { "mamba" }).collect();
    let mut config = json!({ "architectures": ["GraniteMoeHybridForCausalLM"], "model_type": "granitemoehybrid",
        "dtype": "bfloat16", "vocab_size": 100_352, "num_hidden_layers": layers, "layer_types": types,
        "num_attention_heads": 12, "num_key_value_heads": 4, "position_embedding_type": "nope",
        "attention_bias": false, "attention_dropout": 0.0, "embedding_multiplier": 12,
        "mamba_n_heads": 48, "mamba_d_state": 128, "mamba_n_groups": 1, "mamba_d_conv": 4,
        "mamba_expand": 2, "mamba_conv_bias": true, "mamba_proj_bias": false, "mamba_chunk_size": 256,
        "num_local_experts": 0, "num_experts_per_tok": 0, "rope_theta": 10000, "rms_norm_eps": 1e-5, "hidden_act": "silu",
        "initializer_range": 0.1, "tie_word_embeddings": true,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0 });
    if let (Value::Object(all), Value::Object(sizes)) = (&mut config, sizes) {
        all.extend(sizes);
    }
    config
}

/// The config of mamba2-130m.
fn mamba2() -> Value {
    json!({ "architectures": ["Mamba2ForCausalLM"], "model_type": "mamba2", "dtype": "bfloat16",
        "vocab_size": 50_288, "hidden_size": 768, "num_hidden_layers": 24,
        "num_heads": 24, "head_dim": 64, "state_size": 128, "n_groups": 1, "conv_kernel": 4, "expand": 2,
        "use_bias": false, "use_conv_bias": true, "chunk_size": 256, "rms_norm": true, "hidden_act": "silu",
        "residual_in_fp32": true, "layer_norm_epsilon": 1e-5, "initializer_range": 0.1, "time_step_rank": 48,
        "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0 })
}

/// `tokenizer.model`: a SentencePiece model of single bytes, for programs that don't load a checkpoint without one.
fn tokenizer() -> Vec<u8> {
    const NORMAL: u64 = 1;
    const UNKNOWN: u64 = 2;
    const CONTROL: u64 = 3;
    const BYTE: u64 = 6;
    let mut pieces: Vec<(String, u64)> = [("<pad>", CONTROL), ("<s>", CONTROL), ("</s>", CONTROL), ("<unk>", UNKNOWN)]
        .map(|(p, t)| (p.into(), t))
        .into();
    pieces.extend((0..=u8::MAX).map(|byte| (format!("<0x{byte:02X}>"), BYTE)));
    // A space.
    pieces.push(("\u{2581}".into(), NORMAL));
    let mut model = Vec::new();
    for (text, kind) in pieces {
        let mut piece = Vec::new();
        field(&mut piece, 1, text.as_bytes());
        integer(&mut piece, 3, kind);
        field(&mut model, 1, &piece);
    }
    let mut trainer = Vec::new();
    // Byte-pair encoding with bytes for what is no piece; ids of <unk>, <s>, </s> and <pad>.
    for (number, value) in [(3, 2), (35, 1), (40, 3), (41, 1), (42, 2), (43, 0)] {
        integer(&mut trainer, number, value);
    }
    field(&mut model, 2, &trainer);
    let mut normalizer = Vec::new();
    field(&mut normalizer, 1, b"identity");
    // Neither a space before the text nor spaces taken from it.
    for number in [3, 4] {
        integer(&mut normalizer, number, 0);
    }
    field(&mut model, 3, &normalizer);
    model
}

/// Appends a field of bytes to a protocol buffer.
fn field(message: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(message, number << 3 | 2);
    varint(message, bytes.len() as u64);
    message.extend(bytes);
}

/// Appends a field with an integer to a protocol buffer.
fn integer(message: &mut Vec<u8>, number: u64, value: u64) {
    varint(message, number << 3);
    varint(message, value);
}

fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// A tensor that is made when it is asked for.
struct Random {
    shape: Vec<usize>,
    fill: Fill,
    seed: u64,
}

#[derive(Clone, Copy)]
enum Fill {
    /// Evenly around zero, with this standard deviation.
    Spread(f32),
    /// The same everywhere.
    All(f32),
    /// ln 1, ln 2, …, ln N in every row.
    Logs,
}

type Tensors = Vec<(String, Random)>;

fn add(tensors: &mut Tensors, name: String, shape: &[u64], fill: Fill) {
    // FNV-1a of the name: every tensor has numbers of its own.
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let shape = shape.iter().map(|&n| n as usize).collect();
    tensors.push((name, Random { shape, fill, seed }));
}

/// The tensors outside the layers, under the names of the config's family.
fn outer(c: &Value, tensors: &mut Tensors) {
    let (vocab, hidden) = (size(c, "vocab_size"), size(c, "hidden_size"));
    let (embedding, norm) = match c["model_type"].as_str() {
        Some("mamba2") => ("backbone.embeddings.weight", "backbone.norm_f.weight"),
        Some("granitemoehybrid") => ("model.embed_tokens.weight", "model.norm.weight"),
        _ => ("model.embed_tokens.weight", "model.final_layernorm.weight"),
    };
    add(tensors, embedding.into(), &[vocab, hidden], Fill::Spread(0.02));
    add(tensors, norm.into(), &[hidden], Fill::All(1.0));
    if c["tie_word_embeddings"] == false {
        add(tensors, "lm_head.weight".into(), &[vocab, hidden], Fill::Spread(0.02));
    }
}

/// The tensors of a layer.
fn layer(c: &Value, index: u64, tensors: &mut Tensors) {
    match c["model_type"].as_str() {
        Some("mamba2") => mamba2_layer(c, index, tensors),
        Some("granitemoehybrid") => granite_layer(c, index, tensors),
        _ => jamba_layer(c, index, tensors),
    }
}

fn mamba2_layer(c: &Value, index: u64, tensors: &mut Tensors) {
    let prefix = format!("backbone.layers.{index}");
    add(tensors, format!("{prefix}.norm.weight"), &[size(c, "hidden_size")], Fill::All(1.0));
    let groups = size(c, "n_groups") * size(c, "state_size");
    mamba2_block(c, &format!("{prefix}.mixer"), size(c, "num_heads"), groups, size(c, "conv_kernel"), tensors);
}

fn granite_layer(c: &Value, index: u64, tensors: &mut Tensors) {
    let (h, i) = (size(c, "hidden_size"), size(c, "shared_intermediate_size"));
    let prefix = format!("model.layers.{index}");
    if c["layer_types"][index as usize] == "attention" {
        let kv = h / size(c, "num_attention_heads") * size(c, "num_key_value_heads");
        for (name, shape) in [("q", [h, h]), ("k", [kv, h]), ("v", [kv, h]), ("o", [h, h])] {
            add(tensors, format!("{prefix}.self_attn.{name}_proj.weight"), &shape, Fill::Spread(0.02));
        }
    } else {
        let groups = size(c, "mamba_n_groups") * size(c, "mamba_d_state");
        let taps = size(c, "mamba_d_conv");
        mamba2_block(c, &format!("{prefix}.mamba"), size(c, "mamba_n_heads"), groups, taps, tensors);
    }
    for name in ["input_layernorm", "post_attention_layernorm"] {
        add(tensors, format!("{prefix}.{name}.weight"), &[h], Fill::All(1.0));
    }
    add(tensors, format!("{prefix}.shared_mlp.input_linear.weight"), &[2 * i, h], Fill::Spread(0.02));
    add(tensors, format!("{prefix}.shared_mlp.output_linear.weight"), &[h, i], Fill::Spread(0.02));
}

/// The tensors of a Mamba-2 block; `groups` is the width of B, and of C.
fn mamba2_block(c: &Value, block: &str, heads: u64, groups: u64, taps: u64, tensors: &mut Tensors) {
    let (h, e) = (size(c, "hidden_size"), 2 * size(c, "hidden_size"));
    let convolved = e + 2 * groups;
    let mut put = |name: &str, shape: &[u64], fill| add(tensors, format!("{block}.{name}"), shape, fill);
    put("in_proj.weight", &[e + convolved + heads, h], Fill::Spread(0.02));
    put("out_proj.weight", &[h, e], Fill::Spread(0.02));
    put("conv1d.weight", &[convolved, 1, taps], Fill::Spread(0.29));
    put("conv1d.bias", &[convolved], Fill::All(0.0));
    put("dt_bias", &[heads], Fill::All(-4.6));
    put("A_log", &[heads], Fill::Logs);
    put("D", &[heads], Fill::All(1.0));
    put("norm.weight", &[e], Fill::All(1.0));
}

fn jamba_layer(c: &Value, index: u64, tensors: &mut Tensors) {
    let (h, i, e) = (size(c, "hidden_size"), size(c, "intermediate_size"), 2 * size(c, "hidden_size"));
    let (r, n, k) = (size(c, "mamba_dt_rank"), size(c, "mamba_d_state"), size(c, "mamba_d_conv"));
    let (spread, one) = (Fill::Spread(0.02), Fill::All(1.0));
    let mut put = |name: &str, shape: &[u64], fill| add(tensors, format!("model.layers.{index}.{name}"), shape, fill);
    put("input_layernorm.weight", &[h], one);
    put("pre_ff_layernorm.weight", &[h], one);
    if index % size(c, "attn_layer_period") == size(c, "attn_layer_offset") {
        let kv = h / size(c, "num_attention_heads") * size(c, "num_key_value_heads");
        for (name, shape) in [("q", [h, h]), ("k", [kv, h]), ("v", [kv, h]), ("o", [h, h])] {
            put(&format!("self_attn.{name}_proj.weight"), &shape, spread);
        }
    } else {
        for (name, shape) in [("in", [2 * e, h]), ("out", [h, e]), ("x", [r + 2 * n, e]), ("dt", [e, r])] {
            put(&format!("mamba.{name}_proj.weight"), &shape, spread);
        }
        put("mamba.dt_proj.bias", &[e], Fill::All(-4.6));
        put("mamba.conv1d.weight", &[e, 1, k], Fill::Spread(0.29));
        put("mamba.conv1d.bias", &[e], Fill::All(0.0));
        put("mamba.A_log", &[e, n], Fill::Logs);
        put("mamba.D", &[e], one);
        for (name, size) in [("dt", r), ("b", n), ("c", n)] {
            put(&format!("mamba.{name}_layernorm.weight"), &[size], one);
        }
    }
    let experts = size(c, "num_experts");
    let mixture = experts > 1 && index % size(c, "expert_layer_period") == size(c, "expert_layer_offset");
    let projections = [("gate", [i, h]), ("up", [i, h]), ("down", [h, i])];
    if mixture {
        put("feed_forward.router.weight", &[experts, h], spread);
        for expert in 0..experts {
            for (name, shape) in projections {
                put(&format!("feed_forward.experts.{expert}.{name}_proj.weight"), &shape, spread);
            }
        }
    } else {
        for (name, shape) in projections {
            put(&format!("feed_forward.{name}_proj.weight"), &shape, spread);
        }
    }
}

/// A size of the config above.
fn size(config: &Value, name: &str) -> u64 {
    config[name].as_u64().unwrap_or_default()
}

impl View for Random {
    fn dtype(&self) -> Dtype {
        Dtype::BF16
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let count: usize = self.shape.iter().product();
        let columns = self.shape.last().copied().unwrap_or(1);
        let bytes = |x: f32| [(x.to_bits() >> 16) as u8, (x.to_bits() >> 24) as u8];
        let mut state = self.seed;
        let number = |at: usize| match self.fill {
            Fill::All(x) => bytes(x),
            Fill::Logs => bytes(((at % columns + 1) as f32).ln()),
            Fill::Spread(deviation) => {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Evenly from −√3 to √3 deviates by one.
                bytes(((state >> 40) as f32 / 8_388_608.0 - 1.0) * 1.732_050_8 * deviation)
            }
        };
        Cow::Owned((0..count).flat_map(number).collect())
    }

    fn data_len(&self) -> usize {
        2 * self.shape.iter().product::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(size: Size) -> usize {
        let (config, mut tensors) = (config(size), Tensors::new());
        outer(&config, &mut tensors);
        for index in 0..super::size(&config, "num_hidden_layers") {
            layer(&config, index, &mut tensors);
        }
        tensors.iter().map(|(_, tensor)| tensor.shape.iter().product::<usize>()).sum()
    }

    #[test]
    fn a_granite_has_as_many_parameters_as_the_published_one() {
        // By Hugging Face's count of its safetensors, see `granite`.
        assert_eq!(parameters(Size::Granite1b), 1_461_538_368);
    }
}
