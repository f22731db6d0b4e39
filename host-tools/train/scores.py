"""Scores of summaries: ROUGE, repetition, emptiness, invented names; and the baselines to beat."""

import re
from collections.abc import Callable

from rouge_score import rouge_scorer

MEASURES = ("rouge1", "rouge2", "rougeL")
SCORER = rouge_scorer.RougeScorer(MEASURES, use_stemmer=True)
WORD = re.compile(r"[A-Za-z][A-Za-z0-9+]*")


def rouge(summary: str, references: list[str]) -> dict[str, float]:
    """F-measures against the reference that fits best by ROUGE-L."""
    best = max((SCORER.score(reference, summary) for reference in references), key=lambda s: s["rougeL"].fmeasure)
    return {name: best[name].fmeasure for name in MEASURES}


def repeats(summary: str) -> bool:
    """Says three words in a row twice, or one word three times in a row."""
    words = summary.lower().split()
    grams = [tuple(words[i : i + 3]) for i in range(len(words) - 2)]
    return len(set(grams)) < len(grams) or any(len(set(gram)) == 1 for gram in grams)


def invents(summary: str, text: str) -> bool:
    """Has a name that is not in the text. As for `jamlet score`, that is a word with a capital behind its first letter
    or with a digit, or one that begins with a capital where no sentence begins."""
    text, first = text.lower(), True
    for word in summary.split():
        begins, first = first, word[-1] in ".!?:"
        name = re.sub(r"^\W+|\W+$", "", word)
        inside = any(c.isupper() for c in name[1:]) or any(c.isdigit() for c in name)
        if inside or (name[:1].isupper() and not begins):
            lower = name.lower()
            if lower not in text and lower.removesuffix("'s").removesuffix("s") not in text:
                return True
    return False


def unfounded(summary: str, text: str, common: Callable[[str], bool]) -> bool:
    """Has a word of 3 letters or more, capital or not, that is neither in the text nor common."""
    text = text.lower()
    return any(
        len(word) >= 3 and word.lower() not in text and not common(word.lower()) for word in WORD.findall(summary)
    )


def unsupported(summary: str, sources: str) -> int:
    """How many words of 5 letters or more are not in `sources`, by their first 5 letters."""
    sources = sources.lower()
    return sum(len(word) >= 5 and word[:5].lower() not in sources for word in WORD.findall(summary))


def sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?])\s+|\n+", text) if part.strip()] or [text]


def first_sentence(text: str) -> str:
    return sentences(text)[0]


def first_words(text: str, n: int = 12) -> str:
    return " ".join(text.split()[:n])


def heuristic(text: str) -> str:
    """What follows the first `is a`, `provides`, `contains` or `implements`, up to 9 words."""
    rest = re.sub(r"^.*?\b(is|are|provides|contains|implements)\b\s+(an?|the)?\s*", "", sentences(text)[0], count=1)
    return " ".join(rest.split()[:9])


def oracle(text: str, references: list[str]) -> str:
    """The sentence with the best ROUGE-L: no extractive summary of one sentence does better."""
    return max(sentences(text), key=lambda sentence: rouge(sentence, references)["rougeL"])


def table(rows: list[dict], summaries: list[str], common: Callable[[str], bool]) -> dict[str, float]:
    """Means over all rows, in percent."""
    found = [rouge(summary, row["summaries"]) for row, summary in zip(rows, summaries)]
    share = lambda flags: 100 * sum(flags) / len(rows)  # noqa: E731
    return {
        **{name: 100 * sum(f[name] for f in found) / len(rows) for name in MEASURES},
        "repeats": share(repeats(s) for s in summaries),
        "empty": share(not s for s in summaries),
        "invents": share(invents(s, row["text"]) for row, s in zip(rows, summaries)),
        "unfounded": share(unfounded(s, row["text"], common) for row, s in zip(rows, summaries)),
    }
