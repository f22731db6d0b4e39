//! A `config.json` from a stranger.

use std::path::Path;

use jamlet_tools::hf::JambaConfig;
use jamlet_tools::hf::config::Family;

use super::image::show;
use crate::folder;

/// Reads the bytes as a config.
pub fn run(data: &[u8]) {
    match JambaConfig::parse(Path::new("config.json"), data) {
        Ok(config) => {
            let heads = config.head_dim * config.num_attention_heads;
            assert!(config.vocab_size > 0 && (config.hidden_size == heads || config.family == Family::Granite));
            if let Some(mamba2) = config.mamba2 {
                assert!(
                    config.mamba_d_inner.is_multiple_of(mamba2.heads) && mamba2.heads.is_multiple_of(mamba2.groups)
                );
                assert!(mamba2.step_limit[0] >= 0.0 && mamba2.step_limit[0] <= mamba2.step_limit[1]);
            }
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

/// The config of the small folder, and defaults.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![
        folder::config().to_string().into_bytes(),
        br#"{"model_type":"jamba"}"#.to_vec(),
        br#"{"model_type":"mamba2","time_step_limit":[0.0,{"__float__":"Infinity"}]}"#.to_vec(),
        br#"{"model_type":"granitemoehybrid","num_hidden_layers":2,"layer_types":["mamba","attention"],"head_dim":3,
            "mamba_d_head":"auto","embedding_multiplier":12,"num_local_experts":0,"position_embedding_type":"nope"}"#
            .to_vec(),
    ]
}
