"""Documents: pages with a written description, topics with a short one, help of commands; and their titles and headings.

Each reader yields (id, group, text, summary) of a repository. A group is on one side of the split.
"""

import re

from clones.filters import TEXT_MAX
from clones.markup import SKIP_SECTION, front_matter, inline, join, markdown, prose, words
from clones.repository import Repository


def articles(repo, pattern, *paths, commit="HEAD"):
    """(path, head, body) of Markdown articles; short included texts (product names) are put in, other includes left out."""
    short = {}
    for path, raw in repo.files(r"(^|/)_?includes?/[^/]+\.md$", *paths, commit=commit):
        text = front_matter(raw)[1].strip()
        if len(text) <= 80 and "\n" not in text:
            short[path.rpartition("/")[2]] = text
    for path, raw in repo.files(pattern, *paths, commit=commit):
        meta, body = front_matter(raw)
        if "ai-usage" in meta or re.search(r"(^|/)_?includes?/", path):  # ai-usage: a model had a hand in the page
            continue
        body = re.sub(
            r"(?i)\[!INCLUDE\s*\[[^\]]*\]\s*\(([^)]*)\)\s*\]", lambda m: short.get(m.group(1).rpartition("/")[2], ""), body
        )
        yield path, meta, body


def topic_of(path: str, depth: int) -> str:
    """The group of a page: its directory and the first word of its file name, which related pages share."""
    return "/".join(path.split("/")[:-1][:depth]) + "/" + re.split(r"[-_.]", path.rpartition("/")[2])[0]


def described(repo: Repository, paths, key="description", depth=3, commit="HEAD", pattern=r"\.md$"):
    """Articles whose YAML head carries a written description."""
    for path, meta, body in articles(repo, pattern, *paths, commit=commit):
        summary = meta.get(key)
        if not isinstance(summary, str) or summary.startswith("Learn more about:") or meta.get("layout") == "redirect":
            continue
        title = str(meta.get("title", ""))
        if words(summary) == words(title) or len(words(summary)) < 5 or summary.rstrip().endswith(("...", "…")):
            continue
        yield f"{repo.name}:{path}", topic_of(path, depth), prose(markdown(body[: 8 * TEXT_MAX])), inline(summary)


def tutorials(repo: Repository):
    """Community tutorials; the by-line before the text is dropped."""
    for ident, group, text, summary in described(repo, ["tutorials", "archived"], depth=9):
        paras = text.split("\n\n")
        while paras and len(paras[0]) < 120 and not re.search(r"[.:!?]$", paras[0]):
            paras.pop(0)
        yield ident, group, "\n\n".join(paras), summary


def headings(*paths, depth=2, pattern=r"\.md$"):
    """Sections of articles: the section's prose and its heading. Sections already used in a longer text drop out as duplicates."""

    def read(repo: Repository):
        for path, _, body in articles(repo, pattern, *paths):
            for i, (name, paras) in list(enumerate(markdown(body)))[2:]:  # 0: before the title, 1: below the title
                name = re.sub(
                    r"^(step \d+[a-z]?|\d+(\.\d+)*|phase \d+|part \d+|task \d+|option \d+)[.:)-]*\s+",
                    "",
                    name.strip(),
                    flags=re.I,
                ).rstrip(":")
                if len(words(name)) >= 4 and not SKIP_SECTION.match(name) and "(" not in name and "::" not in name:
                    yield f"{repo.name}:{path}#{i}", topic_of(path, depth), join(paras), name

    return read


def titles(*paths, depth=2):
    """Whole articles and their titles, for articles without a written description."""

    def read(repo: Repository):
        for path, meta, body in articles(repo, r"\.md$", *paths):
            about = str(meta.get("description") or "Learn more about:")
            sections = markdown(body)
            name = next((n for n, _ in sections if n), "").strip()
            if not about.startswith("Learn more about:") or len(words(name)) < 4 or re.search(r"[(<]|::|\w\.\w", name):
                continue
            yield (
                f"{repo.name}:{path}",
                topic_of(path, depth),
                prose(sections),
                re.sub(r"^(How to|Walkthrough|Note): *", "", name),
            )

    return read


def pages_at_their_height(repo: Repository):
    """Of pages that left the repository for elsewhere: those of the commit at which it held most."""
    log = repo.lines("rev-list", "--first-parent", "HEAD")[:-1]
    count = lambda commit: sum(line.endswith(".md") for line in repo.lines("ls-tree", "-r", "--name-only", commit, "pages"))  # noqa: E731
    commit = max(log[:: max(1, len(log) // 60)], key=count)
    for ident, _, text, summary in described(repo, ["pages"], depth=9, commit=commit):
        yield ident, ident, text, summary


def topics(repo: Repository):
    """DITA topics: the short description (first paragraph) of the rest of the topic."""
    for path, raw in repo.files(r"\.md$", "docs"):
        sections = markdown(raw)
        named = [s for s in sections if s[0] or s[1]]
        if not named or not named[0][1]:
            continue
        title, paras = named[0]
        summary = paras[0]
        if not title or re.match(r"- |\d+[.)] ", summary) or not summary.endswith(".") or len(words(summary)) < 5:
            continue
        yield f"{repo.name}:{path}", topic_of(path, 2), prose([("", paras[1:])] + named[1:]), summary


def cmdlets(repo: Repository):
    """PowerShell help: SYNOPSIS of DESCRIPTION and of what the examples say; the newest Windows version of each cmdlet."""
    newest = {}
    for path, raw in repo.files(r"^[^/.]+/[^/]+/[^/]+/[^/]+-[^/]+\.md$"):
        parts = path.split("/")
        version = int((re.findall(r"\d{4}", parts[1]) or ["0"])[0])
        key = tuple(parts[2:])
        if key not in newest or version > newest[key][0]:
            newest[key] = (version, path, raw)
    for _, path, raw in (newest[key] for key in sorted(newest)):
        meta, body = front_matter(raw)
        body = re.sub(r"(?m)^(#+ .*)$", r"\n\1\n", body)
        sections = markdown(body)
        at = {name.strip().upper(): i for i, (name, _) in enumerate(sections)}
        if "SYNOPSIS" not in at or "DESCRIPTION" not in at:
            continue
        summary = next(iter(sections[at["SYNOPSIS"]][1]), "")
        paras, i = list(sections[at["DESCRIPTION"]][1]), at.get("EXAMPLES")
        while i is not None and i + 1 < len(sections) and sections[i + 1][0].upper().startswith("EXAMPLE"):
            i += 1
            paras += sections[i][1]
        if "NOTES" in at:
            paras += sections[at["NOTES"]][1]
        noun = path.rpartition("/")[2][:-3].partition("-")[2]  # Get-X, Set-X and Remove-X share much text
        yield f"{repo.name}:{path}", noun, join(paras), summary
