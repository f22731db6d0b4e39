//! A damaged Hugging Face folder is an error that names the file, the field or tensor, what is there and what would be
//! right. Each test damages a copy of a fixture in one way.

use std::path::Path;

use jamlet_tests::fixtures;
use jamlet_tools::reference::Reference;
use serde_json::{Value, json};
use tempfile::TempDir;

const MODEL: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// A copy of a fixture.
struct Folder(TempDir);

impl Folder {
    fn copy(fixture: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(fixtures::dir(fixture)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.path().join(file)).unwrap()
    }

    fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(file), bytes).unwrap();
    }

    fn remove(&self, file: &str) {
        std::fs::remove_file(self.path().join(file)).unwrap();
    }

    fn edit_json(&self, file: &str, edit: impl FnOnce(&mut Value)) {
        let mut value = serde_json::from_slice(&self.read(file)).unwrap();
        edit(&mut value);
        self.write(file, value.to_string());
    }

    /// Edits the header and the numbers of a safetensors file.
    fn edit_tensors(&self, file: &str, edit: impl FnOnce(&mut Value, &mut Vec<u8>)) {
        let bytes = self.read(file);
        let (size, rest) = bytes.split_first_chunk().unwrap();
        let (header, data) = rest.split_at(u64::from_le_bytes(*size) as usize);
        let (mut header, mut data) = (serde_json::from_slice(header).unwrap(), data.to_vec());
        edit(&mut header, &mut data);
        let header = header.to_string();
        self.write(file, [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat());
    }

    /// Asserts that the folder is refused with a message that holds all of `parts` in their order.
    #[track_caller]
    fn refused_with(&self, parts: &[&str]) {
        let error = Reference::load(self.path()).err().expect("this folder must be refused").to_string();
        let mut rest = error.as_str();
        for part in parts {
            rest = rest.split_once(part).unwrap_or_else(|| panic!("no {part:?} in its place in: {error}")).1;
        }
    }
}

/// Where a tensor's numbers lie in the data.
fn begin(header: &Value, tensor: &str) -> usize {
    header[tensor]["data_offsets"][0].as_u64().unwrap() as usize
}

#[test]
fn an_untouched_copy_loads() {
    for fixture in ["dense", "moe-in-attention", "moe-fused", "legacy-names"] {
        assert!(Reference::load(Folder::copy(fixture).path()).is_ok(), "{fixture}");
    }
}

#[test]
fn a_bad_config_field() {
    let folder = Folder::copy("dense");
    folder.edit_json("config.json", |c| c["attn_layer_offset"] = json!(4));
    folder.refused_with(&["config.json: attn_layer_offset", "found 4", "expected less than attn_layer_period 4"]);
    folder.edit_json("config.json", |c| c["architectures"] = json!(["JambaForSequenceClassification"]));
    folder.refused_with(&[
        "config.json: architectures",
        "JambaForSequenceClassification",
        "expected",
        "JambaForCausalLM",
    ]);
    folder.write("config.json", "{");
    folder.refused_with(&["config.json: not a JSON object"]);
    folder.remove("config.json");
    folder.refused_with(&["no config.json here"]);
}

#[test]
fn a_missing_tensor() {
    let folder = Folder::copy("dense");
    folder.edit_tensors(MODEL, |header, _| {
        let tensors = header.as_object_mut().unwrap();
        let tensor = tensors.remove("model.layers.0.mamba.dt_layernorm.weight").unwrap();
        tensors.insert("model.layers.0.mamba.delta_layernorm.weight".into(), tensor);
    });
    folder.refused_with(&["tensor model.layers.0.mamba.dt_layernorm.weight", "found nothing", "expected shape [2]"]);

    let folder = Folder::copy("dense");
    folder.edit_json("config.json", |c| c["tie_word_embeddings"] = json!(false));
    folder.refused_with(&["tensor lm_head.weight", "found nothing", "expected shape [96, 32]"]);

    let folder = Folder::copy("moe-fused");
    folder.edit_json("config.json", |c| c["mamba_proj_bias"] = json!(true));
    folder.refused_with(&["tensor model.layers.0.mamba.in_proj.bias", "found nothing", "expected shape [96]"]);
}

#[test]
fn an_extra_tensor() {
    let folder = Folder::copy("dense");
    folder.edit_json("config.json", |c| c["mamba_conv_bias"] = json!(false));
    folder.refused_with(&[
        "model.safetensors: tensor model.layers.0.mamba.conv1d.bias",
        "found unknown tensor of shape [64]",
        "2 more: model.layers.1.mamba.conv1d.bias",
        "expected only the tensors that config.json implies",
    ]);
    // Fewer experts than the checkpoint has, one by one.
    let folder = Folder::copy("moe-top-1");
    folder.edit_json("config.json", |c| c["num_experts"] = json!(3));
    folder.refused_with(&[
        "tensor model.layers.1.feed_forward.router.weight",
        "shape [4, 24]",
        "expected shape [3, 24]",
    ]);
}

#[test]
fn a_misshapen_tensor() {
    let folder = Folder::copy("dense");
    folder.edit_tensors(MODEL, |header, _| header["model.layers.0.mamba.x_proj.weight"]["shape"] = json!([64, 34]));
    folder.refused_with(&[
        "model.safetensors: tensor model.layers.0.mamba.x_proj.weight",
        "found shape [64, 34]",
        "expected shape [34, 64]",
    ]);
    // All experts in one tensor, but with inputs and outputs exchanged.
    let folder = Folder::copy("moe-fused");
    folder.edit_tensors(MODEL, |header, _| {
        header["model.layers.1.feed_forward.experts.gate_up_proj"]["shape"] = json!([4, 24, 64]);
    });
    folder.refused_with(&["tensor model.layers.1.feed_forward.experts.gate_up_proj", "[4, 24, 64]", "[4, 64, 24]"]);
}

#[test]
fn a_number_that_is_none() {
    // An infinite bf16 inside of an expert of a fused tensor, (4, 64, 24): it is named by its full index.
    let folder = Folder::copy("moe-fused");
    let name = "model.layers.1.feed_forward.experts.gate_up_proj";
    folder.edit_tensors(MODEL, |header, data| {
        let at = begin(header, name) + 2 * (2 * 64 * 24 + 40 * 24 + 7);
        data[at..at + 2].copy_from_slice(&0xff80u16.to_le_bytes());
    });
    folder.refused_with(&["model.safetensors: tensor", name, "found -inf at [2, 40, 7]", "expected finite"]);

    let folder = Folder::copy("dense");
    folder.edit_tensors(MODEL, |header, data| {
        let at = begin(header, "model.final_layernorm.weight") + 4 * 31;
        data[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    folder.refused_with(&["tensor model.final_layernorm.weight", "found NaN at [31]"]);

    let folder = Folder::copy("dense-proj-bias");
    folder.edit_tensors(MODEL, |header, data| {
        let at = begin(header, "model.layers.1.mamba.D") + 2 * 5;
        data[at..at + 2].copy_from_slice(&0x7c00u16.to_le_bytes());
    });
    folder.refused_with(&["tensor model.layers.1.mamba.D", "found inf at [5]"]);
}

#[test]
fn a_type_that_is_no_plain_float() {
    let folder = Folder::copy("dense");
    folder.edit_tensors(MODEL, |header, _| header["model.layers.0.mamba.D"]["dtype"] = json!("I32"));
    folder.refused_with(&["tensor model.layers.0.mamba.D", "found I32", "expected F32, F16 or BF16"]);
}

#[test]
fn a_tied_head_that_is_no_copy() {
    let folder = Folder::copy("dense-untied-eos-list");
    folder.edit_json("config.json", |c| c["tie_word_embeddings"] = json!(true));
    folder.refused_with(&["tensor lm_head.weight", "found another row 0", "a copy of model.embed_tokens.weight"]);
}

#[test]
fn a_tied_head_that_is_a_copy_is_the_embedding() {
    let folder = Folder::copy("dense");
    folder.edit_tensors(MODEL, |header, data| {
        let size = 96 * 32 * 4;
        let (at, end) = (begin(header, "model.embed_tokens.weight"), data.len());
        data.extend_from_within(at..at + size);
        header["lm_head.weight"] = json!({"dtype": "F32", "shape": [96, 32], "data_offsets": [end, end + size]});
    });
    assert!(Reference::load(folder.path()).is_ok());
}

#[test]
fn a_damaged_safetensors_file() {
    let whole = Folder::copy("dense").read(MODEL);
    let header = u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    let folder = Folder::copy("dense");
    let refused = |bytes: &[u8], parts: &[&str]| {
        folder.write(MODEL, bytes);
        folder.refused_with(&[&["model.safetensors: "], parts].concat());
    };
    refused(&[], &["0 bytes, too short"]);
    refused(&whole[..7], &["7 bytes, too short"]);
    refused(&whole[..8], &["truncated", "in a file of 8"]);
    refused(&whole[..8 + header - 1], &["truncated"]);
    refused(&whole[..8 + header], &["truncated: 0 bytes of tensors", "the header describes"]);
    refused(&whole[..whole.len() - 1], &["truncated", "the header describes"]);
    refused(&[&whole[..], &[0]].concat(), &["bytes after the last tensor"]);
    refused(&[&u64::MAX.to_le_bytes(), &whole[8..]].concat(), &["a header of 18446744073709551615 bytes"]);
    refused(&[&100_000_001u64.to_le_bytes(), &whole[8..]].concat(), &["expected at most 100000000"]);
    refused(&[&whole[..8], &vec![b'x'; header], &whole[8 + header..]].concat(), &["bad safetensors header"]);

    for (field, value) in [
        ("data_offsets", json!([0, 8192])),                         // overlaps
        ("data_offsets", json!([1u64 << 40, (1u64 << 40) + 8704])), // a hole
        ("data_offsets", json!([8704, 0])),
        ("shape", json!([34, 65])),
        ("shape", json!([1u64 << 40, 1u64 << 40])),
        ("dtype", json!("F128")),
    ] {
        let folder = Folder::copy("dense");
        folder.edit_tensors(MODEL, |header, _| header["model.layers.0.mamba.x_proj.weight"][field] = value.clone());
        folder.refused_with(&["model.safetensors: bad safetensors header"]);
    }
}

#[test]
fn shards_and_index_that_disagree() {
    let shard = "model-00002-of-00004.safetensors";
    let folder = Folder::copy("dense-untied-eos-list");
    folder.remove(shard);
    folder.refused_with(&[INDEX, "missing shard", shard]);

    let folder = Folder::copy("dense-untied-eos-list");
    folder.edit_json(INDEX, |index| index["weight_map"]["model.extra"] = json!(shard));
    folder.refused_with(&[
        shard,
        "tensor model.extra",
        "found nothing",
        "expected the tensor that the index puts here",
    ]);

    let folder = Folder::copy("dense-untied-eos-list");
    folder.edit_json(INDEX, |index| {
        let map = index["weight_map"].as_object_mut().unwrap();
        let other = map.values().find(|file| *file != shard).unwrap().clone();
        let (_, file) = map.iter_mut().find(|(_, file)| *file == shard).unwrap();
        *file = other;
    });
    folder.refused_with(&[shard, "tensor ", "where the index puts it"]);

    let folder = Folder::copy("dense-untied-eos-list");
    folder.write("model-00005-of-00004.safetensors", folder.read(shard));
    folder.edit_json(INDEX, |index| index["weight_map"]["model.extra"] = json!("model-00005-of-00004.safetensors"));
    folder.refused_with(&["model-00005-of-00004.safetensors: tensor", "it again, after", shard]);

    let folder = Folder::copy("dense-untied-eos-list");
    folder.edit_json(INDEX, |index| index["weight_map"]["model.extra"] = json!("../model.safetensors"));
    folder.refused_with(&[INDEX, "weight_map", "../model.safetensors", "files beside the index"]);
}

#[test]
fn a_folder_without_safetensors() {
    let folder = Folder::copy("dense");
    folder.remove(MODEL);
    folder.refused_with(&["no checkpoint, expected model.safetensors, or model.safetensors.index.json"]);
    folder.write("pytorch_model.bin", "");
    folder.refused_with(&["only pytorch_model.bin in pickle format", "expected model.safetensors", "save_pretrained"]);
}
