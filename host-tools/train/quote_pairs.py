"""Makes the texts on which the choice of a summary is fitted, from what split.py, mix.py and collect_readmes.py wrote:

    quote_pairs.py DATA OUT

| file of OUT | for |
|---|---|
| rank-train.jsonl | ranking sentences, by signals that need no model: all kinds, some texts within a letter, some without their beginning |
| rank-val.jsonl | its score: the validation splits of all kinds whose summaries are sentences |
| gate-train.jsonl | what needs the model: its mark and likelihood, and when it rewrites |
| gate-val.jsonl | their score |
| everyday-train.jsonl | ranking sentences: everyday texts, whose good sentences are known |
| everyday-val.jsonl | its score |

People's letters begin with greetings, and what matters comes later. The pairs have few letters, so that some texts are put into
one; and few whose first sentence isn't the best, so that some lose it.
"""

import json
import lzma
import random
import sys
from collections import defaultdict
from pathlib import Path

from sentences import spans

# How many texts of a kind are taken at most, by the style of their summaries.
RANKED = {"sentence": 1000, "title": 150}
GATED = {"sentence": 60, "title": 8}
GATED_PACKAGES, GATED_PAPERS, GATED_REST, GATED_EVERYDAY = 1200, 200, 60, 200
VALIDATED, VALIDATED_PACKAGES, VALIDATED_PAPERS = 30, 350, 60
# Shares of texts that are there once more, within a letter and without their first sentence.
LETTERS, BEHEADED = 0.18, 0.35
SHORTEST = 150  # characters without the first sentence

NAMES = "Anna Tom Maria Peter Jane Li Omar Priya Karl Smith Jones Sofia Ben Chloe Diego Hanna Ivan Julia Kenji Laura".split()
GREETINGS = [
    "Hi {},", "Hello {},", "Dear {},", "Hi all,", "Dear all,", "Hello everyone,", "Hey {},", "Dear colleagues,", "Hi team,",
    "Dear Mr. {},", "Dear Ms. {},", "Hello,",
]  # fmt: skip
OPENINGS = [
    "hope you are well.", "I hope this message finds you well.", "hope you had a good weekend.", "quick question for you.",
    "thank you for your message.", "Thank you for your letter of last week.", "thanks for getting back to me so quickly.",
    "it was good to see you last week.", "I hope that you had a nice holiday.", "sorry for the late reply.",
    "I am writing to you about the following.", "this is just a quick note before I leave.",
    "as promised, here is what we talked about.", "It has been a while since my last message.",
    "first of all, happy new year to all of you.", "I wanted to let you know about a few things.", "Please read this carefully.",
    "Welcome to this month's newsletter.", "We are writing with some news.", "Thanks to everyone who came yesterday.",
    "We would like to thank you for your help.", "First post here, so please be kind.",
    "Before anything else, a word of thanks.", "I just got back from a meeting.", "Please find the details below.",
]  # fmt: skip
CLOSINGS = [
    "Thanks,\n{}", "Best regards,\n{}", "Kind regards,\n{}", "Cheers,\n{}", "Yours sincerely,\n{}", "Thank you!\n\n{}",
    "Let me know if you have any questions.\n\nBest,\n{}", "See you soon,\n{}",
    "Please let me know what you think.\n\nThanks\n{}", "I look forward to hearing from you.\n\nYours faithfully,\n{}",
]  # fmt: skip


def load(path: Path, **more) -> list[dict]:
    with open(path, encoding="utf-8") as file:
        return [{**json.loads(line), **more} for line in file]


def letter(text: str, rng: random.Random) -> str:
    """The text within a letter, or behind its opening words."""
    greeting, closing = (rng.choice(lines).format(rng.choice(NAMES)) for lines in (GREETINGS, CLOSINGS))
    opening = " ".join(rng.sample(OPENINGS, 1 if rng.random() < 0.7 else 2))
    large = opening[0].upper() + opening[1:]
    opening = rng.choice((opening, opening, large))
    chance = rng.random()
    if chance < 0.5:
        return f"{greeting}\n\n{opening}{rng.choice((' ', chr(10) * 2))}{text}\n\n{closing}"
    if chance < 0.65:
        return f"{greeting}\n\n{text}\n\n{closing}"
    if chance < 0.85:
        return f"{large} {text}"
    return f"{greeting}\n\n{opening}\n\n{text}"


def beheaded(text: str) -> str:
    """The text without its first sentence."""
    return text[next(spans(text), (0, 0))[1] :].strip()


def sampled(rows: list[dict], most: dict[str, int]) -> list[dict]:
    """So many rows of each kind, by style."""
    seen, out = defaultdict(int), []
    for row in rows:
        seen[row["kind"]] += 1
        if seen[row["kind"]] <= most[row["style"]]:
            out.append(row)
    return out


def varied(rows: list[dict], rng: random.Random) -> list[dict]:
    """The rows, and some of them once more in another form."""
    out = []
    for row in rows:
        out.append(row)
        if rng.random() < LETTERS:
            out.append({**row, "text": letter(row["text"], rng), "form": "letter"})
        if rng.random() < BEHEADED and len(rest := beheaded(row["text"])) > SHORTEST:
            out.append({**row, "text": rest, "form": "beheaded"})
    return out


def everyday(split: str) -> list[dict]:
    """Made-up texts; a good sentence of theirs is a right summary, too."""
    with lzma.open(Path(__file__).parent / "pairs/everyday.jsonl.xz", "rt", encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row["split"] == split]
    return [
        {**row, "kind": "everyday", "topic": row["kind"], "style": "sentence", "summaries": row["summaries"] + row["good"]} for row in rows
    ]  # fmt: skip


def shortened(row: dict, rng: random.Random) -> list[dict]:
    """The text twice more, with a good sentence and few others, in their order: people's texts are often short."""
    found = [row["text"][start:end].strip() for start, end in spans(row["text"])]
    good = [at for at, sentence in enumerate(found) if any(sentence in right or right in sentence for right in row["good"])]
    out = []
    for _ in range(2 if good and len(found) > 7 else 0):
        others = [at for at in range(len(found)) if at not in good]
        kept = {rng.choice(good), *rng.sample(others, min(rng.randint(3, 6), len(others)))}
        # Most begin as the text does.
        kept |= {0} if rng.random() < 0.7 else set()
        out.append({**row, "text": " ".join(found[at] for at in sorted(kept)), "form": "short"})
    return out


def write(path: Path, rows: list[dict]) -> None:
    keys = ("kind", "topic", "style", "form", "text", "summaries", "good", "partly")
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({key: row[key] for key in keys if key in row}, ensure_ascii=False) + "\n")
    print(f"{len(rows):6} {path}")


def main() -> None:
    data, out = map(Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(1)
    general, validation = load(data / "general-train.jsonl"), load(data / "general-val.jsonl")
    known = load(data / "train.jsonl")
    packages = [{**row, "topic": "package", "style": "title"} for row in known if row["kind"] == "debian"]
    papers = [{**row, "topic": "science", "style": "sentence"} for row in known if row["kind"] == "scitldr"]
    rest = [{**row, "topic": row["kind"], "style": "title"} for row in known if row["kind"] in ("advisories", "proposals")]
    for rows in (general, validation, packages, papers, rest):
        rng.shuffle(rows)
    sentences = [row for row in validation if row["style"] == "sentence"]
    science = load(data / "scitldr-val.jsonl", kind="scitldr", topic="science", style="sentence")
    debian = load(data / "debian-val.jsonl", kind="debian", topic="package", style="title")
    rng.shuffle(debian)

    write(out / "rank-train.jsonl", varied(sampled(general + papers + rest, RANKED), rng))
    write(out / "rank-val.jsonl", sentences + science)
    texts = everyday("train")
    write(out / "everyday-train.jsonl", texts + [short for text in texts for short in shortened(text, rng)])
    write(out / "everyday-val.jsonl", everyday("val"))
    readmes = load(data / "readmes.jsonl")
    gated = sampled(general, GATED) + packages[:GATED_PACKAGES] + papers[:GATED_PAPERS] + rest[:GATED_REST] + readmes
    write(out / "gate-train.jsonl", gated + everyday("train")[:GATED_EVERYDAY])
    validated = sampled(sentences, {"sentence": VALIDATED})
    write(out / "gate-val.jsonl", validated + debian[:VALIDATED_PACKAGES] + science[:VALIDATED_PAPERS] + everyday("val"))


if __name__ == "__main__":
    main()
