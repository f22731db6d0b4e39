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

# Files of the evaluation folder, and whether all ways of summarizing are measured: the large ones take long.
SETS = {
    "debian-val": ("Debian package descriptions (`debian-val`)", {"rewrite"}),
    "scitldr-val": ("abstracts of papers (SciTLDR)", set()),
    "advisories-val": ("security advisories (RustSec)", {"quote", "rewrite"}),
    "proposals-val": ("Ethereum improvement proposals", {"quote", "rewrite"}),
}
GENERAL, FEWEST = "general-val", 30
# How many summaries are shown of which of them.
OUTPUTS, SEED = {"debian-val": 20, "advisories-val": 10}, 0


def score(jamlet: Path, image: Path, pairs: Path, *options: str) -> tuple[dict, list[dict]]:
    """The report, and each summary with its scores."""
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "summaries.jsonl"
        command = [jamlet, "score", "-m", image, "--pairs", pairs, "--json", "--summaries", lines, *options]
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

A Jamba that summarizes English texts in one line. By default `jamlet` quotes the sentence that says most; where a gate is sure that it is better,
the model writes the line itself (column *rewritten* below).

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
    print(f"""
## Scores

By `jamlet score -m {args.image.name} --pairs FILE.jsonl --json`, one line a text, default options (window 256, two beams); *quote* and *rewrite* are with
`--style`. ROUGE-L, F-measure with stemming, in percent, over all pairs of a file. *Best sentence* is chosen knowing the answer. *From nowhere*
is the share of summaries with a content word that the text has in no form, *people* that of the right summaries; – was not measured.

| texts | pairs | default | quote | rewrite | first sentence | best sentence | rewritten | from nowhere | people |
|---|---|---|---|---|---|---|---|---|---|""")
    reports, shown = {}, {}
    for name, (title, ways) in SETS.items():
        pairs = args.eval / f"{name}.jsonl"
        report, lines = score(args.jamlet, args.image, pairs)
        reports[name], shown[name] = report, (pairs, lines)
        styled = {way: rouge(score(args.jamlet, args.image, pairs, "--style", way)[0]["model"]) for way in ways}
        print(f"| {title} | {report['texts']:,} | **{rouge(report['model'])}** | {styled.get('quote', '–')} "
              f"| {styled.get('rewrite', '–')} | {common(report)} | {report['reference_foreign']:.0f} % |", flush=True)
    tenth, *_, half, _, _, _, _, whole = reports["debian-val"]["coverage"]
    print(f"\n`debian-val` by confidence: of the surest 10 % ROUGE-L is {tenth:.1f}, of the surest half {half:.1f}, of all {whole:.1f}.")
    general(args)
    print("\n## Outputs\n\nDrawn by a seeded generator, not selected; default options.")
    for name, count in OUTPUTS.items():
        pairs, lines = shown[name]
        texts = [json.loads(line)["text"] for line in pairs.read_text().splitlines()]
        print(f"\n### {count} of {name}\n\n| text | summary | way | a person's |\n|---|---|---|---|")
        for line in sorted(random.Random(SEED).sample(lines, count), key=lambda line: line["index"]):
            print(f"| {cell(texts[line['index']])} | {cell(line['summary'])} | {line['way']} | {cell(line['reference'])} |")


def general(args: argparse.Namespace) -> None:
    """Scores by kind of general English."""
    kinds = {}
    for line in (args.eval / f"{GENERAL}.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["style"] == "sentence":
            kinds.setdefault(row["kind"], []).append(line)
    print(f"""
### General English

The validation split of general English ([the data card](../train/DATA.md)), each file of `{GENERAL}` whose summaries are sentences and that has
at least {FEWEST} pairs.

| file | pairs | default | first sentence | best sentence | rewritten | from nowhere |
|---|---|---|---|---|---|---|""")
    reports = []
    for kind, lines in sorted(kinds.items()):
        if len(lines) < FEWEST:
            continue
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as pairs:
            pairs.write("\n".join(lines))
            pairs.flush()
            report, _ = score(args.jamlet, args.image, Path(pairs.name))
        reports.append(report)
        print(f"| `{kind}` | {len(lines)} | **{rouge(report['model'])}** | {common(report)} |", flush=True)
    texts = sum(report["texts"] for report in reports)
    mean = {key: {"rouge_l": sum(report[key]["rouge_l"] for report in reports) / len(reports)}
            for key in ("model", "first_sentence", "best_sentence")}
    # Shares are of all texts.
    mean["ways"] = {"rewrite": sum(report["ways"].get("rewrite", 0) * report["texts"] for report in reports) / texts}
    mean["foreign"] = sum(report["foreign"] * report["texts"] for report in reports) / texts
    print(f"| mean of {len(reports)} files | {texts:,} | **{rouge(mean['model'])}** | {common(mean)} |")


def rouge(scores: dict) -> str:
    return f"{scores['rouge_l']:.1f}"


def common(report: dict) -> str:
    """The columns that both tables have."""
    return (f"{rouge(report['first_sentence'])} | {rouge(report['best_sentence'])} "
            f"| {report['ways'].get('rewrite', 0):.0f} % | {report['foreign']:.1f} %")


if __name__ == "__main__":
    main()
