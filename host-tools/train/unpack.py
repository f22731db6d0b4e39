"""Reads an image back to the Hugging Face folder that it was packed from, its weights rounded to what 8 or 4 bits have.

    unpack.py IMAGE.jamlet FOLDER

For the images that `jamlet pack` makes of the folders here: Jamba without experts, embedding and head tied, a byte-level
tokenizer. Packed again, the folder gives the same weights, so training can go on from a published image. The format is specified in
`engine/src/image/mod.rs`, the tokenizer's section in `engine/src/tokenizer/mod.rs`.
"""

import argparse
import math
import struct
import tempfile
from pathlib import Path

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

import export
from model import Config, Jamba
from tokenizer import SPECIAL

MAGIC, VERSION = b"\x93JAMLET\n", 1
TIED, PROJ_BIAS, TOKENIZER, PLAIN_MAMBA = 1 << 0, 1 << 1, 1 << 2, 1 << 5
HEADER = struct.Struct("<8sIIQ15IfIf32x")
SECTION = struct.Struct("<HHHHIIQQ")
NO_LAYER = 0xFFFF
TOKENIZER_VERSION, TOKENIZER_HEADER = 2, 48
F32, Q8, Q4 = 1, 2, 4
TILE_ROWS, TILE_COLS = 8, 4
EMBEDDING, FINAL_NORM, TOKENIZER_ROLE = 1, 2, 4
IN_X, IN_Z, CONV, MAMBA_A = 17, 18, 20, 28
#: Roles whose sections are a parameter of a layer as it is.
PARAMETERS = {
    16: "input_layernorm.weight",
    21: "mamba.conv1d.bias",
    22: "mamba.x_proj.weight",
    23: "mamba.dt_layernorm.weight",
    24: "mamba.b_layernorm.weight",
    25: "mamba.c_layernorm.weight",
    26: "mamba.dt_proj.weight",
    27: "mamba.dt_proj.bias",
    29: "mamba.D",
    30: "mamba.out_proj.weight",
    40: "self_attn.q_proj.weight",
    41: "self_attn.k_proj.weight",
    42: "self_attn.v_proj.weight",
    43: "self_attn.o_proj.weight",
    60: "pre_ff_layernorm.weight",
    62: "feed_forward.gate_proj.weight",
    63: "feed_forward.up_proj.weight",
    64: "feed_forward.down_proj.weight",
}


def dequantize(data: bytes, encoding: int, rows: int, cols: int, group: int) -> np.ndarray:
    """A `Q8` or `Q4` section -> (rows, cols) f32."""
    padded = -(-cols // 8) * 8
    out = np.empty((-(-rows // TILE_ROWS) * TILE_ROWS, padded), np.float32)
    at = 0
    for tile in range(0, len(out), TILE_ROWS):
        for start in range(0, padded, group):
            width = min(group, padded - start)
            scales = np.frombuffer(data, "<f2", TILE_ROWS, at).astype(np.float32)
            at += 2 * TILE_ROWS
            size = TILE_ROWS * width if encoding == Q8 else TILE_ROWS * width // 2
            stored = np.frombuffer(data, np.uint8, size, at).reshape(-1, TILE_ROWS, TILE_COLS).copy()
            at += size
            if encoding == Q8:
                stored[:, :, ::2] ^= 0x80
                weights = stored.view(np.int8)
            else:
                weights = np.concatenate([stored & 15, stored >> 4], axis=2).astype(np.int8) - 8
            weights = weights.astype(np.float32).transpose(1, 0, 2).reshape(TILE_ROWS, width)
            out[tile : tile + TILE_ROWS, start : start + width] = weights * scales[:, None]
    return out[:rows, :cols]


class Image:
    """An image's header, layers and sections."""

    def __init__(self, path: Path):
        self.path, self.bytes = path, path.read_bytes()
        if len(self.bytes) < HEADER.size or self.bytes[:8] != MAGIC:
            raise SystemExit(f"{path}: not a jamlet image")
        (_, version, self.features, _, sections, self.layers, self.vocab, self.hidden, self.ffn, self.heads, self.kv_heads,
         _, self.inner, self.d_state, self.d_conv, self.dt_rank, self.experts, _, self.group, self.eps, _, _) = HEADER.unpack_from(self.bytes)
        shape = self.features & (TIED | PROJ_BIAS | TOKENIZER | PLAIN_MAMBA)
        if version != VERSION or shape != TIED | TOKENIZER or self.experts:
            raise SystemExit(f"{path}: version {version}, features {self.features:#x}, {self.experts} experts; wants version "
                             f"{VERSION}, a tied head, a tokenizer, no experts, Mamba with norms and without biases")
        table = HEADER.size + 8 * self.layers
        self.mixers = [self.bytes[HEADER.size + 8 * layer] for layer in range(self.layers)]
        self.sections = {}
        for index in range(sections):
            role, layer, _, encoding, rows, cols, offset, length = SECTION.unpack_from(self.bytes, table + SECTION.size * index)
            self.sections[role, layer] = (encoding, rows, cols, self.bytes[offset : offset + length])

    def raw(self, role: int) -> bytes:
        return self.sections[role, NO_LAYER][3]

    def matrix(self, role: int, layer: int = NO_LAYER) -> torch.Tensor:
        encoding, rows, cols, data = self.sections[role, layer]
        if encoding in (Q8, Q4):
            found = dequantize(data, encoding, rows, cols, self.group)
        else:
            found = np.frombuffer(data, "<f4").reshape(rows, cols).copy()
        return torch.from_numpy(np.ascontiguousarray(found))

    def config(self) -> Config:
        attention = [layer for layer, mixer in enumerate(self.mixers) if mixer == 2]
        # With one such layer the image doesn't tell: the least that goes with it, or what models have here.
        period = attention[1] - attention[0] if len(attention) > 1 else max(Config.attn_period, self.layers - attention[0])
        return Config(
            vocab=self.vocab, hidden=self.hidden, ffn=self.ffn, layers=self.layers, heads=self.heads, kv_heads=self.kv_heads,
            attn_period=period, attn_offset=attention[0], d_conv=self.d_conv, d_state=self.d_state,
            expand=self.inner // self.hidden, eps=float(np.float32(self.eps).astype(str)),
        )  # fmt: skip

    def model(self) -> Jamba:
        model = Jamba(self.config())
        tensors = {"embed_tokens.weight": self.matrix(EMBEDDING), "final_layernorm.weight": self.matrix(FINAL_NORM)}
        for role, layer in self.sections:
            if layer != NO_LAYER and role in PARAMETERS:
                tensors[f"layers.{layer}.{PARAMETERS[role]}"] = self.matrix(role, layer)
        for layer, mixer in enumerate(self.mixers):
            if mixer == 1:
                name = f"layers.{layer}.mamba."
                tensors[name + "in_proj.weight"] = torch.cat([self.matrix(IN_X, layer), self.matrix(IN_Z, layer)])
                tensors[name + "conv1d.weight"] = self.matrix(CONV, layer).T[:, None].contiguous()
                # -exp(A_log) log2(e), in blocks of 8 channels.
                a = self.matrix(MAMBA_A, layer).view(-1, self.d_state, 8).transpose(1, 2).reshape(-1, self.d_state)
                tensors[name + "A_log"] = torch.log(-a.double() / math.log2(math.e)).float()
        shapes = {name: weight.shape for name, weight in model.state_dict().items()}
        model.load_state_dict({name: weight.reshape(shapes[name]) for name, weight in tensors.items()})
        return model

    def tokenizer(self) -> Tokenizer:
        data = self.raw(TOKENIZER_ROLE)
        version, width, kind, flags = struct.unpack_from("<HBBB", data)
        tokens, slots, added, whole, _, levels = struct.unpack_from("<6I", data, 12)
        if (version, width, kind, flags, whole) != (TOKENIZER_VERSION, 2, 0, 0, 0):
            raise SystemExit(f"{self.path}: its tokenizer is of version {version}; wants version {TOKENIZER_VERSION} of one that "
                             "tokenizer.py makes")
        symbols, nodes = data[TOKENIZER_HEADER : TOKENIZER_HEADER + tokens], TOKENIZER_HEADER + tokens
        texts = nodes + 2 * width * (tokens + levels) + width * (slots + 256) + 4 * added
        # Bytes are spelled as characters, as GPT-2 has it: printable ones as themselves, others from U+0100 on.
        printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        others = [byte for byte in range(256) if byte not in printable]
        spelled = {**{byte: chr(byte) for byte in printable}, **{byte: chr(256 + i) for i, byte in enumerate(others)}}
        words, merges = [], []
        for token, count in enumerate(symbols):
            if count >= 2:
                left, right = struct.unpack_from("<HH", data, nodes + 4 * token)
                merges.append((words[left], words[right]))
                words.append(words[left] + words[right])
            elif token < len(SPECIAL):
                words.append(SPECIAL[token])
            else:
                (offset,) = struct.unpack_from("<I", data, nodes + 4 * token)
                text = data[texts + offset + 1 : texts + offset + 1 + data[texts + offset]]
                words.append("".join(spelled[byte] for byte in text))
        tokenizer = Tokenizer(models.BPE(vocab={word: token for token, word in enumerate(words)}, merges=merges))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
        return tokenizer


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("image", type=Path)
    args.add_argument("folder", type=Path)
    args = args.parse_args()
    image = Image(args.image)
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = Path(scratch) / "tokenizer.json"
        image.tokenizer().save(str(tokenizer))
        export.save(image.model(), tokenizer, args.folder)


if __name__ == "__main__":
    main()
