"""Averages models that were refined from the same one with different seeds: better than each (Rame et al. 2024, WARP).

    average.py FOLDER FOLDER .. --out OUT [--origin FOLDER --weights W W ..]

With an origin, the model that they were refined from, each one's way from there counts by its weight. Weights that add up
to more than one go beyond the average.
"""

import argparse
from pathlib import Path

import export


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("folders", type=Path, nargs="+", help="Hugging Face folders, as refine.py writes")
    args.add_argument("--out", type=Path, required=True)
    args.add_argument("--origin", type=Path, help="what they were refined from")
    args.add_argument("--weights", type=float, nargs="+", help="one for each folder (default: the average)")
    parser, args = args, args.parse_args()
    weights = args.weights or [1 / len(args.folders)] * len(args.folders)
    if bool(args.origin) != bool(args.weights) or len(weights) != len(args.folders):
        parser.error("--origin and --weights go together, with a weight for each folder")
    model, *others = map(export.load, args.folders)
    if any(other.config != model.config for other in others):
        raise SystemExit("the models differ in shape")
    if len({(folder / "tokenizer.json").read_bytes() for folder in args.folders}) > 1:
        raise SystemExit("the models differ in their tokenizer")
    states = [one.state_dict() for one in (model, *others)]
    # Without an origin the weights add up to one, and it doesn't matter where the ways begin.
    origin = export.load(args.origin).state_dict() if args.origin else states[0]
    model.load_state_dict({
        name: start + sum(weight * (state[name] - start) for weight, state in zip(weights, states))
        for name, start in origin.items()
    })
    export.save(model, args.folders[0] / "tokenizer.json", args.out)


if __name__ == "__main__":
    main()
