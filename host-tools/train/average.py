"""Averages models that were refined from the same one with different seeds: better than each (Rame et al. 2024, WARP).

    average.py FOLDER FOLDER .. --out OUT
"""

import argparse
from pathlib import Path

import torch

import export


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("folders", type=Path, nargs="+", help="Hugging Face folders, as refine.py writes")
    args.add_argument("--out", type=Path, required=True)
    args = args.parse_args()
    model, *others = map(export.load, args.folders)
    if any(other.config != model.config for other in others):
        raise SystemExit("the models differ in shape")
    if len({(folder / "tokenizer.json").read_bytes() for folder in args.folders}) > 1:
        raise SystemExit("the models differ in their tokenizer")
    states = [one.state_dict() for one in (model, *others)]
    model.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
    export.save(model, args.folders[0] / "tokenizer.json", args.out)


if __name__ == "__main__":
    main()
