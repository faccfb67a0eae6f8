"""Reads a shipped model back as a finished run, to train it on: `python3 unpack.py NAME [RUN]`.

The inverse of export.py: NAME.gguf into runs/RUN.pt (NAME.pt). What Q8_0 rounded away stays away.
"""

import argparse
import struct

import numpy
import torch

from export import ALIGNMENT, ARRAY, BOOL, F32, I32, POOL, STRING, TENSOR_Q8_0, U32, tensors
from model import Network, Shape
from recipes import RECIPES
from tokenizer import Tokenizer
from train import RUNS

SCALARS = {U32: "<I", F32: "<f", BOOL: "<B", I32: "<i"}


class Reader:
    """Takes values from the front of a file's bytes."""

    def __init__(self, data):
        self._data = data
        self.at = 0

    def take(self, form):
        values = struct.unpack_from(form, self._data, self.at)
        self.at += struct.calcsize(form)
        return values if len(values) > 1 else values[0]

    def text(self):
        length = self.take("<Q")
        self.at += length
        return self._data[self.at - length:self.at].decode()

    def skip_value(self, kind):
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            of, count = self.take("<IQ")
            for _ in range(count):
                self.skip_value(of)
        else:
            self.take(SCALARS[kind])


def values(data, at, sizes, kind):
    """A tensor's numbers as float32, in the order of the file."""
    count = int(numpy.prod(sizes))
    if kind != TENSOR_Q8_0:
        return numpy.frombuffer(data, "<f4", count, at).reshape(sizes)
    packed = numpy.frombuffer(data, [("scale", "<f2"), ("values", "i1", 32)], count // 32, at)
    return (packed["values"] * packed["scale"].astype(numpy.float32)[:, None]).reshape(sizes)


def read(path):
    """name -> array of every tensor of a file that export.py wrote."""
    data = path.read_bytes()
    reader = Reader(data)
    magic, version, count, pairs = reader.take("<4sIQQ")
    assert magic == b"GGUF" and version == 3, path
    for _ in range(pairs):
        reader.text()
        reader.skip_value(reader.take("<I"))
    infos = []
    for _ in range(count):
        name = reader.text()
        sizes = [reader.take("<Q") for _ in range(reader.take("<I"))][::-1]
        infos.append((name, sizes, *reader.take("<IQ")))
    begin = -(-reader.at // ALIGNMENT) * ALIGNMENT
    return {name: values(data, begin + at, sizes, kind) for name, sizes, kind, at in infos}


def unpack(name, run_name, tokenizer):
    recipe = RECIPES[name]
    network = Network(Shape(vocabulary=len(tokenizer.tokens), **recipe.shape))
    state, stored = network.state_dict(), read(POOL / f"{name}.gguf")
    for tensor, parameter, index in tensors(state, network.shape):
        state[parameter][index] = torch.from_numpy(stored[tensor].copy())
    run = {"network": state, "shape": recipe.shape, "seconds": 0.0}
    torch.save(run, RUNS / f"{run_name}.pt")
    torch.save(run, RUNS / f"{run_name}.exported.pt")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("run", nargs="?")
    arguments = parser.parse_args()
    RUNS.mkdir(exist_ok=True)
    unpack(arguments.name, arguments.run or arguments.name, Tokenizer.load())


if __name__ == "__main__":
    main()
