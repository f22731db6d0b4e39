"""Collects package descriptions of Debian and Ubuntu through apt: long description -> one-line synopsis.

    collect.py OUT [--lists DIR]

Works on any Debian machine, without root and without touching the system's own package lists: each
release gets its own apt state below `--lists`. Ubuntu's lists are checked with the keys that Debian packages. Writes `OUT/<release>.jsonl`, one unique pair a line:
`{"name", "source", "text", "summaries"}`.
"""

import argparse
import gzip
import html
import json
import re
import subprocess
from pathlib import Path

import lz4.frame
import yaml

DEBIAN = ["bullseye", "bookworm", "trixie", "sid"]
DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Of Ubuntu the releases with packages that Debian no longer has, or described otherwise. Each one's signing keys are in a
# package of another release, which was checked before.
UBUNTU = {
    "focal": ("trixie", "ubuntu-keyring"),
    "jammy": ("trixie", "ubuntu-keyring"),
    "noble": ("trixie", "ubuntu-keyring"),
    "questing": ("trixie", "ubuntu-keyring"),
    "xenial": ("focal", "ubuntu-keyring"),
    "bionic": ("focal", "ubuntu-keyring"),
}
UBUNTU_MIRROR = "http://archive.ubuntu.com/ubuntu"
# Below these a pair says too little: "Foo library" for "See foo."
MIN_TEXT_CHARS, MIN_SUMMARY_CHARS = 40, 8


def mirror() -> str:
    """The archive of Debian's main packages that this machine's apt is set up with."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    archives = [uri.rstrip("/") for uri in found if uri.rstrip("/").endswith("/debian")]
    if not archives:
        raise SystemExit(f"apt's sources name no Debian archive, only {sorted(set(found))}; one that ends in /debian is needed")
    return archives[0]


def options(lists: Path) -> list[str]:
    """What makes apt work on the state in `lists` and no other."""
    found = {
        "Acquire::Languages": "en",
        "Acquire::GzipIndexes": "true",
        "Acquire::CompressionTypes::Order": "gz",
        "APT::Architecture": "amd64",
        "Dir::State::Lists": lists,
        "Dir::Etc::SourceList": lists.parent / f"{lists.name}.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
    }
    return [word for key, value in found.items() for word in ("-o", f"{key}={value}")]


def update(release: str, lists: Path, archive: str, components: str, keyring: Path) -> None:
    """Fetches the package lists of one release into `lists`."""
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    sources = lists.parent / f"{release}.list"
    sources.write_text(f"deb [signed-by={keyring}] {archive} {release} {components}\n")
    subprocess.run(["apt-get", *options(lists), "update"], check=True, stdout=subprocess.DEVNULL)


def ubuntu_keyring(lists: Path, release: str, package: str) -> Path:
    """Ubuntu's keys, from a package of a release whose lists are there."""
    folder = lists / f"{package}-{release}"
    folder.mkdir(exist_ok=True)
    command = ["apt-get", *options(lists / release), "download", package]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    [archive] = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
    return folder / "usr/share/keyrings/ubuntu-archive-keyring.gpg"


def read(path: Path) -> str:
    """The text of a package list as apt left it: lz4, gzip or plain."""
    raw = path.read_bytes()
    if path.suffix == ".lz4":
        raw = lz4.frame.decompress(raw)
    elif path.suffix == ".gz":
        raw = gzip.decompress(raw)
    return raw.decode("utf-8", "replace")


def stanzas(lists: Path, pattern: str):
    """Every stanza of the one file in `lists` that matches `pattern`."""
    files = [f for f in lists.glob(pattern) if f.is_file()]
    if not files:
        raise SystemExit(f"{lists}: no file matches {pattern}; apt should have left one there")
    for file in files:
        yield from read(file).split("\n\n")


def sources(lists: Path) -> dict[str, str]:
    """Binary package -> source package."""
    found = {}
    for stanza in stanzas(lists, "*_Packages*"):
        name = re.search(r"^Package: (.*)$", stanza, re.M)
        if name:
            source = re.search(r"^Source: (\S+)", stanza, re.M)
            found[name[1]] = source[1] if source else name[1]
    return found


def reflow(lines: str) -> str:
    """Joins the wrapped lines of each paragraph; list items and indented lines stay their own lines."""
    out: list[str] = []
    for line in lines.split("\n"):
        line = "" if line.strip() == "." else line[1:]
        if out and line and not line.startswith((" ", "*", "-")) and out[-1]:
            out[-1] += " " + line
        else:
            out.append(line)
    return "\n".join(out).strip()


def descriptions(lists: Path):
    """(package, synopsis, long description) of every package."""
    entry = re.compile(r"^Description-en: (.*)\n((?: .*\n?)*)", re.M)
    for stanza in stanzas(lists, "*Translation-en*"):
        name = re.search(r"^Package: (.*)$", stanza, re.M)
        found = entry.search(stanza)
        if name and found:
            yield name[1], found[1].strip(), reflow(found[2].rstrip("\n"))


def components(lists: Path):
    """(package, summary, description) of every application in the AppStream catalogue."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for file in lists.glob("*Components-*.yml*"):
        for entry in yaml.load_all(read(file), Loader=loader):
            summary = entry.get("Summary", {}).get("C")
            markup = entry.get("Description", {}).get("C")
            if "Package" not in entry or not summary or not markup:
                continue
            markup = re.sub(r"\s+", " ", markup)
            markup = re.sub(r"<li>\s*", "\n * ", markup)
            markup = re.sub(r"</(p|ul|ol)>", "\n\n", markup)
            text = html.unescape(re.sub(r"<[^>]*>", "", markup))
            text = re.sub(r"\n[ \n]*\n", "\n\n", re.sub(r"[ ]+\n", "\n", text))
            text = re.sub(r"\n +(?=[^ *])", "\n", text)
            yield entry["Package"], summary.strip(), text.strip()


def pairs(lists: Path, catalogue: bool) -> list[dict]:
    """Every unique pair of one release, worth learning from; with those of the AppStream catalogue or without."""
    source = sources(lists)
    unique = {}
    origins = [("description", descriptions(lists))]
    if catalogue:
        origins.append(("appstream", components(lists)))
    for origin, found in origins:
        for name, synopsis, text in found:
            if len(text) >= MIN_TEXT_CHARS and len(synopsis) >= MIN_SUMMARY_CHARS:
                unique.setdefault((synopsis, text), (name, origin))
    return [
        {"name": name, "source": source.get(name, name), "origin": origin, "text": text, "summaries": [synopsis]}
        for (synopsis, text), (name, origin) in unique.items()
    ]


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("out", type=Path)
    args.add_argument("--lists", type=Path, help="where apt keeps its state (default: OUT/lists)")
    args.add_argument("--offline", action="store_true", help="use the lists that are there, fetch nothing")
    args = args.parse_args()
    lists = (args.lists or args.out / "lists").resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    for release in [*DEBIAN, *UBUNTU]:
        if not args.offline:
            if release in DEBIAN:
                update(release, lists / release, mirror(), "main", DEBIAN_KEYRING)
            else:
                update(release, lists / release, UBUNTU_MIRROR, "main universe", ubuntu_keyring(lists, *UBUNTU[release]))
        rows = pairs(lists / release, catalogue=release in DEBIAN)
        with open(args.out / f"{release}.jsonl", "w") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        print(f"{release}: {len(rows)} pairs", flush=True)


if __name__ == "__main__":
    main()
