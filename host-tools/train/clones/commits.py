"""Commits: message -> subject. None after 2024, and none that mentions an assistant: people should have written them."""

import re

from clones.markup import inline, markdown, prose
from clones.repository import Repository

TRAILER = re.compile(
    r"^\s*(([A-Z][\w]*-)+(by|on|id|result|trybot|bug|to|for|from|of|with|cc)\b.*|(change-id|cc|bug|ref|refs|fixes|closes|closed|close|assisted|"
    r"updates?|for|resolves?|url|link|see|reported|follow-?up|followup|regression|reviewed|approved|auto-submit|run-trybot|"
    r"cherry picked|original|via|thanks|supersedes|authored|discussion|signed|suggested|tested|patched|co-authored|pointed out|spotted|"
    r"found by|inspired|credit|partially|reverts?|this reverts|backpatch\w*|author)\b[^.]{0,90}"
    r"(:|#\d|\b[0-9a-f]{7,40}\b|@|https?:).*|\(?https?://\S+\)?|\s*#\d+.*|[0-9a-f]{7,40}.*)$",
    re.I,
)


def commits(repo: Repository):
    """Commit message body -> subject without its "area: " prefix."""
    form = "--format=%H%x01%s%x01%b%x02"
    log = repo.run("log", "--no-merges", "--no-mailmap", "--before=2025-01-01", form).decode("utf-8", "replace")
    for entry in log.split("\x02"):
        if entry.count("\x01") != 2:
            continue
        sha, subject, body = entry.strip("\n").split("\x01")
        if re.match(r"(revert|merge|release|bump|version|data/|[\w-]+: (release|bump))", subject, re.I):
            continue
        if re.search(r"(?i)assisted-by|generated (by|with)|co-?pilot|claude|codex", body):
            continue
        lines = re.sub(
            r"(?m)^Summary: *",
            "",
            re.split(r"(?m)^(?:Test Plan|Reviewed By|Differential Revision|fbshipit-source-id|Pull Request resolved):", body)[
                0
            ],
        ).split("\n")
        lines = [l for l in lines if not TRAILER.match(l)]
        while lines and (
            not lines[-1].strip()
            or re.match(r"\s*([A-Za-z][\w-]*\s?[:=]\s*\S.{0,120}|\W*#\d+\W*|[A-Z_]{12,}.*|PiperOrigin.*)$", lines[-1])
        ):
            lines.pop()
        if any(re.match(r"(diff --git|@@|---|\+\+\+|index [0-9a-f]{7})", l) for l in lines):
            continue
        indented = sum(bool(re.match(r"\s{2,}|\t|[>|$#`]", l)) for l in lines if l.strip())
        if indented > 0.3 * max(1, sum(bool(l.strip()) for l in lines)):
            continue
        area, _, title = subject.partition(": ")
        if not title or len(area) > 60 or area.count(" ") > 3:
            area, title = "", subject
        title = re.sub(r"^\[[^\]]*\]:?\s*|\s*\(?#\d+\)?$|\s*\[[^\]]*\]$|\.$", "", title).strip()
        if re.match(r"[a-z]+(['’]\w+)?( |$)", title):
            title = title[0].upper() + title[1:]
        text = prose(markdown("\n".join(lines)))
        text, title = re.sub(r"(?<!\w)@[A-Za-z][\w-]+", "", text), inline(title)
        group = repo.name + " " + "/".join(re.split(r"[,{ ]", area)[0].split("/")[:3]) if area else sha
        yield f"{repo.name}:{sha[:16]}", group, text, title
