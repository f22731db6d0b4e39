//! A `config.json` from a stranger.

use std::path::Path;

use jamlet_tools::hf::JambaConfig;

use super::image::show;
use crate::folder;

/// Reads the bytes as a config.
pub fn run(data: &[u8]) {
    match JambaConfig::parse(Path::new("config.json"), data) {
        Ok(config) => {
            assert!(config.vocab_size > 0 && config.hidden_size == config.head_dim * config.num_attention_heads);
            assert!(config.num_experts == 1 || config.num_experts_per_tok <= config.num_experts);
            assert!(
                config.eos_token_ids.iter().chain(&config.bos_token_id).all(|&id| (id as usize) < config.vocab_size)
            );
            assert!(config.layers().len() == config.num_hidden_layers);
            assert_eq!(config.layers().take(64).count(), config.num_hidden_layers.min(64));
        }
        Err(error) => show(&error),
    }
}

/// The config of the small folder, and the defaults.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![folder::config().to_string().into_bytes(), br#"{"model_type":"jamba"}"#.to_vec()]
}
