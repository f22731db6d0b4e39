"""Collects the READMEs of the crates that this repository depends on, each with its description as the summary.

    collect_readmes.py OUT.jsonl

`cargo metadata` says where Cargo keeps them. Their licences are those that deny.toml allows. Crates of pairs/readmes-kept.txt are left
out: their READMEs are for reading what the models say.

A README looks like a package description, and a model that writes descriptions well writes nonsense of it: the gate has to tell
them apart.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SHORTEST = 80  # characters of prose

# What `jamlet summarize` makes of Markdown, as far as a few expressions take it.
DROPPED = [
    re.compile(r"<!--.*?-->", re.S), re.compile(r"^(```|~~~).*?^\1", re.S | re.M), re.compile(r"<[^>\n]*>"),
    re.compile(r"!\[[^\]]*\](\([^)]*\)|\[[^\]]*\])"), re.compile(r"^\[[^\]]+\]:.*$", re.M), re.compile(r"^\s*\|.*$", re.M),
]  # fmt: skip
LINK, SIGNS = re.compile(r"\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])?"), re.compile(r"^#+\s*|[*`]+", re.M)


def prose(markdown: str) -> str:
    for dropped in DROPPED:
        markdown = dropped.sub("", markdown)
    text = SIGNS.sub("", LINK.sub(r"\1", markdown))
    return re.sub(r"\n\s*\n+", "\n\n", text).strip()


def main() -> None:
    (out,) = map(Path, sys.argv[1:])
    kept = set((HERE / "pairs/readmes-kept.txt").read_text().split())
    metadata = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--manifest-path", HERE / "../../Cargo.toml"], check=True, stdout=subprocess.PIPE
    )  # fmt: skip
    rows = {}
    for package in json.loads(metadata.stdout)["packages"]:
        name, description = package["name"], " ".join((package["description"] or "").split())
        if not package["source"] or not package["readme"] or not description or name in kept:
            continue
        path = Path(package["manifest_path"]).parent / package["readme"]
        text = prose(path.read_text(encoding="utf-8", errors="replace")) if path.exists() else ""
        if len(text) >= SHORTEST:
            rows[name] = {"kind": "readme", "topic": "readme", "style": "title", "text": text, "summaries": [description]}
    with open(out, "w", encoding="utf-8") as file:
        for name in sorted(rows):
            file.write(json.dumps({"name": name, **rows[name]}, ensure_ascii=False) + "\n")
    print(f"{len(rows):6} {out}")


if __name__ == "__main__":
    main()
