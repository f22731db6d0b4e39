"""What `jamlet score --signals` wrote of pairs, as arrays: texts, their sentences, and what each of these is worth."""

import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np

MARK = 67  # which signal that is
WORDS = 2048  # weights of words
# How much of a text's weight is that of its kind's file, and how much that of its topic.
TOPICS, FILES = 0.35, 0.7
STYLES = {"sentence": 1.0, "title": 0.4}
FORMED = 0.5  # weight of a text in another form
# What a sentence of an everyday text is worth, and how much its ROUGE-L counts beside that.
GOOD, PARTLY, ROUGE = 40.0, 20.0, 0.3


def bucket(word: bytes) -> int:
    """Which weight a word has: `key` of engine/src/summary/words.rs, its lower bits."""
    value = 0x811C9DC5
    for byte in word[:6].lower():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return (value >> 16 ^ value) % WORDS


def buckets(sentence: str, known={}) -> list[int]:
    """Those of a sentence's words that don't begin with a digit."""
    out = []
    for word in re.findall(rb"[A-Za-z0-9\x80-\xff]+", sentence.encode()):
        if not word[:1].isdigit():
            if word not in known:
                known[word] = bucket(word)
            out.append(known[word])
    return out


def plain(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().lower()


def among(sentence: str, others: list[str]) -> bool:
    """Whether a sentence is one of these, or part of one, or has it."""
    sentence = plain(sentence)
    return any(sentence == other or len(sentence) > 15 and (sentence in other or other in sentence) for other in map(plain, others))


def value(row, sentence: str) -> float:
    good, partly = row
    return GOOD if among(sentence, good) else PARTLY if among(sentence, partly) else 0.0


class Texts:
    """Texts with their sentences, one behind the other: `n` sentences each, `x` signals, `y` worth, `length` in words, and
    of the weights that their words have, `count` each, the numbers `words`."""

    def __init__(self, pairs: Path, dump: Path):
        self.meta, self.rows, found = [], [], []
        with open(pairs, encoding="utf-8") as rows, open(dump, encoding="utf-8") as lines:
            for row, line in zip(map(json.loads, rows), map(json.loads, lines), strict=True):
                if line["quotes"]:
                    self.meta.append({key: row.get(key) for key in ("kind", "topic", "style", "form")})
                    self.rows.append((row.get("good"), row.get("partly")))
                    found.append(line)
        quotes = [quote for line in found for quote in line["quotes"]]
        percent = 100 if max(quote["rouge_l"] for quote in quotes) <= 1 else 1
        self.n = np.array([len(line["quotes"]) for line in found])
        self.start = np.concatenate([[0], np.cumsum(self.n)[:-1]])
        self.x = np.array([quote["signals"] for quote in quotes], np.float32)
        self.y = np.array([quote["rouge_l"] for quote in quotes], np.float32) * percent
        self.first = np.array([line["first"] for line in found]) * percent
        self.length = np.array([len(quote["text"].split()) for quote in quotes])
        likely = [quote.get("likelihood") or (np.nan, np.nan) for quote in quotes]
        self.likelihood = np.array(likely, np.float32)
        words = [np.array(buckets(quote["text"]), np.int64) for quote in quotes]
        self.count = np.array([len(of) for of in words])
        self.first_word = np.cumsum(self.count) - self.count
        self.words = np.concatenate(words)
        self.good = None
        if self.rows[0][0] is not None:
            self.good = np.array([value(row, quote["text"]) for row, line in zip(self.rows, found) for quote in line["quotes"]])
            self.y = (self.good + ROUGE * self.y).astype(np.float32)
        self.full = bool(found[0].get("hidden"))
        if self.full:
            self.hidden = np.array([line["hidden"] for line in found], np.float32)
            self.gate = np.array([line["gate"] for line in found], np.float32)
            self.rewritten = np.array([line["rewrite"]["rouge_l"] for line in found]) * percent

    def __len__(self) -> int:
        return len(self.n)

    def spread(self, values):
        """A value for each text, for its sentences."""
        return np.repeat(values, self.n)

    def most(self, values):
        return np.maximum.reduceat(values, self.start)

    def total(self, values):
        return np.add.reduceat(values, self.start)

    def best(self, scores):
        """Which sentence of each text has the highest score, the first of these."""
        place = np.arange(len(scores))
        return np.minimum.reduceat(np.where(scores == self.spread(self.most(scores)), place, len(scores)), self.start)

    def weights(self):
        """Of texts: kinds and topics alike, and a sum of 1."""
        files = defaultdict(int)
        for meta in self.meta:
            files[meta["kind"]] += 1
        plain = np.array([
            files[m["kind"]] ** -FILES * STYLES[m["style"]] * (FORMED if m["form"] else 1.0) for m in self.meta
        ])  # fmt: skip
        topics = defaultdict(float)
        for meta, weight in zip(self.meta, plain):
            topics[meta["topic"]] += weight
        even = plain / np.array([topics[meta["topic"]] for meta in self.meta])
        return (1 - TOPICS) * plain / plain.sum() + TOPICS * even / even.sum()
