"""Markdown, reStructuredText and Haddock as plain prose: sections, each a heading and its paragraphs.

Code, tables, images, includes, targets of links and boilerplate are left out.
"""

import html
import re

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Sections = list[tuple[str, list[str]]]

# Function words. A paragraph without any is no prose; a summary needs no support for them.
STOP = set(
    """the a an and or of for to in on at by with from as is are was were be been being this that these those it its into how
what when which who you your can will may not no but if then than so such about using use used uses via per all any each more most
other some their they them there here we our us has have had do does did also only both between within without over under up out off
learn describes describe provides provide contains explains article topic page section overview information following""".split()
)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+(?:[._'-][a-z0-9]+)*", text.lower())


def front_matter(text: str) -> tuple[dict, str]:
    """({key: value}, body) of a Markdown file with a YAML head."""
    found = re.match(r"---[ \t]*\n(.*?)\n---[ \t]*\n", text, re.S)
    if not found:
        return {}, text
    head, body = found.group(1), text[found.end() :]
    try:
        meta = yaml.load(head, LOADER)
    except yaml.YAMLError:
        meta = {k: v.strip().strip("\"'") for k, v in re.findall(r"^([\w.-]+):[ \t]*(.+)$", head, re.M)}
    return (meta if isinstance(meta, dict) else {}), body


SKIP_SECTION = re.compile(
    r"^(see also|related|next steps?|what'?s next|requirements?|syntax|parameters?|members|methods|properties|fields|"
    r"return values?|returns|examples?|sample|references?|in this (section|article|topic)|clean(ing)? up|copyright|"
    r"acknowledge?ments?|license|licence|inputs|outputs|related links|further reading|additional resources|events|"
    r"table of contents|contents|changelog|change log|build status|installation|install|prior art|unresolved questions|"
    r"related information|feedback|resources|links|attributes|header|elements|derived classes|inheritance hierarchy|"
    r"implementations|remarks for callers|workarounds?|patches|for more information|credits?|contributors?|authors?)\b",
    re.I,
)


BOILERPLATE = re.compile(
    r"^\W*(the feature associated with this page|some information relates to pre|this (feature|topic) is (not )?supported|"
    r"for more information|for (further|additional) (details|information)|see also|applies to|for details,? see|"
    r"contributed by|note that the .{0,40} documentation has moved|this documentation has moved|original article|"
    r"author\b|last updated|download the|you can find the (complete|full)|the following (table|code|example|sample|syntax)|"
    r"this article was contributed|if you have any questions|you need to be assigned permissions|the microsoft foundation classes \(mfc\) library continues|"
    r"windows virtual pc is no longer available|sap business technology platform, neo environment will sunset|"
    r"this documentation refers to sap business technology platform|to find the permissions required|this cmdlet is available (only )?in|table of contents)",
    re.I,
)


def inline(s: str) -> str:
    """Markdown of one paragraph -> plain text."""
    s = re.sub(r"!\[[^\]]*\]\((?:[^()\"]|\"[^\"]*\"|\([^()]*\))*\)|!\[[^\]]*\]\[[^\]]*\]", "", s)
    s = re.sub(r"\[!\w+[^\]]*\](\([^)]*\))?", "", s)
    for _ in range(2):
        s = re.sub(r"\[((?:[^\[\]]|\\\[|\\\])*)\]\((?:[^()]|\([^()]*\))*\)", r"\1", s)
    s = re.sub(r"\[([^\[\]]+)\]\s?\[[^\]]*\]", r"\1", s)
    s = re.sub(r"<(https?:[^>]*)>", r"\1", s)
    s = re.sub(r"</?[a-zA-Z][^<>]*>", "", s)
    s = re.sub(r"\{\{[^}]*\}\}|\{%[^%]*%\}|\{:[^}]*\}", "", s)
    s = re.sub(r"``?([^`]+)``?", r"\1", s)
    s = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", s)
    s = re.sub(r"(?<![\w*])\*(?=\S)([^*]+?)(?<=\S)\*(?![\w*])", r"\1", s)
    s = re.sub(r"(?<!\w)_(?=\S)([^_]+?)(?<=\S)_(?!\w)", r"\1", s)
    s = re.sub(r"\*\*+", "", s)
    s = re.sub(r"\\([\\`*_{}\[\]()#+.!<>|~$&@:/=-])", r"\1", s)
    return html.unescape(s)


def markdown(body: str) -> Sections:
    """Sections of a Markdown body."""
    body = re.sub(r"<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r"(?ims)^[ \t>]*(```+|~~~+).*?^[ \t>]*\1[ \t]*$", "\n", body)
    body = re.sub(r"(?is)<(table|pre|script|style|svg|video|iframe|code-example)\b.*?</\1>", "\n", body)
    body = re.sub(r"(?i)<br\s*/?>|</?(p|div|dl|dt|dd|li|ul|ol|h\d)\b[^>]*>", "\n\n", body)
    sections, heading, paras, cur = [], "", [], []

    def flush():
        if cur:
            paras.append(" ".join(cur))
            cur.clear()

    lines = body.split("\n")
    for i, line in enumerate(lines):
        line = re.sub(r"^[ \t]*(>[ \t]?)+", "", line)
        bare = line.strip()
        nxt = lines[i + 1].strip() if i + 1 < len(lines) else ""
        if not bare or re.match(r"^(:::|\[!|\{%|\{\{<|---+$|\*\*\*+$|===+$|\[[^\]]+\]:\s)", bare):
            flush()
        elif re.match(r"^#{1,6}\s", bare) or (re.match(r"^(=+|-+)$", nxt) and len(nxt) >= 4 and not cur):
            flush()
            sections.append((heading, paras))
            heading, paras = inline(bare.lstrip("#").rstrip("#").strip()), []
        elif "|" in bare and (bare.startswith("|") or re.match(r"^[\s|:+-]+$", bare) or bare.count("|") > 1):
            flush()
        elif re.match(r"^( {4,}|\t)", line) and not cur and re.search(r"[;{}=$<>|]|^\s*(#|//|--)|\(\)", line):
            continue
        elif re.match(r"^([-*+]|\d+[.)])\s+", bare):
            flush()
            cur.append(re.sub(r"^[*+-]\s+", "- ", bare))
        else:
            cur.append(bare)
    flush()
    sections.append((heading, paras))
    out = []
    for name, items in sections:
        items = [re.sub(r"\s+", " ", inline(p)).strip() for p in items]
        out.append((name, [p for p in items if is_prose(p)]))
    return out


def is_prose(p: str) -> bool:
    letters = len(re.findall(r"[^\W\d_]| ", p))
    item = re.match(r"- |\d+[.)] ", p)
    return len(p) >= 12 and letters >= 0.75 * len(p) and not BOILERPLATE.match(p) and (item or any(w in STOP for w in words(p)))


def prose(sections: Sections, skip=SKIP_SECTION) -> str:
    """The text of all sections but those that hold no prose."""
    paras = []
    for name, items in sections:
        if not (skip and skip.search(name.strip())):
            paras += items
    return join(paras)


def join(paras: list[str]) -> str:
    """Paragraphs -> text; a paragraph that announces something ("as follows:") which was cut away is dropped."""
    kept = []
    for i, p in enumerate(paras):
        follows = i + 1 < len(paras) and re.match(r"- |\d+[.)] ", paras[i + 1])
        if p.endswith(":") and not follows:
            continue
        item = re.match(r"- |\d+[.)] ", p)
        kept.append(
            ("\n" if kept and item and re.match(r"- |\d+[.)] ", kept[-1].strip().split("\n")[-1]) else "\n\n" if kept else "")
            + p
        )
    return "".join(kept)


def restructured(text: str) -> Sections:
    """reStructuredText: literal blocks and directives are dropped, headings become those of Markdown."""
    lines, out, i = text.split("\n"), [], 0
    while i < len(lines):
        line = lines[i]
        if re.match(r"\s*\.\. ", line) or re.match(r"\s*\.\.$", line):
            indent = len(line) - len(line.lstrip())
            i += 1
            while i < len(lines) and (not lines[i].strip() or len(lines[i]) - len(lines[i].lstrip()) > indent):
                i += 1
            out.append("")
            continue
        if line.rstrip().endswith("::"):
            out.append(re.sub(r"::\s*$", ":", line))
            indent = len(line) - len(line.lstrip())
            i += 1
            while i < len(lines) and (not lines[i].strip() or len(lines[i]) - len(lines[i].lstrip()) > indent):
                i += 1
            out.append("")
            continue
        if i + 1 < len(lines) and line.strip() and re.match(r"^([=\-~^\"'*+#])\1{2,}\s*$", lines[i + 1]):
            out += ["", "# " + line.strip(), ""]
            i += 2
            continue
        out.append("" if re.match(r"^([=\-~^\"'*+#])\1{2,}\s*$", line) else line)
        i += 1
    s = "\n".join(out)
    s = re.sub(r":[\w:+-]+:`~?([^`<]+?)(\s*<[^`]*>)?`", r"\1", s)
    s = re.sub(r"`([^`<]+?)\s*<[^`>]*>`__?", r"\1", s)
    s = re.sub(r"\s*\[[#\w-]+\]_", "", s)
    s = re.sub(r"`([^`]+)`__?", r"\1", s)
    s = re.sub(r"(?<=\w)_(?=[\s.,;:)])", "", s)
    return markdown(s)


def haddock(text: str) -> Sections:
    """The markup of Haskell's packages."""
    s = re.sub(r"(?m)^>.*$|^[ \t]*@\n.*?\n[ \t]*@$", "", text)
    s = re.sub(r"<(https?://\S+)\s+([^>]*)>", r"\2", s)
    s = re.sub(r"\"([A-Z][\w.]+)\"", r"\1", s)
    s = re.sub(r"(?<!\w)['@]([^'@\n]+)['@](?!\w)", r"\1", s)
    s = re.sub(r"(?m)^(\s*)=+ ", r"\1# ", s)
    s = re.sub(r"(?m)^\s*\.\s*$", "", s)
    return markdown(s)
