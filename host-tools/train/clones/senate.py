"""Press releases of US senators, as everyday pairs: the lead sentence of what follows it, or the headline."""

import functools
import re
from collections import Counter, defaultdict

from clones.everyday import byte, first_sentence, vary
from clones.repository import Repository

RELEASES = "lintool/GrimmerSenatePressReleases"


@functools.lru_cache(maxsize=1)
def releases(repo: Repository) -> list[tuple[str, str, list[str]]]:
    return list(read(repo))


def read(repo: Repository):
    """Senators' press releases that kept their punctuation: (file, headline, paragraphs)."""
    docs, case = [], defaultdict(Counter)
    for path, t in repo.files(r"\.txt$", "raw"):
        head, _, body = t.partition("\n")
        if not body.startswith("  ") or head.startswith(" ") or not 20 < len(head) < 250 or not head.isupper():
            continue
        body = re.sub(r"\b(Sens?|Reps?|Mrs?|Ms|Dr|Gov|Gen|Lt|St|No|U\.S)\.\s*\n\s*", r"\1. ", body)
        paras = [re.sub(r"\s+", " ", p).strip() for p in body.split("\n")]
        paras = [
            p for p in paras if p and not re.match(r"(contact|for more information|click here|\(?###|for immediate)", p, re.I)
        ]
        docs.append((path, head.strip(), paras))
        for w in re.findall(r"(?<=[a-z,;] )[A-Za-z][\w.'&-]*", " ".join(paras)):
            case[w.lower().rstrip(".")][w.rstrip(".")] += 1
    for path, head, paras in docs:
        own = defaultdict(Counter)
        for w in re.findall(r"(?<=\S )[A-Za-z][\w.'&-]*", " ".join(paras)):
            own[w.lower().rstrip(".")][w.rstrip(".")] += 1

        def fix(m):
            w = m.group(0)
            k = w.lower().rstrip(".")
            form = own[k] if k in own else case.get(k)
            form = form.most_common(1)[0][0] if form else k
            if k in ("sen", "sens", "rep", "reps"):
                form = k.capitalize()
            return form + "." * (len(w) - len(w.rstrip(".")))

        title = recase(head, " ".join(paras), fix)
        title = re.sub(r"(\d)(TH|ST|ND|RD|S)\b", lambda m: m.group(0).lower(), title)
        title = re.sub(r"\bU\.s\b", "U.S", title)
        yield path, title[:1].upper() + title[1:], paras


def recase(head: str, body: str, fix) -> str:
    """Give a headline in capitals the case that its phrases, else its words, have in the body."""
    words_, low, out, i = head.split(), body.lower(), [], 0
    while i < len(words_):
        for n in range(min(6, len(words_) - i), 1, -1):
            phrase = " ".join(words_[i : i + n]).lower()
            core = phrase.rstrip(",:;")
            k = low.find(" " + core)
            while k >= 0 and body[k - 1] in '.!?":-':  # the start of a sentence tells nothing
                k = low.find(" " + core, k + 1)
            if k >= 0 and not low[k + 1 + len(core) : k + 2 + len(core)].isalnum():
                out.append(body[k + 1 : k + 1 + len(core)] + phrase[len(core) :])
                i += n
                break
        else:
            out.append(re.sub(r"(?<!\d)[A-Z][\w.'&]*", fix, words_[i]))
            i += 1
    return " ".join(out)


def headlines(repo: Repository):
    """About 65 % of the releases and their headlines."""
    for path, title, paras in releases(repo):
        if byte(path, 2) < 166:
            yield path, path, vary("\n\n".join(paras), path, title, 0.5), [title]


def leads(repo: Repository):
    """What follows the lead sentence, and that sentence. Read before the headlines, so that no release is in both."""
    for path, _, paras in releases(repo):
        if len(paras) < 3:
            continue
        lead = re.sub(r"^[A-Z][A-Z., ]{3,40}(?:\([A-Za-z. ]+\) )?\s*-+\s*", "", paras[0])
        lead = re.sub(r",? ?\([RDI]-[^)]{2,14}\),?|,? \b(earlier )?today\b,?", "", lead)
        lead = re.sub(r"^(Earlier today|Today|Yesterday),? ", "", lead)
        s = first_sentence(lead)
        s = s[:1].upper() + s[1:]
        rest = "\n\n".join(([lead[len(s) :].strip()] if len(lead) - len(s) > 40 else []) + paras[1:])
        if 60 <= len(s) <= 260 and not re.search(r"following|\b(Sens?|Reps?|Mrs?|Dr)\.$", s) and not s.startswith(('"', "'")):
            yield path, path, vary(rest, path, s, 0.6), [s]
