"""Markdown and HTML of posts as plain paragraphs. (Documentation needs more: see `markup`.)"""

import re

import yaml


def front_matter(s: str) -> tuple[dict, str]:
    """What the head of a page says, and the rest."""
    m = re.match(r"\s*---\s*\n(.*?)\n---\s*(?:\n|$)(.*)", s, re.S)
    if not m:
        return {}, s
    try:
        fm = yaml.safe_load(m.group(1))
    except yaml.YAMLError:
        fm = dict(re.findall(r"^(\w+):[ \t]*[\"']?(.*?)[\"']?[ \t]*$", m.group(1), re.M))
    return (fm if isinstance(fm, dict) else {}), m.group(2)


def markdown(s: str) -> str:
    """Markdown or HTML to plain paragraphs: no code, tables, images or short codes."""
    s = re.sub(r"<!--.*?-->", "", s or "", flags=re.S)
    s = re.sub(r"^([ \t]*)(```|~~~).*?^\s*\2[`~]*\s*$", "\n", s, flags=re.S | re.M)
    s = re.sub(
        r"<(script|style|pre|table|figure|iframe|svg|blockquote class=\"twitter)[^>]*>.*?</\1>", "\n", s, flags=re.S | re.I
    )
    s = re.sub(r"\{\{[<%].*?[>%]\}\}|\{%.*?%\}|\{\{.*?\}\}|\{:[^}]*\}|\{#[^}]*\}", "", s, flags=re.S)
    s = re.sub(r"!\[[^\]]*\]\([^)]*\)|!\[[^\]]*\]\[[^\]]*\]", "", s)
    s = re.sub(r"\[([^\]]*)\]\((?:[^()]|\([^()]*\))*\)", r"\1", s)
    s = re.sub(r"\[([^\]]+)\]\[[^\]]*\]", r"\1", s)
    s = re.sub(r"^\s*\[[^\]]+\]:.*$", "", s, flags=re.M)
    s = re.sub(r"\[\^[^\]]*\]", "", s)
    s = re.sub(r"<(?:br|/p|/li|/h\d|/div|p|li|h\d|div)\b[^>]*>", "\n", s, flags=re.I)
    s = re.sub(r"</?[a-zA-Z][^>\n]{0,400}>", "", s)
    s = re.sub(r"^\s*\|.*$", "", s, flags=re.M)
    s = re.sub(r"^\s{0,3}(?:[-*_] ?){3,}$|^[=-]{3,}\s*$", "", s, flags=re.M)
    s = re.sub(r"^\s{0,3}#{1,6}\s*(.*?)\s*#*$", r"\n\1\n", s, flags=re.M)
    s = re.sub(r"^\s{0,3}>\s?", "", s, flags=re.M)
    s = re.sub(r"^(\s*)[*+-]\s+", r"\1- ", s, flags=re.M)
    s = re.sub(r"(?<!\w)(__?)(?=\S)([^_\n]+?)(?<=\S)\1(?!\w)", r"\2", s)
    s = re.sub(r"\*+(?=\S)|(?<=\S)\*+", "", s)
    s = re.sub(r"`+([^`\n]*)`+", r"\1", s)
    s = re.sub(r"\\([\\`*_{}\[\]()#+.!|>~-])", r"\1", s)
    # join hard-wrapped lines inside a paragraph, keep list items apart
    out = []
    for para in re.split(r"\n\s*\n", s):
        lines = [l.strip() for l in para.split("\n") if l.strip()]
        joined = []
        for l in lines:
            if joined and not re.match(r"(- |\d+[.)] )", l):
                joined[-1] += " " + l
            else:
                joined.append(l)
        if joined:
            out.append("\n".join(joined))
    return "\n\n".join(out)
