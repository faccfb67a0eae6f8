"""Byte-level BPE with a small vocabulary, trained on the project's own questions.

One command writes vocabulary.json: `python3 tokenizer.py`. Ids are those that the native engine gives
(`pre` = "qwen2": digits stand alone). No merge joins two capitals or a space with a lone capital, so the
letters of a string such as KDAMQ are one token each and a model can see them.
"""

import collections
import json
import pathlib
import re

import tasks

VOCABULARY = pathlib.Path(__file__).with_name("vocabulary.json")
SPECIALS = ("<|user|>", "<|assistant|>", "<|end|>")
USER, ASSISTANT, END = range(3)  # the specials have the first ids
TOKENS_MAX = 1000
# qwen2's split rule, exact for ASCII; training texts are ASCII.
SPLIT = re.compile(r"'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]"
                   r"| ?[^\sA-Za-z0-9]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
UNSEEN = re.compile(r"^Ġ?[A-Z]$|[A-Z][A-Z]")


def byte_letters():
    """GPT-2's printable character for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {}, 0
    for byte in range(256):
        table[byte] = chr(byte) if byte in plain else chr(256 + extra)
        extra += byte not in plain
    return table


LETTERS = byte_letters()


def pieces(text):
    """The pieces inside which merges happen, in printable characters."""
    return ["".join(LETTERS[b] for b in piece.encode()) for piece in SPLIT.findall(text)]


def merge_all(parts, left, right):
    """`parts` with every neighbouring (left, right) joined."""
    out, i = [], 0
    while i < len(parts):
        joined = i + 1 < len(parts) and parts[i] == left and parts[i + 1] == right
        out.append(left + right if joined else parts[i])
        i += 2 if joined else 1
    return out


def learn_merges(counts, merges_max, least=40):
    """The most frequent pair again and again; `counts` says how often each piece occurs."""
    words = {piece: list(piece) for piece in counts}
    merges = []
    while len(merges) < merges_max:
        pairs = collections.Counter()
        for piece, parts in words.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += counts[piece]
        allowed = [(n, pair) for pair, n in pairs.items() if n >= least and not UNSEEN.search("".join(pair))]
        if not allowed:
            break
        best = max(allowed)[1]
        merges.append(best)
        words = {piece: merge_all(parts, *best) for piece, parts in words.items()}
    return merges


class Tokenizer:
    """Encodes questions and replies; pieces are cached because templates repeat."""

    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        self.tokens = [*SPECIALS, *LETTERS.values(), *("".join(m) for m in self.merges)]
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        self._ranks = {pair: i for i, pair in enumerate(self.merges)}
        self._bytes = {letter: byte for byte, letter in LETTERS.items()}
        self._cache = {}

    @classmethod
    def load(cls):
        return cls(json.loads(VOCABULARY.read_text())["merges"])

    def _piece(self, piece):
        if piece not in self._cache:
            parts = list(piece)
            while len(parts) > 1:
                rank, pair = min((self._ranks.get(p, len(self._ranks)), p) for p in zip(parts, parts[1:]))
                if rank == len(self._ranks):
                    break
                parts = merge_all(parts, *pair)
            self._cache[piece] = [self._ids[p] for p in parts]
        return self._cache[piece]

    def encode(self, text):
        return [i for piece in pieces(text) for i in self._piece(piece)]

    def decode(self, ids):
        letters = "".join(self.tokens[i] for i in ids if i >= len(SPECIALS))
        return bytes(self._bytes[c] for c in letters).decode(errors="replace")

    def prompt(self, question):
        """What the chat template makes of a question."""
        return [USER, *self.encode(question), ASSISTANT]

    def reply(self, text):
        return [*self.encode(text), END]


def main():
    """Trains on the training stream of every skill and writes the merges."""
    stream = tasks.Mixture({s: 1 for s in tasks.skills()}, seed=101)
    counts = collections.Counter()
    for _ in range(40000):
        example = next(stream)
        counts.update(pieces(example.text) + pieces(example.reply))
    merges = learn_merges(counts, TOKENS_MAX - len(SPECIALS) - 256)
    VOCABULARY.write_text(json.dumps({"merges": merges}, ensure_ascii=False, indent=None) + "\n")
    print(f"{len(merges)} merges, {3 + 256 + len(merges)} tokens")


if __name__ == "__main__":
    main()
