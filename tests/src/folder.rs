//! The smallest Hugging Face folder: one Mamba layer and one of attention, a few hundred numbers.

use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::{Value, json};

/// Its `config.json`.
pub fn config() -> Value {
    json!({
        "model_type": "jamba",
        "vocab_size": 6,
        "hidden_size": 4,
        "intermediate_size": 2,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "num_experts": 1,
        "mamba_d_state": 2,
        "mamba_d_conv": 2,
        "mamba_expand": 2,
        "mamba_dt_rank": 1,
        "tie_word_embeddings": true,
        "bos_token_id": 1,
        "eos_token_id": [2],
    })
}

/// Its tensors with their shapes.
pub fn tensors() -> Vec<(String, Vec<usize>)> {
    let (h, i, v, e, n, r, k) = (4, 2, 6, 8, 2, 1, 2);
    let mut tensors: Vec<(String, Vec<usize>)> =
        vec![("model.embed_tokens.weight".into(), vec![v, h]), ("model.final_layernorm.weight".into(), vec![h])];
    let mut add = |layer: usize, name: &str, shape: &[usize]| {
        tensors.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
    };
    for layer in 0..2 {
        add(layer, "input_layernorm.weight", &[h]);
        add(layer, "pre_ff_layernorm.weight", &[h]);
        add(layer, "feed_forward.gate_proj.weight", &[i, h]);
        add(layer, "feed_forward.up_proj.weight", &[i, h]);
        add(layer, "feed_forward.down_proj.weight", &[h, i]);
    }
    add(0, "mamba.in_proj.weight", &[2 * e, h]);
    add(0, "mamba.conv1d.weight", &[e, 1, k]);
    add(0, "mamba.conv1d.bias", &[e]);
    add(0, "mamba.x_proj.weight", &[r + 2 * n, e]);
    add(0, "mamba.dt_layernorm.weight", &[r]);
    add(0, "mamba.b_layernorm.weight", &[n]);
    add(0, "mamba.c_layernorm.weight", &[n]);
    add(0, "mamba.dt_proj.weight", &[e, r]);
    add(0, "mamba.dt_proj.bias", &[e]);
    add(0, "mamba.A_log", &[e, n]);
    add(0, "mamba.D", &[e]);
    add(0, "mamba.out_proj.weight", &[h, e]);
    add(1, "self_attn.q_proj.weight", &[h, h]);
    add(1, "self_attn.k_proj.weight", &[h / 2, h]);
    add(1, "self_attn.v_proj.weight", &[h / 2, h]);
    add(1, "self_attn.o_proj.weight", &[h, h]);
    tensors
}

/// Its `model.safetensors`, in bf16.
pub fn checkpoint() -> &'static [u8] {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let (mut header, mut end) = (serde_json::Map::new(), 0);
        for (name, shape) in tensors() {
            let begin = end;
            end += 2 * shape.iter().product::<usize>();
            header.insert(name, json!({ "dtype": "BF16", "shape": shape, "data_offsets": [begin, end] }));
        }
        let numbers: Vec<u8> = (0..end / 2).flat_map(|i| (0x3c00_u16 + i as u16 % 0x200).to_le_bytes()).collect();
        safetensors(Value::Object(header).to_string().as_bytes(), &numbers)
    });
    &BYTES
}

/// A byte-level `tokenizer.json`: the bytes, then `ab`, `aab` and a special token.
pub fn tokenizer() -> Value {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut others = 0x100_u32..;
    let characters = (0..=255_u8).map(|byte| match printable(byte) {
        true => char::from(byte),
        false => others.next().and_then(char::from_u32).unwrap_or_default(),
    });
    let mut vocab: serde_json::Map<String, Value> =
        characters.enumerate().map(|(id, c)| (c.to_string(), id.into())).collect();
    vocab.insert("ab".into(), 256.into());
    vocab.insert("aab".into(), 257.into());
    json!({
        "added_tokens": [{ "id": 258, "content": "<s>", "special": true }],
        "normalizer": null,
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false },
        "decoder": { "type": "ByteLevel" },
        "model": { "type": "BPE", "vocab": vocab, "merges": ["a b", ["a", "ab"]] },
    })
}

/// A safetensors file of a header and the bytes after it.
pub fn safetensors(header: &[u8], data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header, data].concat()
}

/// An empty folder of this process, in memory where there is such a place. It is left to the system to clear away.
///
/// # Panics
/// If it can't be made.
pub fn scratch(name: &str) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = parent.join(format!("jamlet-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}
