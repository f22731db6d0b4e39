"""Hugging Face folders: writes a trained model as a standard `JambaForCausalLM`, and reads one back."""

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from model import Config, Jamba

TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<|startoftext|>",
    "eos_token": "<|endoftext|>",
    "pad_token": "<|pad|>",
    "extra_special_tokens": ["<|summary|>"],
    "clean_up_tokenization_spaces": False,
    "model_max_length": 1_000_000,
}
GENERATION_CONFIG = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "do_sample": False, "max_new_tokens": 40}


def hf_config(c: Config) -> dict:
    return {
        "architectures": ["JambaForCausalLM"],
        "model_type": "jamba",
        "dtype": "float32",
        "vocab_size": c.vocab,
        "hidden_size": c.hidden,
        "intermediate_size": c.ffn,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads,
        "attn_layer_period": c.attn_period,
        "attn_layer_offset": c.attn_offset,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "num_experts": c.experts,
        "num_experts_per_tok": c.active,
        "hidden_act": "silu",
        "rms_norm_eps": c.eps,
        "tie_word_embeddings": True,
        "max_position_embeddings": 4096,
        "mamba_d_state": c.d_state,
        "mamba_d_conv": c.d_conv,
        "mamba_expand": c.expand,
        "mamba_dt_rank": c.dt_rank,
        "mamba_conv_bias": True,
        "mamba_proj_bias": False,
        "use_mamba_kernels": False,
        "use_cache": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }


def save(model: Jamba, tokenizer: Path, out: Path) -> None:
    """Writes `out`; an older model in it is replaced file by file, the weights last."""
    out.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("config.json", hf_config(model.config)),
        ("generation_config.json", GENERATION_CONFIG),
        ("tokenizer_config.json", TOKENIZER_CONFIG),
    ):
        (out / name).write_text(json.dumps(content, indent=2) + "\n")
    if not (out / "tokenizer.json").exists() or not (out / "tokenizer.json").samefile(tokenizer):
        (out / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    tensors = {f"model.{name}": weight.detach().float().contiguous() for name, weight in model.state_dict().items()}
    partial = out / "model.safetensors.partial"
    save_file(tensors, partial, metadata={"format": "pt"})
    partial.rename(out / "model.safetensors")


def load(folder: Path, dropout: float = 0.0) -> Jamba:
    """The model in a folder that `save`, or transformers, wrote."""
    c = json.loads((folder / "config.json").read_text())
    config = Config(
        vocab=c["vocab_size"],
        hidden=c["hidden_size"],
        ffn=c["intermediate_size"],
        layers=c["num_hidden_layers"],
        heads=c["num_attention_heads"],
        kv_heads=c["num_key_value_heads"],
        attn_period=c["attn_layer_period"],
        attn_offset=c["attn_layer_offset"],
        d_conv=c["mamba_d_conv"],
        d_state=c["mamba_d_state"],
        expand=c["mamba_expand"],
        eps=c["rms_norm_eps"],
        experts=c["num_experts"],
        active=c["num_experts_per_tok"] if c["num_experts"] > 1 else 1,
    )
    if not c["tie_word_embeddings"] or c["mamba_dt_rank"] != config.dt_rank:
        raise SystemExit(f"{folder}/config.json: wants tied embeddings and dt_rank {config.dt_rank}")
    if config.experts > 1 and (c["expert_layer_period"], c["expert_layer_offset"]) != (2, 1):
        raise SystemExit(f"{folder}/config.json: wants experts in every second layer, from the second on")
    model = Jamba(config, dropout)
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("lm_head.weight", None)
    model.load_state_dict({name.removeprefix("model."): weight for name, weight in tensors.items()})
    return model
