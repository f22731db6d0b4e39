//! A Hugging Face folder from a stranger: byte 0 says what the rest is, and what is made right. What opens is packed, and
//! the engine must read what was packed.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use jamlet::Model;
use jamlet_tools::hf::tokenizer::PromptIds;
use jamlet_tools::hf::{Checkpoint, Weights};
use jamlet_tools::pack::{self, Blobs};

use super::{Input, image::show};
use crate::folder;
use crate::images::AlignedBytes;

const MODEL: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// A folder in memory where there is such a place; this process's own, and gone with it.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| folder::scratch("checkpoint"));

/// Opens the bytes as a checkpoint.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let choice = input.byte();
    let put = |file: &str, bytes: &[u8]| fs::write(FOLDER.join(file), bytes).expect("a file");
    let remove = |file: &str| drop(fs::remove_file(FOLDER.join(file)));
    let config = folder::config().to_string();
    match choice & 3 {
        // A safetensors file.
        0 => {
            remove(INDEX);
            put(MODEL, input.rest());
            put("config.json", config.as_bytes());
        }
        // Its header alone, followed by so many bytes as it asks for.
        1 => {
            remove(INDEX);
            let numbers = usize::from(input.word());
            put(MODEL, &folder::safetensors(input.rest(), &vec![0x3c; numbers]));
            put("config.json", config.as_bytes());
        }
        // An index beside a whole shard.
        2 => {
            remove(MODEL);
            put("shard.safetensors", folder::checkpoint());
            put(INDEX, input.rest());
            put("config.json", config.as_bytes());
        }
        // Another config for the right checkpoint.
        _ => {
            remove(INDEX);
            put(MODEL, folder::checkpoint());
            put("config.json", input.rest());
        }
    }
    match Checkpoint::open(&FOLDER) {
        Ok(checkpoint) => {
            let mut numbers = Vec::new();
            for tensor in checkpoint.tensors() {
                if let Err(error) = tensor.read_rows(0..tensor.rows(), &mut numbers) {
                    show(&error);
                }
            }
        }
        Err(error) => show(&error),
    }
    match Weights::open(&FOLDER) {
        Ok(weights) => packed(&weights),
        Err(error) => show(&error),
    }
}

/// What was opened becomes an image, or an error; an image is one that the engine takes.
fn packed(weights: &Weights) {
    let stops = weights.config().eos_token_ids.clone();
    let prompt = PromptIds { stops, ..PromptIds::default() }.section();
    let blobs = Blobs { prompt, provenance: b"{}".to_vec(), ..Blobs::default() };
    let image = FOLDER.join("image");
    match pack::pack(weights, &blobs, pack::Options { group: 8, ..pack::Options::default() }, &image, |_, _| ()) {
        Ok(_) => {
            let image = AlignedBytes::new(&fs::read(&image).expect("the image"));
            if let Err(error) = Model::parse(image.get()) {
                panic!("the engine refuses what was packed: {error}");
            }
        }
        Err(error) => show(&format_args!("{error:#}")),
    }
}

/// The small folder by its parts.
pub fn seeds() -> Vec<Vec<u8>> {
    let whole = folder::checkpoint();
    let header = u64::from_le_bytes(*whole.first_chunk().expect("a size")) as usize;
    let numbers = (whole.len() - 8 - header) as u16;
    let names = folder::tensors().into_iter().map(|(name, _)| (name, "shard.safetensors".into()));
    let map: serde_json::Map<String, serde_json::Value> = names.collect();
    let index = serde_json::json!({ "weight_map": map }).to_string();
    vec![
        [&[0], whole].concat(),
        [&[1], &numbers.to_le_bytes()[..], &whole[8..8 + header]].concat(),
        [&[2], index.as_bytes()].concat(),
        [&[3], folder::config().to_string().as_bytes()].concat(),
    ]
}
