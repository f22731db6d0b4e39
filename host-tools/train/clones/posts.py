"""Posts, pages and short descriptions, as everyday pairs: each reader yields (id, group, text, summaries) of a repository.

Which of them are good is for `everyday` to say. A group is on one side of the split.
"""

import json
import re
from xml.etree import ElementTree

from clones.everyday import vary
from clones.plain import front_matter, markdown
from clones.repository import Repository


def pages(repo: Repository, prefix: str, fields: tuple[str, ...], skip=r"$^", titles=False):
    """Markdown or HTML posts whose front matter has a human-written description."""
    for path, t in repo.files(r"\.(md|Rmd|html|mdx)$", prefix):
        if re.search(skip, path):
            continue
        fm, body = front_matter(t)
        sums = [str(fm[f]) for f in fields if fm.get(f)]
        if titles:
            sums = [] if sums else [str(fm.get("title") or "")]
        text = markdown(body)
        text = re.sub(r"^This post originally appeared on.*?\n\n", "", text)
        if sums and len(text) >= 120:
            yield path, path, vary(text, path, sums[0], 0.6) if titles else text, sums


def bssw(repo: Repository):
    """Articles whose deck stands between comments."""
    for path, t in repo.files(r"\.md$"):
        m = re.search(r"<!-*\s*deck text start\s*-*>(.*?)<!-*\s*deck text (?:end|start)\s*-*>", t, re.S | re.I)
        if m:
            body = re.sub(r"^#.*$|^Publication date.*$|^:?---.*$|^.* \| .*$|^- .*: .*$", "", t[m.end() :], flags=re.M)
            yield path, path, markdown(body), [m.group(1)]


def explore(repo: Repository):
    """Topics and their short descriptions."""
    for path, t in repo.files(r"/index\.md$", "topics"):
        fm, body = front_matter(t)
        yield path, path, markdown(body), [str(fm.get("short_description") or "")]


FREE_METADATA = re.compile(r"^(CC0(-1\.0)?|FSFAP|MIT|0BSD|FTL|BSL-1\.0|CC-BY-[34]\.0)$", re.I)


def appstream(repo: Repository):
    """App pages: <summary> from <description>, only where the metadata licence is free of conditions like share-alike."""
    for path, t in repo.files(r"\.xml$", "database"):
        try:
            root = ElementTree.fromstring(re.sub(r"<\?xml[^>]*\?>|\sxmlns(:\w+)?=\"[^\"]*\"", "", t).strip())
        except ElementTree.ParseError:
            continue
        if not FREE_METADATA.match((root.findtext("metadata_license") or "").strip()):
            continue
        lang = "{http://www.w3.org/XML/1998/namespace}lang"
        parts = []
        for d in root.findall("description"):
            if d.get(lang) in (None, "en"):
                for e in d.iter():
                    if e.tag in ("p", "li") and e.get(lang) in (None, "en"):
                        body = re.sub(r"\s+", " ", "".join(e.itertext())).strip()
                        parts.append(("- " if e.tag == "li" else "") + body)
        sums = [s.text or "" for s in root.findall("summary") if s.get(lang) in (None, "en")]
        yield path, path.split("/")[1], "\n\n".join(parts), sums[:1]


def storybook(repo: Repository):
    """Stories under CC BY and their titles."""
    for path, t in repo.files(r"\.md$", "en"):
        if "License: [CC-BY]" not in t:
            continue
        m = re.match(r"#\s*(.+)\n", t)
        body = re.sub(r"^\* (License|Text|Illustration|Language|Translation).*$", "", t[m.end() :] if m else "", flags=re.M)
        body = re.sub(r"^##\s*$", "", body, flags=re.M)
        if m:
            yield path, path, markdown(body), [m.group(1)]


def parks(repo: Repository, name: str, long: str, short: str):
    """Entries of a national parks' data file."""
    for x in json.loads(repo.file(f"data/{name}.json")):
        yield f"{name}/{x['id']}", x["id"], markdown(x.get(long) or ""), [x.get(short) or ""]
