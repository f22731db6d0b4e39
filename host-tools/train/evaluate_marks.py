"""Scores the sentence that the marker chooses of each text, beside the first and the best one: ROUGE-L, per kind.

    evaluate_marks.py FOLDER PAIRS.jsonl [--count N]
"""

import argparse
import random
from pathlib import Path

import torch

import export
from batches import START, SUMMARY, Encoder, load
from marks import MARKER, solid, tokenize
from sentences import quotable, spans, worth

BATCH = 16


@torch.no_grad()
def logits(model, encoder: Encoder, texts: list[str]) -> list[list[tuple[str, float]]]:
    """Of each text the quotable sentences and their logits; of a text without, what it begins with."""
    out = [[] for _ in texts]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        read = []
        for i in part:
            text, before = texts[i], solid(texts[i])
            found = [(before[end], text[begin:end]) for begin, end in spans(text)]
            ids, ends = tokenize(encoder, text, [end for end, _ in found], drop=False)
            read.append(([START, *ids, SUMMARY], [(t + 1, s) for t, (_, s) in zip(ends, found) if t is not None]))
        width = max(len(ids) for ids, _ in read)
        states = model.hidden_states(torch.tensor([[*ids, *[0] * (width - len(ids))] for ids, _ in read]))
        for i, (_, sentences), row in zip(part, read, states):
            kept = [(t, s) for t, s in sentences if quotable(s)] or sentences[:1]
            out[i] = [(s, (row[t] @ model.embed_tokens.weight[MARKER]).item()) for t, s in kept]
            out[i] = out[i] or [(texts[i][:200], 0.0)]
    return out


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("folder", type=Path)
    args.add_argument("pairs", type=Path)
    args.add_argument("--count", type=int, default=30, help="pairs of each kind at most")
    args.add_argument("--threads", type=int, default=1)
    args = args.parse_args()
    torch.set_num_threads(args.threads)
    rows = [row for row in load(args.pairs) if row.get("style", "sentence") == "sentence"]
    random.Random(1).shuffle(rows)
    kinds: dict[str, list[dict]] = {}
    for row in rows:
        kinds.setdefault(row.get("kind", args.pairs.stem), []).append(row)
    rows = [row for some in kinds.values() for row in some[: args.count]]
    found = logits(export.load(args.folder).eval(), Encoder(args.folder / "tokenizer.json"), [row["text"] for row in rows])
    table: dict[str, list[tuple[float, float, float]]] = {}
    for row, sentences in zip(rows, found):
        values = [(100 * worth(sentence, row["summaries"]), logit) for sentence, logit in sentences]
        start, end = next(spans(row["text"]))
        first = 100 * worth(row["text"][start:end], row["summaries"])
        marked = max(values, key=lambda value: value[1])[0]
        table.setdefault(row.get("kind", args.pairs.stem), []).append((first, marked, max(values)[0]))
    means = {kind: [sum(column) / len(some) for column in zip(*some)] for kind, some in table.items()}
    print("ROUGE-L of the first sentence, of the marked one, of the best one")
    for kind, mean in sorted(means.items()):
        print(f"{kind:22} {len(table[kind]):4}  {mean[0]:5.1f} {mean[1]:5.1f} {mean[2]:5.1f}")
    mean = [sum(column) / len(means) for column in zip(*means.values())]
    print(f"{'mean of the kinds':22} {sum(map(len, table.values())):4}  {mean[0]:5.1f} {mean[1]:5.1f} {mean[2]:5.1f}")


if __name__ == "__main__":
    main()
