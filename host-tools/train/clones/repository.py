"""Reads files, commits and logs out of clones, bare or not; nothing is checked out and nothing is fetched."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

BATCH = 500  # files that git is asked for together


class Repository:
    """The clone of `owner/name` in a folder of clones: `owner+name`, or `owner+name/repo`."""

    def __init__(self, clones: Path, name: str):
        self.clones, self.name = clones, name
        base = clones / name.replace("/", "+")
        places = [base / "repo" / ".git", base / "repo", base / ".git", base]
        self.git = next((place for place in places if (place / "HEAD").is_file()), None)
        if self.git is None:
            raise FileNotFoundError(f"{base}: no clone of https://github.com/{name}")

    def __eq__(self, other):
        return isinstance(other, Repository) and self.git == other.git

    def __hash__(self):
        return hash(self.git)

    def run(self, *command: str, stdin: str = "") -> bytes:
        command = ["git", "--git-dir", str(self.git), *command]
        return subprocess.run(command, input=stdin.encode(), stdout=subprocess.PIPE, check=True).stdout

    def lines(self, *command: str) -> list[str]:
        return self.run(*command).decode("utf-8", "replace").split("\n")

    def files(self, pattern: str, *paths: str, commit: str = "HEAD") -> Iterator[tuple[str, str]]:
        """Path and text of each file below `paths` whose path has the pattern. Files that a partial clone lacks are passed over."""
        wanted = re.compile(pattern)
        tree = self.run("ls-tree", "-r", "-z", commit, "--", *paths).decode("utf-8", "replace")
        entries = [entry.split("\t", 1) for entry in tree.split("\0") if "\t" in entry]
        blobs = [
            (head.split()[2], path)
            for head, path in entries
            if head.startswith("100") and head.split()[1] == "blob" and wanted.search(path)
        ]
        for start in range(0, len(blobs), BATCH):
            part = blobs[start : start + BATCH]
            out = self.run("cat-file", "--batch", stdin="\n".join(blob for blob, _ in part))
            at = 0
            for _, path in part:
                end = out.index(b"\n", at)
                head, at = out[at:end].split(), end + 1
                if head[1] == b"missing":
                    continue
                size = int(head[2])
                data, at = out[at : at + size], at + size + 1
                yield path, data.decode("utf-8", "replace").lstrip("\ufeff").replace("\r\n", "\n")

    def file(self, path: str) -> str:
        """The text of one file, empty if the clone lacks it."""
        return next((text for found, text in self.files("", path) if found == path), "")

    def last_before(self, date: str) -> str:
        """The last commit before a date."""
        return self.lines("rev-list", "-1", f"--before={date}", "HEAD")[0]
