//! Chat models that are made in a moment: a real tokenizer, a chat template, and few weights.

use crate::tool::{ok, root, text};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

const HIDDEN: usize = 64;

/// What a model answers.
pub enum Answers {
    /// Of each pair the second one behind the first; behind any other token the end of the turn.
    Chain(&'static [(&'static str, &'static str)]),
    /// What nobody knows, but it depends on all that was read.
    Random,
}

/// A model in a folder, and its image.
pub struct ChatModel {
    folder: TempDir,
}

impl ChatModel {
    /// Writes a folder with a template of `tests/fixtures/chats`, and packs it.
    pub fn new(template: &str, answers: &Answers) -> Self {
        let model = Self { folder: tempfile::tempdir().expect("a folder") };
        let hf = model.folder();
        fs::create_dir(&hf).expect("a folder");
        let tokenizer = tokenizer();
        let vocab = ids(&tokenizer).len();
        let write = |name: &str, bytes: &[u8]| fs::write(hf.join(name), bytes).expect("a file");
        write("config.json", config(vocab).to_string().as_bytes());
        write("tokenizer.json", tokenizer.to_string().as_bytes());
        write("tokenizer_config.json", b"{}");
        fs::copy(root(&format!("tests/fixtures/chats/{template}.jinja")), hf.join("chat_template.jinja"))
            .expect("a template");
        write("model.safetensors", &weights(&tokenizer, vocab, answers));
        ok(&["pack", text(&hf), "-o", text(&model.image())]);
        model
    }

    /// The Hugging Face folder.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("hf")
    }

    /// The image.
    pub fn image(&self) -> PathBuf {
        self.file("image.jamlet")
    }

    /// A file beside the image.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// That of a fixture, with the marks of ChatML and of thinking.
fn tokenizer() -> Value {
    let json = fs::read(root("tests/fixtures/tokenizers/qwen-2/tokenizer.json")).expect("a tokenizer");
    let mut json: Value = serde_json::from_slice(&json).expect("JSON");
    let added = json["added_tokens"].as_array_mut().expect("a list");
    for (id, (mark, special)) in
        (800..).zip([("<|im_start|>", true), ("<|im_end|>", true), ("<think>", false), ("</think>", false)])
    {
        added.push(json!({ "id": id, "content": mark, "special": special, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false }));
    }
    json
}

/// All tokens with their ids.
fn ids(tokenizer: &Value) -> Vec<(String, usize)> {
    let id = |value: &Value| value.as_u64().expect("an id") as usize;
    let vocab = tokenizer["model"]["vocab"].as_object().expect("a vocabulary");
    let added = tokenizer["added_tokens"].as_array().expect("a list");
    let known = |content: &Value| vocab.contains_key(content.as_str().unwrap_or_default());
    let new = added.iter().filter(|token| !known(&token["content"]));
    let new = new.map(|token| (token["content"].as_str().unwrap_or_default().to_owned(), id(&token["id"])));
    vocab.iter().map(|(text, value)| (text.clone(), id(value))).chain(new).collect()
}

fn config(vocab: usize) -> Value {
    json!({
        "architectures": ["JambaForCausalLM"], "model_type": "jamba",
        "vocab_size": vocab, "hidden_size": HIDDEN, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "attn_layer_period": 2, "attn_layer_offset": 1,
        "num_experts": 1, "num_experts_per_tok": 1, "expert_layer_period": 2, "expert_layer_offset": 1,
        "mamba_d_state": 4, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_dt_rank": 4,
        "mamba_conv_bias": true, "mamba_proj_bias": false, "rms_norm_eps": 1e-6, "hidden_act": "silu",
        "tie_word_embeddings": false, "bos_token_id": null, "eos_token_id": null,
    })
}

/// `model.safetensors`.
fn weights(tokenizer: &Value, vocab: usize, answers: &Answers) -> Vec<u8> {
    let mut state = 1_u64;
    // xorshift64, from -1 to 1.
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    };
    let (h, i, e, n, r) = (HIDDEN, 32, 2 * HIDDEN, 4, 4);
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        ("model.embed_tokens.weight".into(), vec![vocab, h]),
        ("model.final_layernorm.weight".into(), vec![h]),
        ("lm_head.weight".into(), vec![vocab, h]),
    ];
    let mut add = |layer: usize, name: &str, shape: &[usize]| {
        shapes.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
    };
    for layer in 0..2 {
        add(layer, "input_layernorm.weight", &[h]);
        add(layer, "pre_ff_layernorm.weight", &[h]);
        add(layer, "feed_forward.gate_proj.weight", &[i, h]);
        add(layer, "feed_forward.up_proj.weight", &[i, h]);
        add(layer, "feed_forward.down_proj.weight", &[h, i]);
    }
    add(0, "mamba.in_proj.weight", &[2 * e, h]);
    add(0, "mamba.conv1d.weight", &[e, 1, 4]);
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
    // What layers add to the last token's embedding.
    let outputs = ["out_proj.weight", "o_proj.weight", "down_proj.weight"];
    let (mut header, mut data, mut embedding) = (serde_json::Map::new(), Vec::<u8>::new(), Vec::new());
    for (name, shape) in &shapes {
        let count = shape.iter().product();
        let mut numbers: Vec<f32> = match answers {
            _ if name.ends_with("norm.weight") => vec![1.0; count],
            Answers::Chain(_) if outputs.iter().any(|output| name.ends_with(output)) => vec![0.0; count],
            _ => (0..count).map(|_| draw()).collect(),
        };
        match (name.as_str(), answers) {
            ("model.embed_tokens.weight", _) => embedding.clone_from(&numbers),
            ("lm_head.weight", Answers::Chain(pairs)) => numbers = chain(tokenizer, &embedding, pairs),
            _ => {}
        }
        let begin = data.len();
        data.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        header.insert(name.clone(), json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()] }));
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

/// A head that finds a token's successor: the row of each token is the sum of the embeddings of those that it follows.
fn chain(tokenizer: &Value, embedding: &[f32], pairs: &[(&str, &str)]) -> Vec<f32> {
    let ids = ids(tokenizer);
    let id = |text: &str| ids.iter().find(|(token, _)| token == text).expect(text).1;
    let mut head = vec![0.0; embedding.len()];
    for (before, after) in pairs {
        let (from, to) = (HIDDEN * id(before), HIDDEN * id(after));
        for at in 0..HIDDEN {
            head[to + at] += embedding[from + at];
        }
    }
    head
}
