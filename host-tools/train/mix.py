"""Makes the general pairs ready for general.py: what may be learnt of each, and which are held out.

    mix.py PAIRS DATA

PAIRS holds `*.jsonl` with {"id", "split", "kind", "style", "text", "summaries"} as collect_everyday.py and collect_technical.py
write them. Writes `DATA/general-train.jsonl` and `DATA/general-val.jsonl`: of titles, and of summaries of which the text supports
too little, only the sentences' worth is learnt (`"write": false`).
"""

import argparse
import json
from pathlib import Path

from sentences import supported_share

# A summary of which less is supported isn't written, only compared with sentences.
SUPPORTED = 0.7
SKIPPED = ("english.txt",)
LONGEST_SUMMARY = 300  # characters


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("pairs", type=Path)
    args.add_argument("data", type=Path)
    args = args.parse_args()
    args.data.mkdir(parents=True, exist_ok=True)
    out = {split: open(args.data / f"general-{split}.jsonl", "w", encoding="utf-8") for split in ("train", "val")}
    for path in sorted(args.pairs.glob("*.jsonl")):
        if path.stem in SKIPPED:
            continue
        counts = {"train": 0, "val": 0, "write": 0}
        for line in open(path, encoding="utf-8"):
            row = json.loads(line)
            summaries = [s for s in row["summaries"] if len(s) <= LONGEST_SUMMARY]
            if not summaries:
                continue
            kept = [s for s in summaries if supported_share(s, row["text"]) >= SUPPORTED]
            write = row["style"] == "sentence" and bool(kept)
            found = {"name": row["id"], "kind": path.stem, "topic": row["kind"], "style": row["style"], "text": row["text"],
                     "summaries": kept if write and row["split"] == "train" else summaries, "write": write}
            out[row["split"]].write(json.dumps(found, ensure_ascii=False) + "\n")
            counts[row["split"]] += 1
            counts["write"] += write and row["split"] == "train"
        print(f"{path.stem}: {counts['train']} to train on, {counts['write']} of them to write, {counts['val']} to validate")


if __name__ == "__main__":
    main()
