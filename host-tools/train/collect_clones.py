"""Collects pairs of general English from clones of public repositories: a text -> what its author or editor wrote as its summary.

    collect_clones.py CLONES OUT [--against FILE.jsonl ..] [--only NAME ..] [--list]

CLONES holds a clone of each repository as `owner+name`, bare or not; `--list` prints shell commands that fetch
those that are missing, with their licences. Writes `OUT/<source>.jsonl`, one pair a line: `{"id", "split", "kind", "style", "text", "summaries"}`, with
"train" or "val" as split; a share of the groups is held back from both, so that others can test what they trained.
Texts that `--against` has, say test sets, are left out as copies are. Same clones, same pairs; nothing is downloaded.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from clones import everyday, filters
from clones.repository import Repository
from clones.sources import EVERYDAY, TECHNICAL


def everyday_pairs(repo: Repository, source, seen: everyday.Filter) -> tuple[list[dict], Counter]:
    seen.dropped = Counter()
    rows = [row for found in source.read(repo) if (row := seen.row(source, *found))]
    return everyday.keep_apart(everyday.cap_openings(rows)), seen.dropped


def technical_pairs(repo: Repository, source, seen: filters.Seen) -> tuple[list[dict], Counter]:
    pairs, copies, dropped = filters.candidates(source.read(repo), source.support)
    return filters.choose(source, pairs, copies, seen, dropped), dropped


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("clones", type=Path)
    args.add_argument("out", type=Path)
    args.add_argument("--against", type=Path, nargs="*", default=[])
    args.add_argument("--only", nargs="*", default=[], help="names of sources")
    args.add_argument("--list", action="store_true", help="print the repositories, and collect nothing")
    args = args.parse_args()
    if args.list:
        for repository, licence in sorted({source.repository: source.licence for source in (*EVERYDAY, *TECHNICAL)}.items()):
            folder = args.clones / repository.replace("/", "+")
            print(f"[ -d '{folder}' ] || git clone --bare https://github.com/{repository} '{folder}'  # {licence}")
        return
    args.out.mkdir(parents=True, exist_ok=True)
    seen = filters.Seen()
    for path in args.against:
        for line in open(path, encoding="utf-8"):
            seen.add(filters.clean(json.loads(line)["text"]), force=True)
    ways = ((EVERYDAY, everyday_pairs, everyday.Filter()), (TECHNICAL, technical_pairs, seen))
    for sources, pairs, known in ways:
        for source in sources:
            if args.only and source.name not in args.only:
                continue
            rows, dropped = pairs(Repository(args.clones, source.repository), source, known)
            count = Counter(row["split"] for row in rows)
            with open(args.out / f"{source.name}.jsonl", "w", encoding="utf-8") as file:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows if row["split"] != "test")
            print(f"{source.name}: {count['train']} to train on, {count['val']} to validate, {count['test']} held back; "
                  f"left out {dict(dropped)}", flush=True)


if __name__ == "__main__":
    main()
