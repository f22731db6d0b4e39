"""Refines a trained model on what its own summaries score: policy gradients with a leave-one-out baseline.

    refine.py INIT OUT --data DIR --minutes M

Cross-entropy trains a model to continue references; what people see is what it writes itself. So: draw several
summaries of each text, reward each by ROUGE minus penalties for repetition and for invented words, and make those above
the mean of the others more probable (Ahmadian et al. 2024, RLOO). Cross-entropy on the reference stays in the mix, so
that the language does not drift. Writes a Hugging Face folder (moving average of the weights) every few minutes.
"""

import argparse
import copy
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import export
import quantize
import scores
from augment import RARE, Names, lay_out
from batches import END, Encoder, collate, load
from decode import generate, summarize
from train import optimizers

WARMUP_STEPS = 20
EMA_STEPS = 60
SAVE_SECONDS = 180
MIN_ADVANTAGE = 0.02
MAX_PAPER_TOKENS = 300


def parse() -> argparse.Namespace:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("init", type=Path, help="Hugging Face folder, as train.py writes")
    args.add_argument("out", type=Path, help="Hugging Face folder to write")
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--minutes", type=float, required=True)
    args.add_argument("--lr", type=float, default=2e-4)
    args.add_argument("--texts", type=int, default=24, help="texts a step")
    args.add_argument("--samples", type=int, default=4, help="summaries drawn of each")
    args.add_argument("--temperature", type=float, default=0.8)
    args.add_argument("--max-tokens", type=int, default=130, help="longer texts are left out here, for speed ..")
    args.add_argument("--papers", type=float, default=0.08, help=".. except this share: abstracts up to 300 tokens")
    args.add_argument("--rename", type=float, default=0.3)
    args.add_argument("--likelihood", type=float, default=0.2, help="weight of cross-entropy on the references")
    args.add_argument("--int8", action="store_true", help="with int8 simulated, groups of 32")
    args.add_argument("--threads", type=int, default=1)
    args.add_argument("--eager", action="store_true", help="do not compile")
    return args.parse_args()


class Reward:
    """In 0 .. 1 for a good summary, below for one that repeats itself or invents words."""

    def __init__(self, names: Names):
        self.common = lambda word: names.uses[word] >= RARE

    def __call__(self, summary: str, text: str, reference: str) -> float:
        found = scores.rouge(summary, [reference])
        value = 0.25 * found["rouge1"] + 0.25 * found["rouge2"] + 0.5 * found["rougeL"]
        value -= 0.3 * (scores.invents(summary, text) or scores.unfounded(summary, text, self.common))
        value -= 0.3 * (scores.repeats(summary) or not summary)
        return value


def advantages(rewards: torch.Tensor) -> torch.Tensor:
    """rewards (texts, samples) minus the mean of the other samples' of the same text."""
    samples = rewards.shape[1]
    others = (rewards.sum(1, keepdim=True) - rewards) / (samples - 1)
    return rewards - others


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    rng = random.Random(0)
    model = export.load(args.init)
    average = copy.deepcopy(model).requires_grad_(False)
    tokenizer = args.init / "tokenizer.json"
    encoder = Encoder(tokenizer)
    rows = load(args.data / "train.jsonl")
    papers = [row for row in rows if row["kind"] == "scitldr"]
    names = Names(rows)
    reward = Reward(names)
    validation = load(args.data / "debian-val.jsonl")[:100]
    quantize.group_size = 32 if args.int8 else None
    if not args.eager:
        for layer in model.layers:
            layer.compile_parts()
    steppers = optimizers(model, args.lr)

    def validate() -> None:
        summaries = summarize(average, encoder, [row["text"] for row in validation])
        found = scores.table(validation, summaries, reward.common)
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
            samples = generate(model, [head for *_, head in drawn], copies=args.samples, temperature=args.temperature)
        rewards = torch.tensor([
            reward(encoder.plain.decode(ids).strip(), *drawn[i // args.samples][:2]) for i, ids in enumerate(samples)
        ]).view(args.texts, args.samples)
        advantage = advantages(rewards).flatten()
        # A reference is one more summary of its text, with a fixed weight.
        pairs = [(drawn[i // args.samples][2], [*ids, END]) for i, ids in enumerate(samples)]
        pairs += [encoder(text, summary) for text, summary, _ in drawn]
        weights = torch.cat([advantage, torch.full((args.texts,), args.likelihood)])
        model.train()
        # What is as good as the others teaches nothing. By length, so that little of a batch is padding.
        telling = [i for i in range(len(pairs)) if weights[i].abs() > MIN_ADVANTAGE]
        order = sorted(telling, key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
        size = (len(order) + 2) // 3
        for part in (order[i : i + size] for i in range(0, len(order), size)):
            batch = collate([pairs[i] for i in part])
            chosen = batch.summary[:, 1:]
            with torch.autocast("cpu", torch.bfloat16):
                logits = model.head(model.hidden_states(batch.tokens[:, :-1])[chosen])
            losses = F.cross_entropy(logits, batch.tokens[:, 1:][chosen], reduction="none")
            row_weights = weights[part][:, None].expand(chosen.shape)[chosen]
            ((losses * row_weights).sum() / (10 * args.texts * args.samples)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper in steppers:
            for group in stepper.param_groups:
                group["lr"] = args.lr * min(1, (step + 1) / WARMUP_STEPS) * (1 - progress)
            stepper.step()
        model.zero_grad(set_to_none=True)
        step += 1
        keep = min(1 - 1 / EMA_STEPS, step / (step + 9))
        torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)
        mean_reward += (rewards.mean().item() - mean_reward) / min(step, 20)
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
