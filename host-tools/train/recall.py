"""Trains two tiny models that look facts up, and writes texts to try them on: for `cargo xtask recall`.

    python recall.py OUT          # half a minute a model on one core

A text is noise with facts in it, then questions: `BOS body question answer question answer …`. A fact is one token that
binds a key to a value, so that recalling it needs no positions. *passkey* has four facts side by side somewhere in the
noise; *recall* has up to 32, scattered; four are asked for. Texts of 16 to 96 tokens are trained on, with attention to
all of them: nothing prepares the models for a bounded cache.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from export import hf_config
from model import Config, Jamba

BOS, NOISE, NOISES, KEYS, VALUES, QUESTIONS = 1, 4, 16, 32, 8, 4
VALUE = NOISE + NOISES
QUERY = VALUE + VALUES
FACT = QUERY + KEYS
VOCAB = FACT + KEYS * VALUES
#: Layers of which every how-manieth, from which on, is attention; the width of the MLP makes the sizes equal.
MODELS = {"transformer": (1, 0, 129), "jamba": (2, 1, 64)}


def make(task: str, random: np.random.Generator, rows: int, length: int):
    """(rows, T) tokens, and the columns that are answers."""
    body = random.integers(NOISE, NOISE + NOISES, (rows, length))
    count = QUESTIONS if task == "passkey" else min(KEYS, length // 2)
    keys = random.permuted(np.tile(np.arange(KEYS), (rows, 1)), axis=1)[:, :count]
    values = random.integers(0, VALUES, (rows, count))
    if task == "passkey":
        places = random.integers(0, length - count + 1, (rows, 1)) + np.arange(count)
    else:
        places = random.random((rows, length)).argsort(axis=1)[:, :count]
    np.put_along_axis(body, places, FACT + keys * VALUES + values, 1)
    asked = random.permuted(np.tile(np.arange(count), (rows, 1)), axis=1)[:, :QUESTIONS]
    pairs = [QUERY + np.take_along_axis(keys, asked, 1), VALUE + np.take_along_axis(values, asked, 1)]
    tokens = np.concatenate([np.full((rows, 1), BOS), body, np.stack(pairs, 2).reshape(rows, -1)], 1)
    return torch.from_numpy(tokens), np.arange(length + 2, tokens.shape[1], 2)


def train(name: str, out: Path, steps: int, rate: float = 4e-3) -> None:
    torch.manual_seed(1)
    random = np.random.default_rng(1)
    period, offset, ffn = MODELS[name]
    config = Config(VOCAB, 48, ffn, 2, 4, 2, period, offset)
    model = Jamba(config)
    for key, weight in model.named_parameters():
        if key.endswith("_proj.weight") and "dt_proj" not in key:
            torch.nn.init.normal_(weight, std=(2 * weight.shape[1]) ** -0.5)
    torch.nn.init.normal_(model.embed_tokens.weight, std=0.3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    losses = []
    for step in range(steps):
        # Short texts first, so that there is something to learn from early on.
        length = int(random.integers(16, 17 + min(80, int(80 * step / (0.6 * steps)))))
        loss = 0
        for task in ("passkey", "recall"):
            tokens, answers = make(task, random, 16, length)
            logits = model.head(model.hidden_states(tokens[:, :-1])[:, answers - 1])
            loss = loss + F.cross_entropy(logits.flatten(0, 1), tokens[:, answers].flatten()) / 2
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 50) * (0.05 + 0.95 * (1 - step / steps))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            print(f"{name}: {step + 1} steps, loss {np.mean(losses[-100:]):.3f}", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(hf_config(config), indent=2) + "\n")
    tensors = {f"model.{key}": weight.detach().float().contiguous() for key, weight in model.state_dict().items()}
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(11)
    with open(args.out / "cases.jsonl", "w") as file:
        for task in ("passkey", "recall"):
            for length in (32, 64, 128, 256):
                tokens, answers = make(task, random, 50, length)
                for row in tokens.tolist():
                    case = {"task": task, "length": length, "tokens": row, "answers": answers.tolist()}
                    file.write(json.dumps(case) + "\n")
    for name in MODELS:
        train(name, args.out / name, args.steps)


if __name__ == "__main__":
    main()
