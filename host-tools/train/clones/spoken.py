"""What people said: meetings and dialogues, as everyday pairs (id, group, text, summaries)."""

import csv
import io
import json
import re

from clones.everyday import cut, first_sentence, words
from clones.repository import Repository


def joined(s: str) -> str:
    """Transcribed words as written text, without stutter and notes of noises."""
    s = re.sub(r"\{[^}]*\}|<[^>]*>", " ", s)
    s = re.sub(r"\s+", " ", s)
    s = re.sub(r" ([,.?!;:%)])", r"\1", re.sub(r" (n't|'\w+)\b", r"\1", s))
    return re.sub(r"\b(\w+)( \1\b)+", r"\1", s).strip()


def meetings(repo: Repository):
    """Name, queries and turns (speaker, words) of each meeting."""
    for path, t in repo.files(r"\.json$", "data/ALL"):
        m = path.rpartition("/")[2][:-5]
        if not m.startswith("covid"):  # Canadian Hansard: its terms allow no commercial use
            d = json.loads(t)
            d["turns"] = [(x["speaker"], joined(x["content"])) for x in d["meeting_transcripts"]]
            yield m, d


def turns(d: dict, spans: list) -> str:
    """What was said in these spans of turns."""
    out = []
    for a, b in spans:
        out += ["%s: %s" % x for x in d["turns"][int(a) : int(b) + 1] if len(words(x[1])) > 2]
    return "\n".join(out)


def qmsum(repo: Repository):
    """The turns that a question is about; an annotator's answer, or its first sentence."""
    for m, d in meetings(repo):
        for i, q in enumerate(d["specific_query_list"]):
            t = turns(d, q["relevant_text_span"])
            if len(t) <= 4000:
                a = q["answer"]
                one = first_sentence(a)
                yield f"{m}/{i}", m, t, [a if len(a) <= 300 else one if len(one) > 70 and len(t) < 1500 else ""]


def qmsum_topic(repo: Repository):
    """The turns of a topic; its title."""
    for m, d in meetings(repo):
        for i, q in enumerate(d["topic_list"]):
            t = turns(d, q["relevant_text_span"])
            if len(t) <= 12000:
                yield f"{m}/topic{i}", m, cut(t, 3000), [q["topic"]]


def mts(repo: Repository):
    """What doctor and patient said; the note, or its first sentence."""
    for path, t in repo.files(r"\.csv$", "Main-Dataset"):
        for r in csv.DictReader(io.StringIO(t)):
            if r.get("dialogue") and r.get("section_text"):
                s = re.sub(r"\s+", " ", r["section_text"]).strip()
                if len(s) > 300:
                    s = first_sentence(s) if len(first_sentence(s)) > 60 and len(r["dialogue"]) < 2500 else ""
                yield f"{path.rpartition('/')[2][11:-4]}/{r['ID']}", f"{path}/{r['ID']}", r["dialogue"], [s]
