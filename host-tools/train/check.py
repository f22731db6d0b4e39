"""Checks that transformers loads a model folder as it is and computes the same logits.

    check.py FOLDER [--texts PAIRS.jsonl]
"""

import argparse
from pathlib import Path

import torch
from transformers import AutoTokenizer, JambaForCausalLM

import export
from batches import Encoder, load

LIMIT = 1e-3


@torch.no_grad()
def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("folder", type=Path)
    args.add_argument("--pairs", type=Path, required=True)
    args.add_argument("--count", type=int, default=8)
    args = args.parse_args()
    torch.set_num_threads(1)
    theirs, info = JambaForCausalLM.from_pretrained(args.folder, output_loading_info=True, dtype=torch.float32)
    lost = {key: value for key, value in info.items() if value}
    if lost:
        raise SystemExit(f"{args.folder}: transformers reports {lost}, wanted a folder that it loads whole")
    ours = export.load(args.folder).eval()
    encoder, tokenizer = Encoder(args.folder / "tokenizer.json"), AutoTokenizer.from_pretrained(args.folder)
    worst = 0.0
    for row in load(args.pairs)[: args.count]:
        head, tail = encoder(row["text"], row["summaries"][0])
        same = tokenizer(row["text"], add_special_tokens=False)["input_ids"][: len(head) - 2]
        if same != head[1:-1]:
            raise SystemExit(f"{args.folder}: transformers tokenizes {row['name']} differently")
        tokens = torch.tensor([head + tail])
        worst = max(worst, (ours(tokens) - theirs(tokens).logits).abs().max().item())
    print(f"{args.folder}: logits differ from transformers by at most {worst:.1e}")
    if not worst <= LIMIT:
        raise SystemExit(f"at most {LIMIT} is rounding")


if __name__ == "__main__":
    main()
