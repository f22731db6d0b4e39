"""Splits the collected pairs by source and removes near-duplicates across the splits.

    split.py RAW PAIRS OUT

RAW: what collect.py wrote. PAIRS: the folder with the committed pairs (scitldr-a, rustsec, eips).
Writes `OUT/{train,debian-val,debian-test,debian-newer,scitldr-val,advisories-val,proposals-val}.jsonl`.

A source package falls into a split by the hash of its name, so all its packages, in all releases, stand on the
same side, and the split is the same on every machine. Packages of sid whose source is in no stable release are
`debian-newer`: what people will write after the training data was made. All held-out pairs of which Debian's part of
the training set has a near-copy are dropped. Ubuntu's releases add pairs to train on alone: none of a source that is
held out, and no near-copies of what is.
"""

import argparse
import hashlib
import json
import lzma
import random
import re
from collections import Counter
from pathlib import Path

from collect import DEBIAN, UBUNTU

*TRAIN_RELEASES, NEWER_RELEASE = DEBIAN
# Of 100 buckets: 0 and 1 validate, 2 and 3 test, the rest train.
VAL, TEST = range(0, 2), range(2, 4)
# A held-out text is a near-copy when this share of its word 5-grams stands in one training text.
SHINGLE, NEAR_COPY = 5, 0.5
NEWER_PAIRS = 1500


def bucket(source: str) -> int:
    return int(hashlib.sha256(source.encode()).hexdigest(), 16) % 100


def load(path: Path) -> list[dict]:
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def save(path: Path, rows: list[dict]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"{path.name}: {len(rows)} pairs", flush=True)


def shingles(text: str) -> set[int]:
    words = re.findall(r"\w+", text.lower())
    return {hash(tuple(words[i : i + SHINGLE])) for i in range(max(1, len(words) - SHINGLE + 1))}


def near_copies(rows: list[dict], train: list[dict]) -> tuple[set[int], set[str]]:
    """Which of `rows` some single text of `train` mostly contains, and which texts of `train` these are."""
    wanted: dict[int, list[int]] = {}
    sizes = []
    for i, row in enumerate(rows):
        found = shingles(row["text"])
        sizes.append(len(found))
        for shingle in found:
            wanted.setdefault(shingle, []).append(i)
    copied, copies = set(), set()
    for text in {row["text"] for row in train}:
        hits = Counter(i for shingle in shingles(text) for i in wanted.get(shingle, ()))
        found = [i for i, n in hits.items() if n >= NEAR_COPY * sizes[i]]
        copied.update(found)
        if found:
            copies.add(text)
    return copied, copies


def without_near_copies(rows: list[dict], train: list[dict]) -> list[dict]:
    """Those of `rows` that no single text of `train` mostly contains."""
    copied, _ = near_copies(rows, train)
    return [row for i, row in enumerate(rows) if i not in copied]


def one_per_package(rows: list[dict]) -> list[dict]:
    """One pair for each package (the last: the newest release), each text and synopsis once."""
    newest = {row["name"]: row for row in rows if row["origin"] == "description"}
    unique = {(row["text"], row["summaries"][0]): row for row in newest.values()}
    return list(unique.values())


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("raw", type=Path)
    args.add_argument("pairs", type=Path)
    args.add_argument("out", type=Path)
    args = args.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    stable = [row for release in TRAIN_RELEASES for row in load(args.raw / f"{release}.jsonl")]
    known = {row["source"] for row in stable}
    newer = [row for row in load(args.raw / f"{NEWER_RELEASE}.jsonl") if row["source"] not in known]

    train = {}
    for row in stable:
        if bucket(row["source"]) >= TEST.stop:
            train.setdefault((row["text"], row["summaries"][0]), row)
    known_pairs = set(train)
    train = [dict(row, kind="debian") for row in train.values()]
    held = {
        "debian-val": [row for row in stable if bucket(row["source"]) in VAL],
        "debian-test": [row for row in stable if bucket(row["source"]) in TEST],
        "debian-newer": newer,
    }
    for name, rows in held.items():
        rows = one_per_package(rows)
        clean = without_near_copies(rows, train)
        print(f"{name}: {len(rows) - len(clean)} of {len(rows)} dropped as near-copies of training texts")
        random.Random(0).shuffle(clean)
        if name == "debian-newer":
            clean = clean[:NEWER_PAIRS]
        held[name] = clean
        save(args.out / f"{name}.jsonl", clean)

    newer_sources = {row["source"] for row in newer}
    ubuntu = {}
    for row in (row for release in UBUNTU for row in load(args.raw / f"{release}.jsonl")):
        pair = (row["text"], row["summaries"][0])
        usable = bucket(row["source"]) >= TEST.stop and row["source"] not in newer_sources
        if usable and pair not in known_pairs:
            ubuntu.setdefault(pair, dict(row, kind="debian"))
    _, copies = near_copies([row for rows in held.values() for row in rows], list(ubuntu.values()))
    ubuntu = [row for row in ubuntu.values() if row["text"] not in copies]
    print(f"{len(ubuntu)} pairs from Ubuntu")
    train += ubuntu

    for kind, file in (("scitldr", "scitldr-a"), ("advisories", "rustsec"), ("proposals", "eips")):
        rows = load(args.pairs / f"{file}.jsonl.xz")
        for row in rows:
            row["name"] = row.pop("id")
        train += [dict(row, kind=kind) for row in rows if row["split"] == "train"]
        val = [row for row in rows if row["split"] == "val"]
        if kind != "scitldr":
            val = without_near_copies(val, [row for row in rows if row["split"] == "train"])
        save(args.out / f"{kind}-val.jsonl", val)
    save(args.out / "train.jsonl", train)


if __name__ == "__main__":
    main()
