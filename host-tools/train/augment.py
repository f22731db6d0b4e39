"""Made-up names: teaches a model to copy what it cannot know. And the ways in which a text may lie in a file.

A name in a text (a rare word, or one that its spelling marks as a name) is replaced by another one, the same in the
text and in its summary, drawn afresh each time. Whoever learns the names of the training set by heart gains nothing;
copying from the text is all that helps.
"""

import random
import re
import textwrap
from collections import Counter

WORD = re.compile(r"[A-Za-z][A-Za-z0-9+]*")
# A word that fewer sources than this use is a name, not vocabulary; one with odd capitals may be in more.
RARE, RARE_CAPITALS = 8, 200
MIN_LETTERS = 3
ORDER = 3  # letters of context of the name generator


class Names:
    """Knows which words are names, and makes new ones."""

    def __init__(self, rows: list[dict]):
        words: dict[str, set[str]] = {}
        for row in rows:
            found = words.setdefault(row.get("source", row["name"]), set())
            found.update(word.lower() for word in WORD.findall(row["text"] + " " + row["summaries"][0]))
        self.uses = Counter(word for found in words.values() for word in found)
        self.real = sorted(w for w, n in self.uses.items() if n < RARE and 3 <= len(w) <= 14 and w.isalpha())
        self.follow: dict[str, list[str]] = {}
        for word in self.real:
            padded = "^" * ORDER + word + "$"
            for i in range(ORDER, len(padded)):
                self.follow.setdefault(padded[i - ORDER : i], []).append(padded[i])

    def is_name(self, word: str) -> bool:
        """Rare, or spelled like one: a digit, or a capital after the first letter (but no plural: `APIs`)."""
        if len(word) < MIN_LETTERS:
            return False
        uses = self.uses[word.lower()]
        if uses < RARE:
            return True
        odd = not word.isupper() and any(c.isupper() for c in word[1:]) and not re.fullmatch(r"[A-Z]+s", word)
        return odd and uses < RARE_CAPITALS

    def make(self, rng: random.Random) -> str:
        """A new name in lower case: half of them real words from elsewhere, half made up letter by letter."""
        if rng.random() < 0.5:
            return rng.choice(self.real)
        while True:
            word = "^" * ORDER
            while not word.endswith("$") and len(word) < ORDER + 12:
                word += rng.choice(self.follow[word[-ORDER:]])
            word = word.strip("^$")
            if len(word) >= MIN_LETTERS:
                return word

    def replace(self, text: str, summary: str, rng: random.Random, share: float) -> tuple[str, str]:
        """Replaces each name that the summary and the text share, and `share` of the text's other names.

        `libfoo`, `Foo` and `FOO` are one name; each occurrence keeps its own capitals.
        """
        in_text = {stem(word) for word in WORD.findall(text) if self.is_name(word)}
        in_summary = {stem(word) for word in WORD.findall(summary)}
        chosen = sorted(name for name in in_text if name in in_summary or rng.random() < share)
        if not chosen:
            return text, summary
        new = {name: self.make(rng) for name in chosen}
        pattern = re.compile("|".join(re.escape(n) for n in sorted(chosen, key=len, reverse=True)), re.I)
        swap = lambda found: like(found[0], new[found[0].lower()])  # noqa: E731
        return pattern.sub(swap, text), pattern.sub(swap, summary)


def stem(word: str) -> str:
    word = word.lower()
    return word[3:] if word.startswith("lib") and len(word) > 5 else word


def like(pattern: str, word: str) -> str:
    """`word` with the capitals of `pattern`: FOO, Foo, foo; FooBar capitalises a letter inside too."""
    if pattern.isupper():
        return word.upper()
    out = word.capitalize() if pattern[0].isupper() else word
    if any(c.isupper() for c in pattern[1:]) and len(out) > 3:
        middle = len(out) // 2
        out = out[:middle] + out[middle].upper() + out[middle + 1 :]
    return out


def lay_out(text: str, rng: random.Random) -> str:
    """One text in three as files have it: lines wrapped at some width, or a newline at the end, or both."""
    kind = rng.randrange(9)
    if kind < 2:
        width = rng.randint(56, 80)
        text = "\n".join(textwrap.fill(line, width, replace_whitespace=False) for line in text.split("\n"))
    return text + "\n" if kind in (1, 2) else text
