"""Writes a model card from measurements of the packed image by the int8 engine.

    card.py NAME IMAGE --folder HF --eval DIR --jamlet BINARY --history TEXT > NAME.md
    card.py NAME IMAGE --eval DIR --jamlet BINARY --rescore OLD.md > NAME.md

The second form keeps what the old card tells of the model, and measures the scores again.
Runs `jamlet score` and `jamlet inspect`; every number in the card's tables comes from them or from the files.
"""

import argparse
import json
import random
import subprocess
import tempfile
from pathlib import Path

import numpy
from safetensors.numpy import load_file

SETS = {
    "debian-val": "Debian package descriptions, sources held out",
    "debian-newer": "Debian packages newer than the training data",
    "scitldr-val": "SciTLDR: abstracts of papers",
    "advisories-val": "RustSec: security advisories, held out",
    "proposals-val": "Ethereum improvement proposals, held out",
}
# How many summaries are shown of which of them.
OUTPUTS, SEED = {"debian-val": 20, "advisories-val": 10}, 0


def score(jamlet: Path, image: Path, pairs: Path, *options: str) -> tuple[dict, list[dict]]:
    """The report, and each summary with its scores."""
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "summaries.jsonl"
        command = [jamlet, "score", image, "--pairs", pairs, "--json", "--summaries", lines, *options]
        report = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        return json.loads(report), [json.loads(line) for line in lines.read_text().splitlines()]


def cell(text: str, limit: int = 300) -> str:
    """A text as one table cell."""
    text = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= limit else text[:limit] + " …"


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("name")
    args.add_argument("image", type=Path)
    args.add_argument("--folder", type=Path, help="the Hugging Face folder that was packed")
    args.add_argument("--eval", type=Path, required=True, help="folder with the evaluation pairs")
    args.add_argument("--jamlet", type=Path, required=True)
    args.add_argument("--history", type=Path, help="Markdown: its training and its limits")
    args.add_argument("--rescore", type=Path, metavar="OLD.md", help="a card of this image")
    parser, args = args, args.parse_args()
    if args.rescore:
        print(args.rescore.read_text().partition("## Scores")[0].strip())
    elif args.folder and args.history:
        describe(args)
    else:
        parser.error("--folder and --history, or --rescore")
    scores(args)


def describe(args: argparse.Namespace) -> None:
    """What the model is, and where it comes from."""
    c = json.loads((args.folder / "config.json").read_text())
    tensors = load_file(args.folder / "model.safetensors")
    tensors.pop("lm_head.weight", None)
    parameters = sum(int(numpy.prod(tensor.shape)) for tensor in tensors.values())
    attention = [
        i for i in range(c["num_hidden_layers"]) if i % c["attn_layer_period"] == c["attn_layer_offset"]
    ]
    print(f"""# {args.name}

A Jamba that writes a one-line summary of a short English text: a package description, an abstract, an advisory.

| | |
|---|---|
| parameters | {parameters:,} (embedding and head tied) |
| image | {args.image.stat().st_size:,} bytes, int8 |
| layers | {c['num_hidden_layers']}: attention at {', '.join(map(str, attention))}, Mamba elsewhere |
| hidden, MLP | {c['hidden_size']}, {c['intermediate_size']} |
| attention | {c['num_attention_heads']} query heads, {c['num_key_value_heads']} key-value head |
| Mamba | state {c['mamba_d_state']}, convolution {c['mamba_d_conv']}, dt rank {c['mamba_dt_rank']} |
| vocabulary | {c['vocab_size']:,}, byte-level BPE |
| prompt | `<\\|startoftext\\|>` text `<\\|summary\\|>`; ends with `<\\|endoftext\\|>`; texts were cut at 400 tokens |
| licence | as this repository's; the data's licences are in [the data card](../train/DATA.md) |

{args.history.read_text().strip()}""")


def scores(args: argparse.Namespace) -> None:
    """How good its summaries are, and some of them."""
    print("""
## Scores

By the int8 engine (`jamlet score`, its defaults: the better of two beams), over all pairs; ROUGE F-measures with stemming, in percent.
""")
    shown = {}
    for name, title in SETS.items():
        pairs = args.eval / f"{name}.jsonl"
        report, lines = score(args.jamlet, args.image, pairs)
        greedy, _ = score(args.jamlet, args.image, pairs, "--beams", "1")
        plain, _ = score(args.jamlet, args.image, pairs, "--ungrounded", "--no-repeat-ngram", "3")
        shown[name] = pairs, lines
        print(f"### {title} ({report['texts']:,} pairs)\n")
        print("| | ROUGE-1 | ROUGE-2 | ROUGE-L |\n|---|---|---|---|")
        for label, rouge in (
            (f"**{args.name}**", report["model"]),
            ("with one beam", greedy["model"]),
            ("with one beam and without grounding, no three tokens twice", plain["model"]),
            ("first sentence", report["first_sentence"]),
            ("first 12 words", report["first_words"]),
            ("best heuristic", report["heuristic"]),
            ("best single sentence, chosen knowing the answer", report["best_sentence"]),
        ):
            print(f"| {label} | {rouge['rouge1']:.1f} | {rouge['rouge2']:.1f} | {rouge['rouge_l']:.1f} |")
        print(f"\nEmpty {report['empty']:.1f} %, repeats itself {report['repeats']:.1f} %, has a name or number that "
              f"is not in the text {report['invents']:.1f} % (without grounding: {plain['invents']:.1f} %, "
              f"people: {report['reference_invents']:.1f} %).\n")

    print("## Outputs\n\nDrawn by a seeded generator, not selected.")
    for name, count in OUTPUTS.items():
        pairs, lines = shown[name]
        texts = [json.loads(line)["text"] for line in pairs.read_text().splitlines()]
        print(f"\n### {count} of {name}\n\n| text | summary | a person's |\n|---|---|---|")
        for line in sorted(random.Random(SEED).sample(lines, count), key=lambda line: line["index"]):
            print(f"| {cell(texts[line['index']])} | {cell(line['summary'])} | {cell(line['reference'])} |")


if __name__ == "__main__":
    main()
