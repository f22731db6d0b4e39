"""Refines a trained model on what its own summaries score: policy gradients with a leave-one-out baseline.

    refine.py INIT OUT --data DIR --minutes M

Cross-entropy trains a model to continue references; what people see is what it writes itself. So: draw several
summaries of each text, reward each by ROUGE minus penalties for repetition and for invented names, and make those above
the mean of the others more probable (Ahmadian et al. 2024, RLOO). Cross-entropy on the reference stays in the mix, so
that the language does not drift. A text is read once, and its states are shared by all that is drawn and learnt of it.
Writes a Hugging Face folder (moving average of the weights) every few minutes.
"""

import argparse
import copy
import random
import time
from collections import Counter
from pathlib import Path

import torch
import torch.nn.functional as F

import decode
import export
import quantize
import scores
from augment import RARE, Names, lay_out
from batches import END, PAD, PER_SOURCE, Encoder, capped, load

WARMUP_STEPS = 20
EMA_STEPS = 60
SAVE_SECONDS = 300
VALIDATION_PAIRS = 300
MIN_ADVANTAGE = 0.02
PARTS = 4
MAX_PAPER_TOKENS = 300


def parse() -> argparse.Namespace:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("init", type=Path, help="Hugging Face folder, as train.py writes")
    args.add_argument("out", type=Path, help="Hugging Face folder to write")
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--minutes", type=float, required=True)
    args.add_argument("--lr", type=float, default=2e-4)
    args.add_argument("--texts", type=int, default=32, help="texts a step")
    args.add_argument("--samples", type=int, default=8, help="summaries drawn of each")
    args.add_argument("--temperature", type=float, default=0.8)
    args.add_argument("--max-tokens", type=int, default=130, help="longer texts are left out here, for speed ..")
    args.add_argument("--papers", type=float, default=0.08, help=".. except this share: abstracts up to 300 tokens")
    args.add_argument("--rename", type=float, default=0.3)
    args.add_argument("--likelihood", type=float, default=0.2, help="weight of cross-entropy on the references")
    args.add_argument("--invention", type=float, default=0.1, help="what invented names cost; decoding is grounded, too")
    args.add_argument("--int8", action="store_true", help="with int8 simulated, groups of 32")
    args.add_argument("--seed", type=int, default=0, help="of the texts and of what is drawn of them")
    args.add_argument("--threads", type=int, default=1)
    args.add_argument("--eager", action="store_true", help="do not compile")
    return args.parse_args()


def reward(summary: str, text: str, reference: str, invention: float) -> float:
    """In 0 .. 1 for a good summary, below for one that repeats itself or, by `invention`, for one with names that the text
    doesn't have."""
    found = scores.rouge(summary, [reference])
    value = 0.25 * found["rouge1"] + 0.25 * found["rouge2"] + 0.5 * found["rougeL"]
    return value - invention * scores.invents(summary, text) - 0.3 * (scores.repeats(summary) or not summary)


def advantages(rewards: torch.Tensor) -> torch.Tensor:
    """rewards (texts, samples) minus the mean of the other samples' of the same text."""
    samples = rewards.shape[1]
    others = (rewards.sum(1, keepdim=True) - rewards) / (samples - 1)
    return rewards - others


def continuation_losses(model, hidden, states, rows: list[tuple[int, tuple[int, ...], float]], args) -> torch.Tensor:
    """The weighted sum of the cross-entropies of continuations, (row of hidden (B, H) and states, tokens, weight) each, at
    the temperature at which they were drawn."""
    index = torch.tensor([row for row, *_ in rows])
    width = max(len(ids) for _, ids, _ in rows)
    tokens = torch.tensor([[*ids, *[PAD] * (width - len(ids))] for _, ids, _ in rows])
    real = torch.arange(width) < torch.tensor([[len(ids)] for _, ids, _ in rows])
    weights = torch.tensor([[weight] for *_, weight in rows]).expand(real.shape)
    with torch.autocast("cpu", torch.bfloat16):
        later, _ = decode.advance(model, tokens[:, :-1], real[:, :-1], decode.rows(states, index), not args.eager)
        logits = model.head(torch.cat([hidden[index, None], later], 1)[real])
    return (F.cross_entropy(logits / args.temperature, tokens[real], reduction="none") * weights[real]).sum()


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    model = export.load(args.init)
    average = copy.deepcopy(model).requires_grad_(False)
    tokenizer = args.init / "tokenizer.json"
    encoder = Encoder(tokenizer)
    rows = load(args.data / "train.jsonl")
    names = Names(rows)
    rng.shuffle(rows)
    rows = capped(rows, PER_SOURCE)
    papers = [row for row in rows if row["kind"] == "scitldr"]
    common = lambda word: names.uses[word] >= RARE  # noqa: E731
    validation = load(args.data / "debian-val.jsonl")[:VALIDATION_PAIRS]
    quantize.group_size = 32 if args.int8 else None
    if not args.eager:
        for layer in model.layers:
            layer.compile_parts()
    # Muon makes all directions of a step equally long, and most of these are noise here.
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0)

    def validate() -> None:
        summaries = decode.summarize(average, encoder, [row["text"] for row in validation])
        found = scores.table(validation, summaries, common)
        print("validation", {key: round(value, 2) for key, value in found.items()}, flush=True)

    def draw() -> tuple[str, str, list[int]]:
        paper = rng.random() < args.papers
        while True:
            row = rng.choice(papers if paper else rows)
            text, summary = row["text"], rng.choice(row["summaries"])
            if rng.random() < args.rename:
                text, summary = names.replace(text, summary, rng, share=0.5)
            text = lay_out(text, rng)
            head, _ = encoder(text, "")
            if len(head) <= (MAX_PAPER_TOKENS if paper else args.max_tokens):
                return text, summary, head

    start = saved = time.monotonic()
    step, mean_reward = 0, 0.0
    validate()
    while (progress := (time.monotonic() - start) / (60 * args.minutes)) < 1:
        drawn = [draw() for _ in range(args.texts)]
        with torch.autocast("cpu", torch.bfloat16):
            model.train()
            hidden, states = decode.advance(
                model, *decode.align([head for *_, head in drawn]), decode.fresh(model, len(drawn)), compiled=not args.eager
            )
            samples = decode.continue_from(
                model, hidden[:, -1].detach(), states, copies=args.samples, temperature=args.temperature
            )
        rewards = torch.tensor([
            reward(encoder.plain.decode(ids).strip(), *drawn[i // args.samples][:2], args.invention)
            for i, ids in enumerate(samples)
        ]).view(args.texts, args.samples)
        # What each text's summaries weigh: one that was drawn twice, twice. A reference has a fixed weight.
        weights: Counter[tuple[int, tuple[int, ...]]] = Counter()
        for i, (ids, advantage) in enumerate(zip(samples, advantages(rewards).flatten().tolist())):
            weights[i // args.samples, (*ids, END)] += advantage
        for i, (text, summary, _) in enumerate(drawn):
            weights[i, tuple(encoder(text, summary)[1])] += args.likelihood
        # What is as good as the others teaches nothing.
        telling = [(row, ids, weight) for (row, ids), weight in weights.items() if abs(weight) > MIN_ADVANTAGE]
        # By length, so that little is padding.
        telling.sort(key=lambda one: len(one[1]))
        size = -(-len(telling) // PARTS)
        parts = [telling[i : i + size] for i in range(0, len(telling), size)]
        losses = sum(continuation_losses(model, hidden[:, -1], states, part, args) for part in parts)
        (losses / (args.texts * args.samples)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1, (step + 1) / WARMUP_STEPS) * (1 - progress)
        optimizer.step()
        model.zero_grad(set_to_none=True)
        step += 1
        keep = min(1 - 1 / EMA_STEPS, step / (step + 9))
        torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)
        mean_reward += (rewards.mean().item() - mean_reward) / min(step, 50)
        if step % 10 == 0:
            print(f"step {step} at {100 * progress:.1f} %: reward {mean_reward:.4f}, "
                  f"{(time.monotonic() - start) / step:.2f} s a step", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            export.save(average, tokenizer, args.out)
            validate()
            saved = time.monotonic()
    export.save(average, tokenizer, args.out)
    validate()


if __name__ == "__main__":
    main()
