"""Teaches a refined model kinds of text that it does badly, and keeps what it does with all others.

    widen.py INIT OUT --data DIR --minutes M [--teacher FOLDER] [--taught-by FOLDER]

The kinds of TAUGHT are learnt from their references, every other kind from what the model said before (see `keep`). Or from two
models: `--taught-by` one that does these kinds well, and all else from a `--teacher` that does all else well.
Writes a Hugging Face folder (moving average of the weights) every few minutes.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F

import export
from batches import Batch
from keep import TEXT_SHARE, Keep, endless, predictions
from tuning import Tuning, options

TAUGHT = ("advisories", "proposals")
WARMUP_STEPS = 100
EMA_STEPS = 200
SAVE_SECONDS = 240
TEXT_WEIGHT = 0.1  # loss on the text's tokens, a summary's being 1


def parse() -> argparse.Namespace:
    args = options(__doc__.splitlines()[0], lr=5e-4, rename=0.5, keep=2.0)
    args.add_argument("--taught-tokens", type=int, default=2048, help="tokens a batch of what is taught")
    args.add_argument("--kept-tokens", type=int, default=4096, help="and of what is kept")
    args.add_argument("--bpe-dropout", type=float, default=0.3, help="share of texts tokenized with dropout")
    args.add_argument("--teacher", type=Path, help="keep what this Hugging Face folder says (default: INIT)")
    args.add_argument("--taught-by", type=Path, help="learn from what this one says ..")
    args.add_argument("--references", type=float, help="weight of the references (default: 1, or 0 with --taught-by)")
    return args.parse_args()


def taught(model, batch: Batch) -> torch.Tensor:
    """Cross-entropy on the summaries and some tokens of the texts."""
    chosen = batch.summary | batch.text & (torch.rand(batch.text.shape) < TEXT_SHARE)
    weight = torch.where(batch.summary, 1.0, TEXT_WEIGHT / TEXT_SHARE)[:, 1:][chosen[:, 1:]]
    losses = F.cross_entropy(predictions(model, batch, chosen), batch.tokens[:, 1:][chosen[:, 1:]], reduction="none")
    return (losses * weight).sum() / weight.sum()


def main() -> None:
    args = parse()
    tuning = Tuning(args, ("debian", *TAUGHT), bpe_dropout=0.1, warmup=WARMUP_STEPS, ema=EMA_STEPS, save_seconds=SAVE_SECONDS,
                    no_repeat_ngram=2)  # fmt: skip
    model, rows = tuning.model, tuning.rows
    lessons, others = (
        endless([row for row in rows if (row["kind"] in TAUGHT) == flag], tuning.encoder, tuning.names, seed=args.seed,
                tokens_per_batch=tokens, rename=args.rename, bpe_dropout=args.bpe_dropout)
        for flag, tokens in ((True, args.taught_tokens), (False, args.kept_tokens))
    )
    keep = Keep(export.load(args.teacher) if args.teacher else model)
    references = args.references if args.references is not None else 0.0 if args.taught_by else 1.0
    guide = Keep(export.load(args.taught_by)) if args.taught_by else None
    for layer in model.layers:
        layer.compile_parts()
    means = [0.0, 0.0]
    tuning.start()
    while (progress := tuning.progress) < 1:
        model.train()
        lesson = next(lessons)
        losses = [torch.zeros(()), keep.loss(model, next(others))]
        if references:
            losses[0] = losses[0] + references * taught(model, lesson)
        if guide:
            losses[0] = losses[0] + guide.loss(model, lesson)
        (losses[0] + args.keep * losses[1]).backward()
        tuning.update()
        means = [tuning.mean(mean, value.item()) for mean, value in zip(means, losses)]
        if tuning.steps % 50 == 0:
            print(f"step {tuning.steps} at {100 * progress:.1f} %: taught {means[0]:.3f}, kept {means[1]:.4f} nat, "
                  f"{tuning.seconds_a_step:.2f} s a step", flush=True)
        tuning.save_if_due()
    tuning.save()


if __name__ == "__main__":
    main()
