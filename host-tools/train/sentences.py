"""Where the sentences of a text end, what each is worth as its summary, and which words of a summary the text supports."""

import re
from collections.abc import Iterator
from functools import cache

from nltk.stem.porter import PorterStemmer

# A full stop behind one of these, or behind a single capital, ends no sentence.
ABBREVIATIONS = frozenset(
    "adm al approx art ave col corp cf dept dr ed eds eg etc fig figs gen gov hon i.e e.g inc jr ltd lt mr mrs ms no nos op "
    "pp prof rep rev sec sen sgt sr st u.s u.k vol vs jan feb mar apr jun jul aug sept oct nov dec".split()
)
END = re.compile(r"""[.!?]+["'”’)\]*_]*(?=\s|$)|\n|$""")
LAST_WORD = re.compile(r"(\S+?)\.[\"'”’)\]*_]*$")
# Sentences that can stand as a summary, in words.
SHORTEST, LONGEST = 4, 40
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9'+-]*")
FUNCTION = frozenset(
    """a about above after again against all also although always am among an and another any anyone anything are around as
    at away back be because been before being below between both but by can cannot could did do does doing done down during
    each either else etc even ever every everything few first for from further get gets getting give given gives go had has
    have having he her here hers him his how however i if in including instead into is it its itself just last less let like
    made make makes making many may me might more most much must my near need neither never new no none nor not nothing now of
    off often on once one ones only onto or other others our out over own part per rather same several shall she should since
    so some something still such take taken takes than that the their them then there these they thing things this those
    though three through thus to together too toward towards two under until up upon us use used uses using very via was way
    we well were what when where whether which while who whom whose why will with within without would yet you your""".split()
)
STEMMER = PorterStemmer()


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Start and end (without the white space behind it) of each sentence. A line break ends one, too."""
    start = 0
    for found in END.finditer(text):
        end = found.end()
        sentence = text[start:end]
        if found[0].startswith("."):
            word = LAST_WORD.search(sentence)
            word = word[1].lstrip("(\"'[").lower() if word else ""
            follows = text[end : end + 3].lstrip()[:1]
            if follows.islower() or word in ABBREVIATIONS or (len(word) == 1 and word.isalpha()):
                continue
        if sentence.strip():
            yield start + len(sentence) - len(sentence.lstrip()), start + len(sentence.rstrip())
        start = end


@cache
def stem(word: str) -> str:
    return STEMMER.stem(word) if len(word) > 3 else word


def stems(text: str) -> list[str]:
    """As rouge_score sees it."""
    return [stem(word) for word in re.findall(r"[a-z0-9]+", text.lower())]


def common(a: list[str], b: list[str]) -> int:
    """Length of the longest common subsequence, a bit for each word of `a` (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for i, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << i
    full = (1 << len(a)) - 1
    row = full
    for word in b:
        matched = row & places.get(word, 0)
        row = (row + matched | row - matched) & full
    return len(a) - row.bit_count()


def worth(sentence: str, references: list[str], recall: float = 1.0) -> float:
    """ROUGE-L (F-measure with so much more weight on recall) against the reference that fits best. `rouge_score` gives the same,
    a hundred times slower, and training asks for every sentence."""
    found, best = stems(sentence), 0.0
    for reference in map(stems, references):
        if shared := common(found, reference):
            best = max(best, (1 + recall**2) * shared / (recall**2 * len(reference) + len(found)))
    return best


def quotable(sentence: str) -> bool:
    return SHORTEST <= len(sentence.split()) <= LONGEST


def unsupported(summary: str, text: str) -> list[tuple[int, int]]:
    """Spans of the summary's content words of which the text has no inflection: none that begins with the same letters."""
    text = text.lower()
    out = []
    for found in WORD.finditer(summary):
        word = found[0].lower().removesuffix("'s")
        if word in FUNCTION or (len(word) < 3 and not word.isdigit()):
            continue
        begin = word if len(word) <= 4 else word[: max(4, len(word) - 3)][:6]
        if begin not in text:
            out.append(found.span())
    return out


def supported_share(summary: str, text: str) -> float:
    """The share of the summary's content words that the text supports; 1 if it has none."""
    content = [word for word in WORD.findall(summary) if word.lower() not in FUNCTION]
    return 1 - len(unsupported(summary, text)) / len(content) if content else 1.0
