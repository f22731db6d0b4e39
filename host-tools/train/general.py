"""Teaches a model general English: to write its summaries, and to mark the sentences that are worth quoting.

    general.py MODEL OUT --init FOLDER --data DIR --minutes M

The pairs that mix.py made are learnt from their references, words that the text doesn't support left out; all other
kinds, which FOLDER does well, from what it says of them (see `keep`). Of every kind the marker learns what each sentence is worth (see
`marks`). Saves and resumes as train.py does.
"""

import argparse
import random
import signal
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import export
import marks
from augment import Names
from batches import Encoder, fixed, load
from keep import TEXT_SHARE, endless
from train import MODELS, SAVE_SECONDS, VALIDATION_PAIRS, Loss, Run

TEXT_WEIGHT = 0.05  # loss on a token of the text, of a summary being 1; there are twenty times as many
# How many rows of a kind one pass has at most. Some kinds have many rows that are much alike.
SENTENCES = 800
SENTENCE_CAPS = {"win32": 500, "windows-drivers": 500, "senate-lead": 700, "powershell-cmdlets": 300, "office-cmdlets": 300,
                 "sap-integration": 400, "sap-btp": 400}  # fmt: skip
TITLES = 120
TITLE_CAPS = {"senate-title": 700, "carpentries-title": 500, "storybook-title": 185, "nasa-lessons-title": 200,
              "qmsum-topic": 200, "titles-dynamics-ax": 200, "titles-biztalk": 200, "headings-biztalk": 60, "headings-win32": 60}  # fmt: skip


def parse() -> argparse.Namespace:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("model", choices=MODELS)
    args.add_argument("out", type=Path)
    args.add_argument("--init", type=Path, required=True, help="Hugging Face folder to start from, and to keep to")
    args.add_argument("--data", type=Path, required=True, help="what split.py and mix.py wrote")
    args.add_argument("--minutes", type=float, required=True, help="the whole schedule, resumed runs included")
    args.add_argument("--lr", type=float, default=1e-3)
    args.add_argument("--dropout", type=float, default=0.0)
    args.add_argument("--tokens", type=int, default=4096, help="tokens a batch of what is taught")
    args.add_argument("--kept-tokens", type=int, default=3072, help="and of what is kept")
    args.add_argument("--keep", type=float, default=3.0, help="weight of what is kept")
    args.add_argument("--mark", type=float, default=1.0, help="weight of the marks")
    args.add_argument("--threads", type=int, default=1)
    args = args.parse_args()
    args.tokenizer, args.device = args.init / "tokenizer.json", "cpu"
    return args


def cap(row: dict) -> int:
    if row["style"] == "sentence":
        return SENTENCE_CAPS.get(row["kind"], SENTENCES)
    return TITLE_CAPS.get(row["kind"], TITLES)


def chosen(batch: marks.MarkedBatch) -> torch.Tensor:
    return batch.summary | batch.text & (torch.rand(batch.text.shape) < TEXT_SHARE)


def taught(model, batch: marks.MarkedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy on the summaries and some tokens of the texts, and the marks' loss."""
    asked = chosen(batch)
    logits, marked = marks.predictions(model, batch, asked)
    weight = torch.where(batch.summary, 1.0, TEXT_WEIGHT / TEXT_SHARE)[:, 1:][asked[:, 1:]]
    losses = F.cross_entropy(logits, batch.tokens[:, 1:][asked[:, 1:]], reduction="none")
    return (losses * weight).sum() / weight.sum(), marks.loss(marked, batch)


def kept(model, teacher, batch: marks.MarkedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Divergence from the teacher in nats, and the marks' loss."""
    asked = chosen(batch)
    with torch.no_grad():
        wanted, _ = marks.predictions(teacher, batch, asked)
    logits, marked = marks.predictions(model, batch, asked)
    found = F.kl_div(logits.log_softmax(-1), wanted.log_softmax(-1), reduction="batchmean", log_target=True)
    return found, marks.loss(marked, batch)


def held_out(data: Path, encoder: Encoder, tokens: int) -> dict[str, list]:
    """Batches of packages and of general English for validation."""
    rows = {
        "packages": load(data / "debian-val.jsonl"),
        "general": [row for row in load(data / "general-val.jsonl") if row["write"]],
    }
    return {name: fixed(random.Random(0).sample(some, VALIDATION_PAIRS), encoder, tokens) for name, some in rows.items()}


def train(run: Run, minutes: float, every: int, step, report, save) -> None:
    """Makes steps until the minutes are over or the process is asked to end. `step()` computes gradients and returns its losses,
    `report(means)` a line on the means of about the last 50, and `save()` saves and validates."""
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    budget, before, first = 60 * minutes, run.seconds, run.step
    clock = saved = time.monotonic()
    means: list[float] = []
    while run.seconds < budget and not stop:
        run.model.train()
        values = [value.item() for value in step()]
        run.update(run.seconds / budget)
        run.seconds = before + time.monotonic() - clock
        done = run.step - first
        means = [mean + (value - mean) / min(done, 50) for mean, value in zip(means or values, values)]
        if done in (2, 10) or run.step % every == 0:
            print(f"step {run.step} at {100 * run.seconds / budget:.1f} %: {report(means)}; "
                  f"{(run.seconds - before) / done:.2f} s a step", flush=True)  # fmt: skip
        if time.monotonic() - saved > SAVE_SECONDS:
            save()
            saved = time.monotonic()
    save()


def main() -> None:
    args = parse()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    run = Run(args)
    teacher = export.load(args.init).requires_grad_(False).eval()
    if not run.step:
        for model in (run.model, run.average):
            model.embed_tokens.weight.data[marks.MARKER] = 0
    encoder = Encoder(args.tokenizer, bpe_dropout=0.1)
    known, general = load(args.data / "train.jsonl"), load(args.data / "general-train.jsonl")
    names = Names(known)
    seed = run.step + 1
    lessons, others = (
        endless(rows, encoder, names, seed=seed, epochs=marks.Marked, bpe_dropout=0.3, rename=rename, tokens_per_batch=tokens,
                caps=caps)
        for rows, rename, tokens, caps in ((general, 0.2, args.tokens, cap), (known, 0.5, args.kept_tokens, None))
    )  # fmt: skip
    validation = held_out(args.data, encoder, args.tokens)
    loss = Loss(run.model, args.device)
    for layer in (*run.model.layers, *teacher.layers):
        layer.compile_parts()

    def save() -> None:
        run.save()
        for name, batches in validation.items():
            print(f"step {run.step} validation of {name}: {loss.validation(batches, run.average)[0]:.3f} nat", flush=True)

    def step() -> list[torch.Tensor]:
        of_lessons = taught(run.model, next(lessons))
        (of_lessons[0] + args.mark * of_lessons[1]).backward()
        of_others = kept(run.model, teacher, next(others))
        (args.keep * of_others[0] + args.mark / 4 * of_others[1]).backward()
        return [*of_lessons, *of_others]

    def report(means: list[float]) -> str:
        return f"taught {means[0]:.3f}, marks {means[1]:.3f}, kept {means[2]:.4f}, marks {means[3]:.3f} nat"

    train(run, args.minutes, 50, step, report, save)


if __name__ == "__main__":
    main()
