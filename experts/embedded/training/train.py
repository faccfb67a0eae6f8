"""Trains one model of the pool: `python3 train.py NAME` (names and recipes: `recipes.py`).

Fixed seeds and a fixed number of steps; a checkpoint every minute, from which the same command goes on.
Set OMP_NUM_THREADS=1: two processes on two cores are faster than one on both. Writes runs/NAME.pt (what
export.py reads) and runs/NAME.csv (the curve).
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before torch is loaded: small matrices, other work beside it

import numpy  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

import tasks  # noqa: E402
from model import Network, Shape, upcycled  # noqa: E402
from recipes import RECIPES  # noqa: E402
from tokenizer import END, Tokenizer  # noqa: E402

RUNS = pathlib.Path(__file__).with_name("runs")
ROW = 128            # tokens in a packed row
CHECK_SEED = 77      # of the questions behind the curve, neither training nor evaluation


def orthogonal(gradient, steps=5):
    """Nearest semi-orthogonal matrices by Newton-Schulz (Muon, Jordan et al. 2024), batched."""
    x = gradient.reshape(-1, *gradient.shape[-2:])
    wide = x.shape[-2] > x.shape[-1]
    x = x.transpose(-1, -2) if wide else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.transpose(-1, -2)
        x = 3.4445 * x + (2.0315 * a @ a - 4.7750 * a) @ x
    x = x.transpose(-1, -2) if wide else x
    return x.reshape(gradient.shape)


class Optimizer:
    """Muon for the matrices inside the layers, Adam for embeddings, norms, routers and the head."""

    def __init__(self, network, rate):
        named = list(network.named_parameters())
        inner = ("qkv", "gate_up", "down")
        self.matrices = [p for n, p in named
                         if n.endswith(inner) or n.startswith("attention") and n.endswith("output")]
        chosen = {id(p) for p in self.matrices}
        self.adam = torch.optim.Adam([p for _, p in named if id(p) not in chosen], lr=0.3 * rate,
                                     betas=(0.9, 0.98), eps=1e-10)
        self.momenta = [torch.zeros_like(p) for p in self.matrices]
        self.rate = rate

    def step(self, scale):
        """One update at `scale` times the rate."""
        for group in self.adam.param_groups:
            group["lr"] = 0.3 * self.rate * scale
        self.adam.step()
        with torch.no_grad():
            for p, m in zip(self.matrices, self.momenta):
                m.mul_(0.95).add_(p.grad, alpha=0.05)
                update = orthogonal(p.grad.lerp(m, 0.95))
                factor = max(1.0, p.shape[-2] / p.shape[-1]) ** 0.5
                p.mul_(1 - 0.02 * self.rate * scale).add_(update, alpha=-self.rate * scale * factor)
        self.adam.zero_grad(set_to_none=True)
        for p in self.matrices:
            p.grad = None

    def state_dict(self):
        return {"adam": self.adam.state_dict(), "momenta": self.momenta}

    def load_state_dict(self, state):
        self.adam.load_state_dict(state["adam"])
        self.momenta = state["momenta"]


class Packer:
    """Packs encoded examples into rows of ROW tokens, longest first where it fits, nothing cut."""

    def __init__(self, tokenizer, examples):
        self._tokenizer = tokenizer
        self._examples = examples
        self._open = []

    def _encoded(self):
        example = next(self._examples)
        prompt = self._tokenizer.prompt(example.text)
        return prompt, self._tokenizer.reply(example.reply)

    def _row(self):
        """Takes from a small pool so that little of a row stays empty."""
        row, room = [], ROW + 1
        while len(self._open) < 24:
            self._open.append(self._encoded())
        while True:
            fitting = [i for i, (p, r) in enumerate(self._open) if len(p) + len(r) <= room]
            if not fitting:
                return row
            # The first one keeps the stream's mixture; later ones fill up.
            taken = fitting[0] if room > 70 else max(fitting, key=lambda i: sum(map(len, self._open[i])))
            row.append(self._open.pop(taken))
            room -= sum(map(len, row[-1]))

    def batch(self, rows):
        """(tokens, targets, segments, keep): targets count only where `keep`, in the replies."""
        shape = (rows, ROW + 1)
        tokens, segments = numpy.full(shape, END), numpy.full(shape, -1)
        keep = numpy.zeros(shape, dtype=bool)
        for r in range(rows):
            at = 0
            for number, (prompt, reply) in enumerate(self._row()):
                end = at + len(prompt) + len(reply)
                tokens[r, at:end] = prompt + reply
                segments[r, at:end] = number
                keep[r, at + len(prompt) - 1:end - 1] = True
                at = end
        tokens, segments, keep = map(torch.from_numpy, (tokens, segments, keep))
        return tokens[:, :-1], tokens[:, 1:], segments[:, :-1], keep[:, :-1]


def right_replies(network, tokenizer, examples, rows=64):
    """For each example whether greedy decoding writes exactly its reply.

    One pass with the reply as input tells: greedy decoding writes it if and only if every token of it is
    the most likely one after those before it.
    """
    right = []
    with torch.no_grad():
        for begin in range(0, len(examples), rows):
            coded = [(tokenizer.prompt(e.text), tokenizer.reply(e.reply)) for e in examples[begin:begin + rows]]
            longest = max(len(p) + len(r) for p, r in coded)
            tokens = torch.full((len(coded), longest), END)
            for i, (p, r) in enumerate(coded):
                tokens[i, :len(p) + len(r)] = torch.tensor(p + r)
            best = network(tokens)[0].argmax(-1)
            right += [best[i, len(p) - 1:len(p) + len(r) - 1].tolist() == r for i, (p, r) in enumerate(coded)]
    return right


def by_skill(network, tokenizer, examples):
    """Share of exactly right replies per skill."""
    right = right_replies(network, tokenizer, examples)
    return {s: sum(r for r, e in zip(right, examples) if e.skill == s) / max(1, sum(e.skill == s for e in examples))
            for s in tasks.skills()}


def rate_scale(step, steps, cool, warm=30):
    """Warm up, hold, then fall to zero over the last `cool` of the run."""
    left = (steps - step) / (cool * steps) if cool else 1.0
    return min(1.0, (step + 1) / warm, left)


def start(name, recipe, tokenizer):
    """A fresh network, or a copy of the finished one that the recipe goes on from."""
    torch.manual_seed(recipe.seed)
    network = Network(Shape(vocabulary=len(tokenizer.tokens), **recipe.shape))
    if recipe.base:
        base = torch.load(RUNS / f"{recipe.base}.pt")["network"]
        grows = network.shape.experts > 0 and not RECIPES[recipe.base].shape
        network.load_state_dict(upcycled(base, network.shape.experts) if grows else base, strict=not grows)
    return network


def train(name, steps=None):
    recipe = RECIPES[name]
    steps = steps or recipe.steps
    tokenizer = Tokenizer.load()
    network = start(name, recipe, tokenizer)
    optimizer = Optimizer(network, recipe.rate)
    partial, first, spent = RUNS / f"{name}.partial", 0, 0.0
    if partial.exists():
        state = torch.load(partial)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        first, spent = state["step"], state["spent"]
    packer = Packer(tokenizer, tasks.Mixture(recipe.weights, recipe.seed * 1000 + first, drills=True))
    own = [e for e in tasks.evaluation(16, CHECK_SEED) if recipe.weights.get(e.skill, 0) > 0]
    curve = open(RUNS / f"{name}.csv", "a" if first else "w")
    began, saved, losses = time.process_time(), time.time(), []
    for step in range(first, steps):
        tokens, targets, segments, keep = packer.batch(recipe.rows)
        logits, balance = network(tokens, segments, keep)
        loss = F.cross_entropy(logits, targets[keep])
        (loss + 0.01 * balance).backward()
        optimizer.step(rate_scale(step, steps, recipe.cool))
        losses.append(loss.item())
        if (step + 1) % 50 == 0 or step + 1 == steps:
            seconds = spent + time.process_time() - began
            right = by_skill(network, tokenizer, own) if (step + 1) % 200 == 0 or step + 1 == steps else {}
            shown = " ".join(f"{s}={right[s]:.2f}" for s in right if recipe.weights.get(s, 0) > 0)
            print(f"{step + 1},{seconds:.0f},{numpy.mean(losses):.4f},{shown}", file=curve, flush=True)
            losses = []
        if time.time() - saved > 60:
            torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1,
                        "spent": spent + time.process_time() - began}, partial)
            saved = time.time()
    torch.save({"network": network.state_dict(), "shape": recipe.shape,
                "seconds": spent + time.process_time() - began}, RUNS / f"{name}.pt")
    partial.unlink(missing_ok=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    arguments = parser.parse_args()
    RUNS.mkdir(exist_ok=True)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    train(arguments.name, arguments.steps)
