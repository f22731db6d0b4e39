"""Teaches a refined model kinds of text that it does badly, and keeps what it does with all others.

    widen.py INIT OUT --data DIR --minutes M [--teacher FOLDER] [--taught-by FOLDER]

The kinds of TAUGHT are learnt from their references, every other kind from what the model said before (see `keep`). Or from two
models: `--taught-by` one that does these kinds well, and all else from a `--teacher` that does all else well.
Writes a Hugging Face folder (moving average of the weights) every few minutes.
"""

import argparse
import copy
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import decode
import export
import scores
from augment import RARE, Names
from batches import Batch, Encoder, load
from keep import TEXT_SHARE, Keep, endless, predictions

TAUGHT = ("advisories", "proposals")
WARMUP_STEPS = 100
EMA_STEPS = 200
SAVE_SECONDS = 240
VALIDATION_PAIRS = 300
TEXT_WEIGHT = 0.1  # loss on the text's tokens, a summary's being 1


def parse() -> argparse.Namespace:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("init", type=Path, help="Hugging Face folder, as refine.py writes")
    args.add_argument("out", type=Path, help="Hugging Face folder to write")
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--minutes", type=float, required=True)
    args.add_argument("--lr", type=float, default=5e-4)
    args.add_argument("--taught-tokens", type=int, default=2048, help="tokens a batch of what is taught")
    args.add_argument("--kept-tokens", type=int, default=4096, help="and of what is kept")
    args.add_argument("--keep", type=float, default=2.0, help="weight of what is kept")
    args.add_argument("--rename", type=float, default=0.5, help="share of pairs with made-up names")
    args.add_argument("--bpe-dropout", type=float, default=0.3, help="share of texts tokenized with dropout")
    args.add_argument("--teacher", type=Path, help="keep what this Hugging Face folder says (default: INIT)")
    args.add_argument("--taught-by", type=Path, help="learn from what this one says ..")
    args.add_argument("--references", type=float, help="weight of the references (default: 1, or 0 with --taught-by)")
    args.add_argument("--seed", type=int, default=0)
    args.add_argument("--threads", type=int, default=1)
    return args.parse_args()


def taught(model, batch: Batch) -> torch.Tensor:
    """Cross-entropy on the summaries and some tokens of the texts."""
    chosen = batch.summary | batch.text & (torch.rand(batch.text.shape) < TEXT_SHARE)
    weight = torch.where(batch.summary, 1.0, TEXT_WEIGHT / TEXT_SHARE)[:, 1:][chosen[:, 1:]]
    losses = F.cross_entropy(predictions(model, batch, chosen), batch.tokens[:, 1:][chosen[:, 1:]], reduction="none")
    return (losses * weight).sum() / weight.sum()


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = export.load(args.init)
    average = copy.deepcopy(model).requires_grad_(False)
    tokenizer = args.init / "tokenizer.json"
    encoder = Encoder(tokenizer, bpe_dropout=0.1)
    rows = load(args.data / "train.jsonl")
    names = Names(rows)
    common = lambda word: names.uses[word] >= RARE  # noqa: E731
    held = {kind: load(args.data / f"{kind}-val.jsonl")[:VALIDATION_PAIRS] for kind in ("debian", *TAUGHT)}
    lessons, others = (
        endless([row for row in rows if (row["kind"] in TAUGHT) == flag], encoder, names, seed=args.seed,
                tokens_per_batch=tokens, rename=args.rename, bpe_dropout=args.bpe_dropout)
        for flag, tokens in ((True, args.taught_tokens), (False, args.kept_tokens))
    )
    keep = Keep(export.load(args.teacher) if args.teacher else model)
    references = args.references if args.references is not None else 0.0 if args.taught_by else 1.0
    guide = Keep(export.load(args.taught_by)) if args.taught_by else None
    for layer in model.layers:
        layer.compile_parts()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0)

    def save() -> None:
        export.save(average, tokenizer, args.out)
        for kind, pairs in held.items():
            summaries = decode.summarize(average, encoder, [row["text"] for row in pairs], no_repeat_ngram=2)
            found = scores.table(pairs, summaries, common)
            print("validation", kind, {key: round(value, 2) for key, value in found.items()}, flush=True)

    start = saved = time.monotonic()
    step, means = 0, [0.0, 0.0]
    while (progress := (time.monotonic() - start) / (60 * args.minutes)) < 1:
        model.train()
        lesson = next(lessons)
        losses = [torch.zeros(()), keep.loss(model, next(others))]
        if references:
            losses[0] = losses[0] + references * taught(model, lesson)
        if guide:
            losses[0] = losses[0] + guide.loss(model, lesson)
        (losses[0] + args.keep * losses[1]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1, (step + 1) / WARMUP_STEPS) * (1 - progress)
        optimizer.step()
        model.zero_grad(set_to_none=True)
        step += 1
        weight = max(1 / EMA_STEPS, 9 / (step + 9))
        torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), weight)
        means = [mean + (value.item() - mean) / min(step, 50) for mean, value in zip(means, losses)]
        if step % 50 == 0:
            print(f"step {step} at {100 * progress:.1f} %: taught {means[0]:.3f}, kept {means[1]:.4f} nat, "
                  f"{(time.monotonic() - start) / step:.2f} s a step", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            save()
            saved = time.monotonic()
    save()


if __name__ == "__main__":
    main()
