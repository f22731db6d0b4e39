"""Refines a trained model on what its own summaries score: policy gradients with a leave-one-out baseline.

    refine.py INIT OUT --data DIR --minutes M [--only --teacher FOLDER]

Cross-entropy trains a model to continue references; what people see is what it writes itself. So: draw several
summaries of each text, reward each by ROUGE minus penalties for repetition and for invented names, and make those above
the mean of the others more probable (Ahmadian et al. 2024, RLOO). Cross-entropy on the reference stays in the mix, so
that the language does not drift. A text is read once, and its states are shared by all that is drawn and learnt of it.
With `--only`, the kinds that widen.py taught are refined, and of all others the model learns what a teacher says (see `keep`). With
`--english`, a model that knows general English keeps to what it says of it.
Writes a Hugging Face folder (moving average of the weights) every few minutes.
"""

import argparse
import random
from collections import Counter
from pathlib import Path

import torch
import torch.nn.functional as F

import decode
import export
import quantize
import scores
from augment import lay_out
from batches import END, PAD, PER_SOURCE, capped, load
from general import cap
from keep import Keep, endless
from marks import Marked
from precision import fast
from tuning import Tuning, options

WARMUP_STEPS = 20
EMA_STEPS = 60
SAVE_SECONDS = 300
MIN_ADVANTAGE = 0.02
PARTS = 4
MAX_OTHER_TOKENS = 300
KEPT_TOKENS = 4096
# Of how many texts one is of which kind. All but packages' may be long.
SHARES = {"debian": 92, "scitldr": 8}
ONLY_SHARES = {"advisories": 3, "proposals": 1}
# What each word costs, three at most, that neither the text nor the reference has. There is little of these kinds, and what
# most of their summaries say (that something is unmaintained) is soon said of everything.
UNSUPPORTED = 0.05


def parse() -> argparse.Namespace:
    args = options(__doc__.splitlines()[0], lr=2e-4, rename=0.3, keep=1.0)
    args.add_argument("--texts", type=int, default=32, help="texts a step")
    args.add_argument("--samples", type=int, default=8, help="summaries drawn of each")
    args.add_argument("--temperature", type=float, default=0.8)
    args.add_argument("--max-tokens", type=int, default=130, help="longer descriptions are left out here, for speed")
    args.add_argument("--likelihood", type=float, default=0.2, help="weight of cross-entropy on the references")
    args.add_argument("--invention", type=float, default=0.1, help="what invented names cost; decoding is grounded, too")
    args.add_argument("--only", action="store_true", help=f"refine {' and '.join(ONLY_SHARES)} alone ..")
    args.add_argument("--teacher", type=Path, help=".. and keep what this Hugging Face folder says of all other kinds")
    args.add_argument("--english", action="store_true", help="keep what the model says of the general English that mix.py wrote")
    args.add_argument("--int8", action="store_true", help="with int8 simulated, groups of 32")
    args.add_argument("--eager", action="store_true", help="do not compile")
    parser, args = args, args.parse_args()
    if args.only != bool(args.teacher):
        parser.error("--only and --teacher go together")
    return args


def reward(summary: str, kind: str, text: str, reference: str, invention: float) -> float:
    """In 0 .. 1 for a good summary, below for one that repeats itself or, by `invention`, for one with names that the text
    doesn't have."""
    found = scores.rouge(summary, [reference])
    value = 0.25 * found["rouge1"] + 0.25 * found["rouge2"] + 0.5 * found["rougeL"]
    if kind in ONLY_SHARES:
        value -= UNSUPPORTED * min(3, scores.unsupported(summary, text + " " + reference))
    return value - invention * scores.invents(summary, text) - 0.3 * (scores.repeats(summary) or not summary)


def advantages(rewards: torch.Tensor) -> torch.Tensor:
    """rewards (texts, samples) minus the mean of the other samples' of the same text."""
    samples = rewards.shape[1]
    others = (rewards.sum(1, keepdim=True) - rewards) / (samples - 1)
    return rewards - others


def read(model, heads: list[list[int]], compiled: bool) -> tuple[torch.Tensor, list]:
    """The hidden states (B, H) and layers' states after prompts in order of their length: in two batches, cut where that
    saves most padding."""
    lengths, count = [len(head) for head in heads], len(heads)
    cut = min(range(1, count), key=lambda cut: cut * lengths[cut - 1] + (count - cut) * lengths[-1])
    parts = [
        decode.advance(model, *decode.align(part), decode.fresh(model, len(part)), compiled)
        for part in (heads[:cut], heads[cut:])
    ]
    return torch.cat([hidden[:, -1] for hidden, _ in parts]), decode.join([states for _, states in parts])


def continuation_losses(model, hidden, states, rows: list[tuple[int, tuple[int, ...], float]], args) -> torch.Tensor:
    """The weighted sum of the cross-entropies of continuations, (row of hidden (B, H) and states, tokens, weight) each, at
    the temperature at which they were drawn."""
    index = torch.tensor([row for row, *_ in rows])
    width = max(len(ids) for _, ids, _ in rows)
    tokens = torch.tensor([[*ids, *[PAD] * (width - len(ids))] for _, ids, _ in rows])
    real = torch.arange(width) < torch.tensor([[len(ids)] for _, ids, _ in rows])
    weights = torch.tensor([[weight] for *_, weight in rows]).expand(real.shape)
    with fast():
        later, _ = decode.advance(model, tokens[:, :-1], real[:, :-1], decode.rows(states, index), not args.eager)
        logits = model.head(torch.cat([hidden[index, None], later], 1)[real])
    return (F.cross_entropy(logits / args.temperature, tokens[real], reduction="none") * weights[real]).sum()


def main() -> None:
    args = parse()
    rng = random.Random(args.seed)
    shares = ONLY_SHARES if args.only else SHARES
    tuning = Tuning(args, {"debian", *shares}, bpe_dropout=0.0, warmup=WARMUP_STEPS, ema=EMA_STEPS, save_seconds=SAVE_SECONDS,
                    no_repeat_ngram=0)  # fmt: skip
    model, encoder, names, rows = tuning.model, tuning.encoder, tuning.names, tuning.rows
    rng.shuffle(rows)
    rows = capped(rows, PER_SOURCE)
    by_kind = {kind: [row for row in rows if row["kind"] == kind] for kind in shares}
    keeps = []
    drawn_as = dict(seed=args.seed, tokens_per_batch=KEPT_TOKENS, rename=args.rename, bpe_dropout=0.0)
    if args.teacher:
        others = [row for row in rows if row["kind"] not in shares]
        keeps.append((Keep(export.load(args.teacher)), endless(others, encoder, names, **drawn_as)))
    if args.english:
        others = load(args.data / "general-train.jsonl")
        keeps.append((Keep(model), endless(others, encoder, names, epochs=Marked, caps=cap, **drawn_as)))
    quantize.group_size = 32 if args.int8 else None
    if not args.eager:
        for layer in model.layers:
            layer.compile_parts()

    def draw() -> tuple[list[int], str, str, str]:
        """A prompt, and its kind, text and reference."""
        [kind] = rng.choices(list(shares), list(shares.values()))
        while True:
            row = rng.choice(by_kind[kind])
            text, summary = row["text"], rng.choice(row["summaries"])
            if rng.random() < args.rename:
                text, summary = names.replace(text, summary, rng, share=0.5)
            text = lay_out(text, rng)
            head, _ = encoder(text, "")
            if len(head) <= (args.max_tokens if kind == "debian" else MAX_OTHER_TOKENS):
                return head, kind, text, summary

    mean_reward = mean_kept = 0.0
    tuning.validate()
    tuning.start()
    while (progress := tuning.progress) < 1:
        drawn = sorted((draw() for _ in range(args.texts)), key=lambda one: len(one[0]))
        with fast():
            model.train()
            hidden, states = read(model, [head for head, *_ in drawn], compiled=not args.eager)
            samples = decode.continue_from(
                model, hidden.detach(), states, copies=args.samples, temperature=args.temperature
            )
        rewards = torch.tensor([
            reward(encoder.plain.decode(ids).strip(), *drawn[i // args.samples][1:], args.invention)
            for i, ids in enumerate(samples)
        ]).view(args.texts, args.samples)
        # What each text's summaries weigh: one that was drawn twice, twice. A reference has a fixed weight.
        weights: Counter[tuple[int, tuple[int, ...]]] = Counter()
        for i, (ids, advantage) in enumerate(zip(samples, advantages(rewards).flatten().tolist())):
            weights[i // args.samples, (*ids, END)] += advantage
        for i, (*_, text, summary) in enumerate(drawn):
            weights[i, tuple(encoder(text, summary)[1])] += args.likelihood
        # What is as good as the others teaches nothing.
        telling = [(row, ids, weight) for (row, ids), weight in weights.items() if abs(weight) > MIN_ADVANTAGE]
        # By length, so that little is padding.
        telling.sort(key=lambda one: len(one[1]))
        size = -(-len(telling) // PARTS)
        parts = [telling[i : i + size] for i in range(0, len(telling), size)]
        losses = sum(continuation_losses(model, hidden, states, part, args) for part in parts)
        (losses / (args.texts * args.samples)).backward()
        kept = 0.0
        for keep, batches in keeps:
            loss = keep.loss(model, next(batches))
            (args.keep * loss).backward()
            kept += loss.item()
        tuning.update()
        mean_reward = tuning.mean(mean_reward, rewards.mean().item())
        mean_kept = tuning.mean(mean_kept, kept)
        if tuning.steps % 10 == 0:
            print(f"step {tuning.steps} at {100 * progress:.1f} %: reward {mean_reward:.4f}, kept {mean_kept:.4f}, "
                  f"{tuning.seconds_a_step:.2f} s a step", flush=True)
        tuning.save_if_due()
    tuning.save()


if __name__ == "__main__":
    main()
