"""Records: advisories, rules, proposals, and packages of other systems than Debian.

Each reader yields (id, group, text, summary) of a repository. A group is on one side of the split.
"""

import html
import json
import re

import yaml

from clones.filters import SUMMARY_MAX, sentences
from clones.markup import LOADER, haddock, inline, is_prose, join, markdown, prose, restructured
from clones.repository import Repository


def compliance_rules(repo: Repository):
    """Security rules: what the description and the rationale say; the rule's title."""
    field = lambda name, raw: re.search(rf"(?m)^{name}: *(?:[|>]-?[ \t]*\n((?:[ \t]+.*\n|\n)+)|(.+))", raw) or ["", "", ""]
    for path, raw in repo.files(r"/rule\.yml$"):
        title = re.search(r"(?m)^title: *(.+)$", raw)
        if not title or "{{" in title.group(1):
            continue
        text = "\n\n".join((f[1] or f[2] or "") for f in (field("description", raw), field("rationale", raw)))
        text = re.sub(r"(?m)^ +", "", re.sub(r"\{\{.*?\}\}\}?|\{%.*?%\}", "", text, flags=re.S))
        yield f"{repo.name}:{path}", "/".join(path.split("/")[:5]), prose(markdown(text)), title.group(1).strip().strip("'\"")


def go_vulndb(repo: Repository):
    for path, raw in repo.files(r"^data/osv/.*\.json$", "data/osv"):
        entry = json.loads(raw)
        summary = re.sub(r"\s+in \S+/\S+$", "", entry.get("summary", ""))
        affected = [a["package"]["name"] for a in entry.get("affected", []) if "package" in a]
        group = "/".join((affected or [path])[0].split("/")[:3])
        if "WITHDRAWN" not in summary:
            yield f"{repo.name}:{path}", group, prose(markdown(entry.get("details", ""))), summary


def ruby_advisories(repo: Repository):
    for path, raw in repo.files(r"^gems/.*\.yml$", "gems"):
        try:
            entry = yaml.load(raw, LOADER)
        except yaml.YAMLError:
            continue
        # Entries with an OSVDB number may hold that database's text: left out. The GitHub-reviewed ones are CC BY 4.0.
        if "osvdb" in entry or "ghsa" not in entry:
            continue
        yield (
            f"{repo.name}:{path}",
            "gem/" + path.split("/")[1],
            prose(markdown(str(entry.get("description", "")))),
            str(entry.get("title", "")),
        )


def peps(repo: Repository):
    for path, raw in repo.files(r"^peps/pep-\d+\.(rst|txt)$", "peps"):
        if not re.search(r"public\s+domain|CC0-1\.0", raw):
            continue
        head, _, body = raw.partition("\n\n")
        title = re.search(r"(?m)^Title:\s*(.+(?:\n[ \t]+.+)*)", head)
        if not title:
            continue
        sections = restructured(body)
        names = [n.strip().lower() for n, _ in sections]
        start = next((i for i, n in enumerate(names) if n in ("abstract", "introduction", "overview", "summary")), None)
        if start is None:
            continue
        paras = []
        for name, items in sections[start : start + 4]:
            if len(join(paras)) < 700:
                paras += items
        yield f"{repo.name}:{path}", path, join(paras), re.sub(r"\s+", " ", title.group(1))


def rust_rfcs(repo: Repository):
    # Only numbers after RFC 2044, from which on contributions are MIT OR Apache-2.0.
    for path, raw in repo.files(r"^text/\d{4}-.*\.md$", "text"):
        if int(path[5:9]) <= 2044:
            continue
        sections = markdown(raw)
        names = [n.strip().lower() for n, _ in sections]
        if "summary" not in names:
            continue
        at = names.index("summary")
        if not sections[at][1]:
            continue
        summary = sections[at][1][0]
        if len(summary) > SUMMARY_MAX:
            summary = sentences(summary)[0]
        yield f"{repo.name}:{path}", path, prose(sections[at + 1 :]), summary


def xeps(repo: Repository):
    tag = lambda name, s: (re.search(rf"<{name}\b[^>]*>(.*?)</{name}>", s, re.S) or [None, ""])[1]
    for path, raw in repo.files(r"^xep-\d+\.xml$"):
        if "LEGALNOTICE" not in raw:
            continue
        raw = re.sub(r"<!\[CDATA\[.*?\]\]>", "", raw, flags=re.S)
        raw = re.sub(r"<(example|code|table|note|remark)\b.*?</\1>", "", raw, flags=re.S)
        abstract = re.sub(
            r"&[\w-]+;",
            lambda m: html.unescape(m.group()) if html.unescape(m.group()) != m.group() else m.group()[1:-1],
            tag("abstract", raw),
        )
        body = raw[raw.find("<section1") :]
        paras = [re.sub(r"<[^>]+>", "", p) for p in re.findall(r"<(?:p|li)\b[^>]*>(.*?)</(?:p|li)>", body, re.S)]
        paras = [
            re.sub(
                r"&([\w-]+);",
                lambda m: html.unescape(m.group()) if html.unescape(m.group()) != m.group() else m.group(1).upper(),
                p,
            )
            for p in paras
        ]
        paras = [re.sub(r"\s+", " ", p).strip() for p in paras]
        yield (
            f"{repo.name}:{path}",
            path,
            join([p for p in paras if is_prose(p)]),
            re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", abstract)),
        )


def opam(repo: Repository):
    newest = {}
    key = lambda path: [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", path.split("/")[2])]
    for path, raw in repo.files(r"^packages/[^/]+/[^/]+/opam$", "packages"):
        name = path.split("/")[1]
        try:
            better = name not in newest or key(path) > key(newest[name][0])
        except TypeError:
            better = path > newest[name][0]
        if better:
            newest[name] = (path, raw)
    for name, (path, raw) in sorted(newest.items()):
        synopsis = re.search(r'(?m)^synopsis:\s*"((?:[^"\\]|\\.)*)"', raw)
        long = re.search(r'(?ms)^description:\s*"""(.*?)"""', raw) or re.search(
            r'(?ms)^description:\s*"((?:[^"\\]|\\.)*)"', raw
        )
        home = re.search(r'(?m)^homepage:\s*\[?\s*"([^"]*)"', raw)
        if synopsis and long:
            body = re.sub(r"\\\n\s*", "", long.group(1)).replace("\\n", "\n").replace('\\"', '"')
            yield (
                f"{repo.name}:{path}",
                home.group(1) if home else name,
                prose(markdown(body)),
                inline(synopsis.group(1).replace('\\"', '"')),
            )


PERMISSIVE = {
    "BSD3",
    "BSD2",
    "BSD-3-Clause",
    "BSD-2-Clause",
    "BSD-4-Clause",
    "MIT",
    "Apache-2.0",
    "ISC",
    "LicenseRef-PublicDomain",
    "PublicDomain",
    "CC0-1.0",
    "0BSD",
    "Zlib",
    "Unlicense",
    "BSL-1.0",
    "MIT-0",
    "NCSA",
}


def cabal(repo: Repository):
    for path, raw in repo.files(r"^packages/.*\.yaml$", "packages"):
        try:
            entry = yaml.load(raw, LOADER)
        except yaml.YAMLError:
            continue
        if str(entry.get("license-name")) not in PERMISSIVE:
            continue
        text, kind = str(entry.get("description", "")), entry.get("description-type")
        sections = haddock(text) if kind == "haddock" else markdown(text)
        name = path.rpartition("/")[2][:-5]
        home = str(entry.get("homepage") or "").rstrip("/").removesuffix("#readme").lower()
        yield (
            f"{repo.name}:{path}",
            home if "/" in home.split("://")[-1] else name,
            prose(sections),
            str(entry.get("synopsis", "")),
        )


def haikuports(repo: Repository):
    newest = {}
    for path, raw in repo.files(r"\.recipe$"):
        newest[tuple(path.split("/")[:2])] = (path, raw)  # git lists the versions in order; the last one stays
    for (_, port), (path, raw) in sorted(newest.items()):
        summary = re.search(r'(?m)^SUMMARY="([^"]*)"', raw)
        long = re.search(r'(?ms)^DESCRIPTION="((?:[^"\\]|\\.)*)"', raw)
        if summary and long and "$" not in summary.group(1):
            body = long.group(1).replace("\\\n", "").replace("\\n", "\n").replace('\\"', '"')
            yield f"{repo.name}:{path}", port, prose(markdown(body)), summary.group(1)
