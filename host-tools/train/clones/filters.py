"""Which pairs of documents, records and commits are good: cleaning, support, copies, leading phrases, duplicates, splits."""

import hashlib
import re
import zlib
from collections import Counter

from clones.markup import STOP, words

TEXT_MIN, TEXT_MAX = 200, 2500  # characters
SUMMARY_MIN, SUMMARY_MAX = 20, 250
COPY_MAX = 0.30  # share of pairs whose summary is (nearly) one sentence of the text
LEAD_MAX = 0.05  # share of one leading 3-word phrase among a source's summaries
LEAD_CUT_SUPPORT = 0.70  # a copied lead sentence is cut from the text only if the rest still supports it this well
SEEN_MAX = 0.50  # share of a text's 8-grams already seen in earlier texts


def stem(w: str) -> str:
    w = w.split("'")[0]
    for suffix in ("ations", "ation", "ingly", "ings", "ing", "ies", "ied", "ers", "er", "ed", "es", "ly", "s", "e", "y"):
        if w.endswith(suffix) and len(w) - len(suffix) >= 3:
            return w[: -len(suffix)]
    return w


def sentences(s: str) -> list[str]:
    return [p for p in re.split(r"(?<=[.!?])\s+(?=[A-Z\"'(\[])|\n+", s) if p.strip()]


def support(summary: str, text: str) -> float:
    """Share of the summary's content words that the text has; 0 if a number in the summary is not in the text."""
    content = [w for w in words(summary) if w not in STOP and len(w) > 1]
    if not content:
        return 0.0
    plain = words(text)
    have = set(plain) | {p for w in plain for p in re.split(r"[._'-]", w)}
    stems = {stem(w) for w in have}
    if any(any(c.isdigit() for c in w) and w not in have for w in content):
        return 0.0
    return sum(w in have or stem(w) in stems for w in content) / len(content)


def copied_sentences(summary: str, text: str) -> list[str] | None:
    """The sentences of the text that the summary (nearly) consists of, or None if it is not put together from such."""
    found, own = [], sentences(text)
    for part in sentences(summary):
        plain = words(part)
        want, size, marks = Counter(plain), len(plain), sorted(set(plain), key=len)[-2:]
        for s in own:
            if any(m in s.lower() for m in marks):
                have = Counter(words(s))
                both = sum((want & have).values())
                if both >= 0.85 * size and both >= 0.75 * sum(have.values()):
                    found.append(s)
                    break
        else:
            return None
    return found


def clean(s: str) -> str:
    s = s.replace("\u00a0", " ").replace("\u200b", "").replace("\ufffd", "").replace("\u00ad", "")
    s = s.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2026: "...", 0x2011: "-"})
    s = re.sub(r"<?\b[\w.+-]+@[\w-]+(\.[\w-]+)+\b>?", "", s)  # e-mail addresses
    s = re.sub(r"(?:\+?1[ .-])?(?:\(\d{3}\) ?|\b\d{3}[-.])\d{3}[-.]\d{4}\b|\+\d{1,3}[ -]\d[\d -]{7,}\d", "", s)  # phone numbers
    s = re.sub(r"\b(?:https?|ftp|git)://(?:www\.)?([\w.-]+\w)[^\s)\]>,;\"']*", r"\1", s)  # addresses -> the domain
    s = re.sub(r"\s*\(\s*(?:[\w-]+\.)+(?:com|org|io|net|dev|gov)\s*\)", "", s)
    s = re.sub(r"\(\s*[,;:]?\s*\)|\[\s*\]|<\s*>", "", s)
    s = re.sub(r"[ \t]+", " ", s)
    s = re.sub(r" +([,.;:!?)])(?=\s|$)", r"\1", s)
    s = re.sub(r"[ \t]*\n[ \t]*", "\n", s)
    return re.sub(r"\n{3,}", "\n\n", s).strip()


def shorten(text: str) -> str:
    """At most TEXT_MAX characters, cut at a paragraph, else at a sentence."""
    if len(text) <= TEXT_MAX:
        return text
    cut = text[:TEXT_MAX]
    end = cut.rfind("\n")
    if end < TEXT_MAX * 0.6:
        end = max(m.end() for m in re.finditer(r"[.!?](?=\s)|^", cut))
    return cut[:end].strip()


def rank(key: str) -> int:
    """A random order that depends on the key alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def split_of(group: str) -> str:
    byte = hashlib.sha256(group.encode()).digest()[0]
    return "train" if byte < 230 else "val" if byte < 243 else "test"


class Seen:
    """8-grams of all texts kept so far (a third of them, by hash)."""

    def __init__(self):
        self.grams, self.exact = set(), set()

    def grams_of(self, text: str) -> set[int]:
        ids = [zlib.crc32(w.encode()) for w in words(text)]
        out = set()
        for i in range(max(1, len(ids) - 7)):
            h = 0
            for w in ids[i : i + 8]:
                h = (h * 1000003 ^ w) & 0xFFFFFFFFFFFF
            if h % 3 == 0:
                out.add(h)
        return out

    def add(self, text: str, force: bool = False) -> bool:
        """True if the text is new enough (it is then remembered)."""
        key = hashlib.sha1(" ".join(words(text)).encode()).digest()
        if key in self.exact:
            return False
        grams = self.grams_of(text)
        if not force and len(grams) >= 4 and sum(g in self.grams for g in grams) > SEEN_MAX * len(grams):
            return False
        self.exact.add(key)
        self.grams |= grams
        return True


def good_summary(s: str) -> bool:
    return (
        SUMMARY_MIN <= len(s) <= SUMMARY_MAX
        and len(words(s)) >= 3
        and s[0].isalnum()
        and not re.search(r"[{}<>|]|\]\(|^\W", s)
        and ascii_share(s) > 0.95
    )


def ascii_share(s: str) -> float:
    return len(s.encode("ascii", "ignore")) / max(1, len(s))


def english(text: str) -> bool:
    w = words(text[:1500])
    return sum(x in STOP for x in w) >= 0.12 * len(w) and ascii_share(text) > 0.95


META = re.compile(
    r"^(?:(?:in )?(?:this|the) (?:\w+ )?(?:article|topic|tutorial|document|specification|section|page|guide|xep|rfc|reference|appendix|proposal|module|chapter)s?,? "
    r"(?:also )?(?:(?:describes?|explains?|shows?|discusses|covers|lists|defines|specifies|introduces|presents|outlines|summarizes|proposes|documents) (?:you )?"
    r"|(?:provides|contains|gives) (?:(?:an )?overview of|(?:a )?(?:reference )?information (?:about|on|for))? ?)"
    r"|learn (?:more )?(?:about )?(?=how|what|when|why|which)|learn (?:more )?about "
    r"|(?:describes|explains|discusses|introduces|covers|shows|lists|documents|outlines) (?=how|what|when|why|the|a |an )"
    r"|(?:provides|contains) (?:an overview of|information (?:about|on)) )",
    re.I,
)


def without_meta(summary: str) -> str | None:
    """'This topic describes how to ..' -> 'How to ..'; None where there is no such lead."""
    rest = META.sub("", summary, count=1)
    return rest[:1].upper() + rest[1:] if rest != summary and len(rest) >= SUMMARY_MIN and len(words(rest)) >= 4 else None


def candidates(found, least: float):
    """All that looks at one pair at a time: pairs, copies, and counts of what was left out and why."""
    stats = Counter()
    pairs, copies = [], []
    for ident, group, text, summary in found:
        stats["raw"] += 1
        summary = re.sub(r"\s+", " ", clean(summary)).strip().rstrip(" :;")
        text = clean(text)
        if not good_summary(summary):
            stats["summary form"] += 1
            continue
        if len(text) < TEXT_MIN or not english(text):
            stats["text short or not English"] += 1
            continue
        short = shorten(text)
        copy = copied_sentences(summary, short)
        if copy:
            rest = text
            for sentence in copy:
                rest = rest.replace(sentence, "", 1)
            rest = clean(rest)
            if (
                len(rest) >= TEXT_MIN
                and support(summary, shorten(rest)) >= LEAD_CUT_SUPPORT
                and not copied_sentences(summary, shorten(rest))
            ):
                copies.append((ident, group, short, summary, shorten(rest)))
            else:
                copies.append((ident, group, short, summary, None))
        elif support(summary, short) < least:
            stats["summary not supported"] += 1
        else:
            pairs.append((ident, group, short, summary))
    return pairs, copies, stats


def choose(source, pairs, copies, seen, stats):
    """All that looks at the whole source, and at the sources before it: copies, leading phrases, duplicates."""
    # Copies: keep up to COPY_MAX of the source; of the others cut the copied sentence from the text where the rest carries it.
    copies.sort(key=lambda c: rank(c[0]))
    room = lambda n: int(COPY_MAX * n / (1 - COPY_MAX))
    if len(copies) > room(len(pairs)):
        cuttable = [c for c in copies if c[4]]
        stay = [c for c in copies if not c[4]]
        while cuttable and len(stay) + len(cuttable) > room(len(pairs)):
            ident, group, _, summary, rest = cuttable.pop()
            pairs.append((ident, group, rest, summary))
            stats["copied sentence cut"] += 1
        copies = cuttable + stay[: max(0, room(len(pairs)) - len(cuttable))]
        stats["copy dropped"] += len(stay) - (len(copies) - len(cuttable))
    stats["copies kept"] = len(copies)
    pairs += [c[:4] for c in copies]
    # Leading phrases, then duplicates, both in an order fixed by hash.
    pairs.sort(key=lambda p: rank(p[0]))
    leads, limit, out, summaries = Counter(), max(3, int(LEAD_MAX * len(pairs))), [], Counter()
    for ident, group, text, summary in pairs:
        lead = " ".join(words(summary)[:3])
        if leads[lead] >= limit:
            summary = without_meta(summary)
            lead = summary and " ".join(words(summary)[:3])
            if not summary or leads[lead] >= limit:
                stats["leading phrase"] += 1
                continue
            stats["leading phrase cut"] += 1
        if summaries[summary.lower()] >= 2:
            stats["same summary"] += 1
            continue
        if not seen.add(text):
            stats["duplicate text"] += 1
            continue
        leads[lead] += 1
        summaries[summary.lower()] += 1
        out.append(
            {
                "id": ident,
                "split": split_of(group),
                "kind": source.kind,
                "style": source.style,
                "text": text,
                "summaries": [summary],
            }
        )
    return out
