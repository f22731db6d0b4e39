"""Trains a model with experts that upcycle.py made: on general English, and on what packages say of themselves.

    grow.py MODEL OUT --init FOLDER --teacher FOLDER --data DIR --minutes M

Of packages, papers, advisories and proposals it reads the texts, and says of them what TEACHER says, whose summaries were refined; of general
English it learns the texts, the references and what each sentence is worth, as in general.py. A load-balancing loss keeps all experts at
work. Saves and resumes as train.py does.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F

import export
import marks
from augment import Names
from batches import Encoder, load
from general import cap, held_out, train
from keep import endless
from model import Experts, Jamba
from train import MODELS, Loss, Run

TEXT_SHARE = 0.25  # of the texts' tokens are predicted
TEXT_WEIGHT = 0.15  # loss on a token of the text, of a summary being 1
BALANCE = 0.02  # weight of the load-balancing loss of each layer


def parse() -> argparse.Namespace:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("model", choices=[name for name, c in MODELS.items() if c.experts > 1])
    args.add_argument("out", type=Path)
    args.add_argument("--init", type=Path, required=True, help="Hugging Face folder that upcycle.py wrote")
    args.add_argument("--teacher", type=Path, required=True, help="Hugging Face folder that packages' summaries are learnt from")
    args.add_argument("--data", type=Path, required=True, help="what split.py and mix.py wrote")
    args.add_argument("--minutes", type=float, required=True, help="the whole schedule, resumed runs included")
    args.add_argument("--lr", type=float, default=1.5e-3)
    args.add_argument("--dropout", type=float, default=0.0)
    args.add_argument("--tokens", type=int, default=6144, help="tokens of a batch of general English, and of one of the others")
    args.add_argument("--keep", type=float, default=3.0, help="weight of what the teacher says")
    args.add_argument("--mark", type=float, default=1.5, help="weight of the marks")
    args.add_argument("--threads", type=int, default=1)
    args = args.parse_args()
    args.tokenizer, args.device = args.init / "tokenizer.json", "cpu"
    return args


def imbalance(model: Jamba) -> torch.Tensor:
    """The mean over layers with experts in the last pass; 1 is none."""
    found = [layer.feed_forward.imbalance for layer in model.layers if isinstance(layer.feed_forward, Experts)]
    return sum(found) / len(found)


def drawn(batch: marks.MarkedBatch) -> torch.Tensor:
    return batch.summary | batch.text & (torch.rand(batch.text.shape) < TEXT_SHARE)


def text_loss(logits: torch.Tensor, batch: marks.MarkedBatch, asked: torch.Tensor) -> torch.Tensor:
    """The summed cross-entropy of the texts' tokens among those asked about, weighed."""
    of_text = batch.text[:, 1:][asked[:, 1:]]
    losses = F.cross_entropy(logits[of_text], batch.tokens[:, 1:][asked[:, 1:]][of_text], reduction="sum")
    return losses * TEXT_WEIGHT / TEXT_SHARE


def general(model: Jamba, batch: marks.MarkedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy in nats of summaries and texts, weighed, and the marks' loss."""
    asked = drawn(batch)
    logits, marked = marks.predictions(model, batch, asked)
    of_summary = batch.summary[:, 1:][asked[:, 1:]]
    summaries = F.cross_entropy(logits[of_summary], batch.tokens[:, 1:][asked[:, 1:]][of_summary], reduction="sum")
    weight = of_summary.sum() + batch.text.sum() * TEXT_WEIGHT
    return (summaries + text_loss(logits, batch, asked)) / weight, marks.loss(marked, batch)


def known(model: Jamba, teacher: Jamba, batch: marks.MarkedBatch, keep: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Divergence of summaries from the teacher's in nats; and all that is learnt from."""
    asked = drawn(batch)
    logits, marked = marks.predictions(model, batch, asked)
    with torch.no_grad():
        wanted, _ = marks.predictions(teacher, batch, batch.summary)
    found = logits[batch.summary[:, 1:][asked[:, 1:]]]
    divergence = F.kl_div(found.log_softmax(-1), wanted.log_softmax(-1), reduction="sum", log_target=True)
    count = batch.summary.sum()
    learnt = (keep * divergence + text_loss(logits, batch, asked)) / (count + batch.text.sum() * TEXT_WEIGHT)
    return divergence / count, learnt + marks.loss(marked, batch) / 4


def main() -> None:
    args = parse()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    run = Run(args)
    teacher = export.load(args.teacher).requires_grad_(False).eval()
    encoder = Encoder(args.tokenizer, bpe_dropout=0.1)
    packages, english = load(args.data / "train.jsonl"), load(args.data / "general-train.jsonl")
    names = Names(packages)
    english_batches, package_batches = (
        endless(rows, encoder, names, seed=run.step + 1, epochs=marks.Marked, bpe_dropout=0.2, rename=rename,
                tokens_per_batch=args.tokens, caps=caps)
        for rows, rename, caps in ((english, 0.2, cap), (packages, 0.5, None))
    )  # fmt: skip
    validation = held_out(args.data, encoder, args.tokens)
    loss = Loss(run.model, args.device)
    for layer in (*run.model.layers, *teacher.layers):
        layer.compile_parts()

    def save() -> None:
        run.save()
        for name, batches in validation.items():
            summary, text = loss.validation(batches, run.average)
            print(f"step {run.step} validation of {name}: summary {summary:.3f}, text {text:.3f} nat", flush=True)

    def step() -> list[torch.Tensor]:
        english_loss, marked = general(run.model, next(english_batches))
        uneven = imbalance(run.model)
        (english_loss + args.mark * marked + BALANCE * uneven).backward()
        divergence, learnt = known(run.model, teacher, next(package_batches), args.keep)
        (learnt + BALANCE * imbalance(run.model)).backward()
        return [english_loss, marked, divergence, uneven]

    def report(means: list[float]) -> str:
        return f"general {means[0]:.3f}, marks {means[1]:.3f}, packages {means[2]:.4f} nat, imbalance {means[3]:.2f}"

    train(run, args.minutes, 25, step, report, save)


if __name__ == "__main__":
    main()
