"""Which pairs of everyday texts are good: posts, reports, meetings, dialogues and news, with summaries that people wrote.

Addresses go, punctuation is unified. A summary's words, numbers and names must stand in the text, and it may not be the text's beginning.
"""

import hashlib
import html
import re
import zlib
from collections import Counter, defaultdict


CHARACTERS = (120, 4000)  # of a text
LENGTHS = (600, 1200, 2400, 4000)  # to which texts are cut: short ones are common in use


URL = re.compile(r"(?:https?://|www\.)[^\s)>\]\"']+|\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|gov|edu|io)/[^\s)>\]]*", re.I)


MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


PHONE = re.compile(r"(?:\+?1[ .-]?)?(?:\(\d{3}\)\s?|\b\d{3}[ ./-])\d{3}[ .-]\d{4}\b(?:\s*(?:ext|x)\.?\s*\d+)?", re.I)


def plain(s: str) -> str:
    """Unify quotes and dashes, drop addresses, normalise white space, keep paragraph breaks."""
    s = html.unescape(html.unescape(s or ""))
    s = (
        s.replace("\u2018", "'")
        .replace("\u2019", "'")
        .replace("\u201c", '"')
        .replace("\u201d", '"')
        .replace("\u2013", "-")
        .replace("\u2014", " - ")
        .replace("\u2026", "...")
        .replace("\u00a0", " ")
        .replace("\u200b", "")
        .replace("\ufeff", "")
        .replace("\u202f", " ")
        .replace("\ufffd", "")
    )
    s = re.sub(r"(?<=\w)\u00bb(?=\w)", "'", s)  # a broken apostrophe of one source
    s = PHONE.sub("", MAIL.sub("", URL.sub("", s)))
    s = re.sub(r"\bwww\.(?!\w)|https?:/*|\(\s*\)|\[\s*\]|<\s*>", "", s)
    s = re.sub(r"[ \t\r\f\v]+", " ", s)
    s = re.sub(r" ?\n ?", "\n", s)
    s = re.sub(r"\n{2,}", "\n\n", s)
    return re.sub(r" +([,.;:!?])", r"\1", s).strip()


def cut(text: str, limit: int) -> str:
    """Cut at a paragraph end, else at a sentence end, before `limit` characters."""
    if len(text) <= limit:
        return text
    for mark in ("\n\n", "\n", ". "):
        i = text.rfind(mark, limit // 3, limit)
        if i > 0:
            return text[: i + (1 if mark == ". " else 0)].strip()
    return text[:limit].rsplit(" ", 1)[0]


def byte(key: str, n: int = 0) -> int:
    """A number below 256 that depends on the key alone."""
    return hashlib.sha256(key.encode()).digest()[n]


def vary(text: str, key: str, summary: str, cover: float) -> str:
    """The text cut to one of LENGTHS, chosen by the key, or to the next longer one that still covers the summary."""
    b = byte(key, 1)
    first = LENGTHS[(b >= 90) + (b >= 170) + (b >= 225)]
    for n in LENGTHS:
        if n >= first:
            short = cut(text, n)
            if coverage(summary, short) >= cover and numbers_ok(summary, short) and names_ok(summary, short, 0):
                break
    return short


SENT_END = re.compile(
    r"(?<!\bSen)(?<!\bSens)(?<!\bRep)(?<!\bReps)(?<!\bMr)(?<!\bMs)(?<!\bMrs)(?<!\bDr)(?<!\bSt)(?<!\bGov)"
    r"(?<!\bInc)(?<!\bJr)(?<!\bNo)(?<!\b[A-Z])(?<!\bU\.S)(?<!\bD\.C)[.!?][\"')]*\s+(?=[A-Z\"'])"
)


def first_sentence(text: str) -> str:
    found = SENT_END.search(text)
    return (text[: found.end()] if found else text).strip()


STOP = set(
    """a an the and or but nor so yet if of in on at to from by for with without as is are was were be been being
am do does did done has have had having will would shall should can could may might must not no this that these those it
its he she they them his her their our we us you your i my me who whom which what when where why how than then there here
about into over under after before between during out up down off again more most some any all each other such only own
same too very just also new one via per""".split()
)


def stem(w: str) -> str:
    w = w.lower().strip("'")
    w = re.sub(r"'s$", "", w)
    for suf, rep in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", ""), ("ly", ""), ("ion", ""), ("e", "")):
        if w.endswith(suf) and len(w) - len(suf) >= 3:
            return w[: -len(suf)] + rep
    return w


def words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z][A-Za-z'-]*|\d[\d,.]*\d|\d", text)


def coverage(summary: str, text: str) -> float:
    """Share of the summary's content words (stemmed) that occur in the text."""
    have = {stem(w) for w in words(text)}
    want = [stem(w) for w in words(summary) if w.lower() not in STOP]
    return sum(w in have for w in want) / len(want) if want else 0.0


ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()


TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def in_words(n: int) -> str:
    """A number below 100."""
    return ONES[n] if n < 20 else TENS[n // 10 - 2] + (" " + ONES[n % 10] if n % 10 else "")


def numbers_ok(summary: str, text: str) -> bool:
    """Every free-standing number of the summary stands in the text, in digits or (below 100) in words."""
    have = {n.replace(",", "").rstrip(".") for n in re.findall(r"\d[\d,.]*", text)}
    low = " " + re.sub(r"[^a-z]+", " ", text.lower()) + " "
    for n in re.findall(r"(?<![A-Za-z0-9/-])\d[\d,.]*(?![A-Za-z0-9])", summary):
        n = n.replace(",", "").rstrip(".")
        if n not in have and not (re.fullmatch(r"\d{1,2}", n) and f" {in_words(int(n))} " in low):
            return False
    return True


FORMS = {"sen", "sens", "senator", "senators", "rep", "reps", "u.s", "i", "i'm", "we", "the"}


def names_ok(summary: str, text: str, most: float) -> bool:
    """Names of the summary (capitals inside a sentence) must stand in the text; `most` may be missing."""
    caps = re.findall(r"(?<=[\w,;:)'\"] )[A-Z][\w.'&-]*", summary)
    if len(caps) > 0.6 * len(words(summary)):  # a title in title case: nothing to tell names by
        return True
    have = {stem(w) for w in words(text)}
    names = [w for c in caps if c.lower().strip(".'") not in FORMS for w in words(c)]
    return sum(stem(w) not in have for w in names) <= most * len(names)


# What share of a summary's names may be missing: none where capitals are sure to be names, any where roles and types of aircraft
# have capitals, too. Elsewhere MISSING.
MISSING = 0.34
MISSING_NAMES = {"senate-lead": 0, "senate-title": 0, "asrs-synopsis": 1}


def squeeze(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", text.lower())


def copied_lead(summary: str, text: str) -> bool:
    """The summary is what the text begins with."""
    return squeeze(summary)[:120] == squeeze(text[: 2 * len(summary) + 200])[: len(squeeze(summary)[:120])]


def english(text: str) -> bool:
    found = [word.lower() for word in re.findall(r"[A-Za-z']+", text)]
    latin = sum(c > "\u024f" for c in text) < 0.02 * len(text)
    return len(found) >= 12 and sum(word in STOP for word in found) / len(found) > 0.22 and latin


class Filter:
    """What all sources must pass. Near-copies are found across sources."""

    def __init__(self):
        self.seen, self.shingle, self.size = set(), {}, []
        self.dropped = Counter()

    def duplicate(self, text: str) -> bool:
        """Shares over half of its 8-grams (every second one is counted) with an earlier text; else it is remembered."""
        norm = re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()
        h = hashlib.sha256(norm.encode()).digest()[:12]
        if h in self.seen:
            return True
        w = norm.split()
        grams = {g for g in (zlib.crc32(" ".join(w[i : i + 8]).encode()) for i in range(len(w) - 7)) if g % 2 == 0}
        hits = Counter(self.shingle[g] for g in grams if g in self.shingle)
        if any(n > 0.5 * min(len(grams), self.size[doc]) for doc, n in hits.most_common(5)):
            return True
        self.seen.add(h)
        for g in grams:
            self.shingle.setdefault(g, len(self.size))
        self.size.append(len(grams))
        return False

    def row(self, source, key: str, group: str, text: str, summaries: list[str]) -> dict | None:
        """The pair, with those of the summaries that are good."""
        text = cut(plain(text), CHARACTERS[1])
        if len(text) < CHARACTERS[0] or not english(text):
            self.dropped["text"] += 1
            return None
        good = []
        for s in summaries:
            s = re.sub(r"\s+", " ", plain(s)).strip().strip('"').strip()
            if not 12 <= len(s) <= 300 or s.endswith(("...", ":", ",")) or len(words(s)) < 3:
                continue
            if s.lower() in (g.lower() for g in good) or len(s) > 0.8 * len(text):
                continue
            if copied_lead(s, text) and (len(s) > 200 or s[-1] not in ".?!" or byte(key, 3) > 85):
                continue  # an excerpt made by a machine; of the short ones a third stays
            if (
                coverage(s, text) >= source.support
                and numbers_ok(s, text)
                and names_ok(s, text, MISSING_NAMES.get(source.name, MISSING))
            ):
                good.append(s)
        if not good:
            self.dropped["summary"] += 1
            return None
        if self.duplicate(text):
            self.dropped["duplicate"] += 1
            return None
        b = byte(group)
        return {
            "id": f"{source.name}:{key}",
            "split": "train" if b < 230 else "val" if b < 243 else "test",
            "kind": source.kind,
            "style": source.style,
            "text": text,
            "summaries": good,
        }


def cap_openings(rows: list[dict], share: float = 0.05) -> list[dict]:
    """Of the rows whose summaries begin with the same three words, this share of the source at most."""
    while True:
        limit = max(3, int(share * len(rows)))
        n, kept = Counter(), []
        for r in sorted(rows, key=lambda r: hashlib.sha256(r["id"].encode()).digest()):
            k = " ".join(r["summaries"][0].lower().split()[:3])
            n[k] += 1
            if n[k] <= limit:
                kept.append(r)
        if len(kept) == len(rows):
            return sorted(kept, key=lambda r: r["id"])
        rows = kept


def keep_apart(rows: list[dict]) -> list[dict]:
    """Without the rows that share over half of a test row's 8-grams."""

    def grams(t):
        w = re.sub(r"[^a-z0-9]+", " ", t.lower()).split()
        return {" ".join(w[i : i + 8]) for i in range(len(w) - 7)}

    size, owner = {}, defaultdict(list)
    for r in rows:
        if r["split"] == "test":
            g = grams(r["text"])
            size[r["id"]] = len(g)
            for x in g:
                owner[x].append(r["id"])
    kept = []
    for r in rows:
        n = Counter(t for x in grams(r["text"]) for t in owner.get(x, ())) if r["split"] != "test" else {}
        if all(k <= 0.5 * size[t] for t, k in n.items()):
            kept.append(r)
    return kept
