"""Writes a trained model as a GGUF file that needs nothing else: `python3 export.py NAME...`.

Matrices are Q8_0 (blocks of 32 with a half-precision scale), the rest is float32; tokenizer and chat
template are in the file. Also writes what the native engine must compute for a few prompts, from the
quantised weights, into tests/moe/embedded_parity.json (`embedded_parity_test.cpp` compares), and
pool.json.
"""

import argparse
import json
import pathlib
import struct

import numpy
import torch

import tasks
from model import Network, Shape
from recipes import RECIPES
from tokenizer import END, SPECIALS, Tokenizer
from train import RUNS

POOL = pathlib.Path(__file__).resolve().parents[1]
PARITY = POOL.parents[1] / "tests/moe/embedded_parity.json"
ALIGNMENT = 32
U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5  # GGUF value types
TENSOR_F32, TENSOR_Q8_0 = 0, 8

# The models know single questions and nothing of a conversation: the last one counts.
TEMPLATE = ("{%- set ns = namespace(question='') -%}{%- for message in messages -%}"
            "{%- if message['role'] == 'user' -%}{%- set ns.question = message['content'] -%}{%- endif -%}"
            "{%- endfor -%}<|user|>{{ ns.question | trim }}<|assistant|>")


def text(value):
    coded = value.encode()
    return struct.pack("<Q", len(coded)) + coded


def pair(key, kind, payload):
    return text(key) + struct.pack("<I", kind) + payload


def u32(key, value):
    return pair(key, U32, struct.pack("<I", value))


def f32(key, value):
    return pair(key, F32, struct.pack("<f", value))


def string(key, value):
    return pair(key, STRING, text(value))


def strings(key, values):
    return pair(key, ARRAY, struct.pack("<IQ", STRING, len(values)) + b"".join(map(text, values)))


def quantise(matrix):
    """Q8_0 bytes of a float32 array whose rows are multiples of 32 long, and the values that they mean."""
    blocks = matrix.reshape(-1, 32)
    scale = (numpy.abs(blocks).max(1) / 127).astype(numpy.float16)
    wide = numpy.where(scale == 0, 1, scale).astype(numpy.float32)
    whole = numpy.clip(numpy.rint(blocks / wide[:, None]), -127, 127).astype(numpy.int8)
    packed = numpy.zeros(len(blocks), dtype=[("scale", "<f2"), ("values", "i1", 32)])
    packed["scale"], packed["values"] = scale, whole
    meant = whole.astype(numpy.float32) * scale.astype(numpy.float32)[:, None]
    return packed.tobytes(), meant.reshape(matrix.shape)


def tensors(state, shape):
    """(name in GGUF, parameter, index into it) of every tensor; slices of fused parameters are apart."""
    yield "token_embd.weight", "embedding", ()
    yield "output_norm.weight", "norm", ()
    yield "output.weight", "output", ()
    for i in range(shape.layers):
        block, attention, feed = f"blk.{i}.", f"attention.{i}.", f"feed.{i}."
        yield block + "attn_norm.weight", attention + "norm", ()
        for j, part in enumerate("qkv"):
            yield block + f"attn_{part}.weight", attention + "qkv", (j,)
        yield block + "attn_q_norm.weight", attention + "q_norm", ()
        yield block + "attn_k_norm.weight", attention + "k_norm", ()
        yield block + "attn_output.weight", attention + "output", ()
        yield block + "ffn_norm.weight", feed + "norm", ()
        every = slice(None)
        if shape.experts:
            yield block + "ffn_gate_inp.weight", feed + "router", ()
        suffix, lead = ("_exps", (every,)) if shape.experts else ("", ())
        yield block + f"ffn_gate{suffix}.weight", feed + "gate_up", (*lead, 0)
        yield block + f"ffn_up{suffix}.weight", feed + "gate_up", (*lead, 1)
        yield block + f"ffn_down{suffix}.weight", feed + "down", ()


def metadata(name, recipe, shape, tokenizer):
    """All key-value pairs of the file."""
    arch = shape.architecture

    def key(of_architecture):
        return f"{arch}.{of_architecture}"

    pairs = [string("general.architecture", arch), string("general.name", name),
             string("general.description", recipe.about), string("general.license", "apache-2.0"),
             f32("general.sampling.temp", 0.0),  # an answer is looked for, not a variety of them
             u32("general.file_type", 7), u32("general.quantization_version", 2),
             u32("general.alignment", ALIGNMENT),
             u32(key("block_count"), shape.layers), u32(key("context_length"), shape.context),
             u32(key("embedding_length"), shape.width), u32(key("feed_forward_length"), shape.hidden),
             u32(key("attention.head_count"), shape.heads), u32(key("attention.head_count_kv"), shape.heads),
             u32(key("attention.key_length"), shape.head), u32(key("attention.value_length"), shape.head),
             f32(key("attention.layer_norm_rms_epsilon"), shape.epsilon),
             f32(key("rope.freq_base"), shape.rope_base), u32(key("rope.dimension_count"), shape.head),
             u32(key("vocab_size"), shape.vocabulary)]
    if shape.experts:
        pairs += [u32(key("expert_count"), shape.experts), u32(key("expert_used_count"), shape.used),
                  u32(key("expert_feed_forward_length"), shape.hidden)]
    kinds = [3] * len(SPECIALS) + [1] * (len(tokenizer.tokens) - len(SPECIALS))  # control, normal
    pairs += [string("tokenizer.ggml.model", "gpt2"), string("tokenizer.ggml.pre", "qwen2"),
              strings("tokenizer.ggml.tokens", tokenizer.tokens),
              pair("tokenizer.ggml.token_type", ARRAY,
                   struct.pack("<IQ", I32, len(kinds)) + struct.pack(f"<{len(kinds)}i", *kinds)),
              strings("tokenizer.ggml.merges", [" ".join(m) for m in tokenizer.merges]),
              u32("tokenizer.ggml.eos_token_id", END), u32("tokenizer.ggml.padding_token_id", END),
              pair("tokenizer.ggml.add_bos_token", BOOL, b"\0"),
              string("tokenizer.chat_template", TEMPLATE)]
    return pairs


def padded(data):
    return data + b"\0" * (-len(data) % ALIGNMENT)


def write(path, pairs, state, shape):
    """Writes the file; returns the state with every matrix as the file means it."""
    meant = {k: v.clone() for k, v in state.items()}
    infos, data = b"", b""
    count = 0
    for name, parameter, index in tensors(state, shape):
        values = state[parameter][index].contiguous().numpy()
        kind = TENSOR_Q8_0 if values.ndim >= 2 and parameter.split(".")[-1] != "router" else TENSOR_F32
        packed = values.tobytes()
        if kind == TENSOR_Q8_0:
            packed, exact = quantise(values)
            meant[parameter][index] = torch.from_numpy(exact)
        sizes = values.shape[::-1]
        infos += text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, len(data))
        data += padded(packed)
        count += 1
    head = b"GGUF" + struct.pack("<IQQ", 3, count, len(pairs)) + b"".join(pairs) + infos
    path.write_bytes(padded(head) + data)
    return meant


def greedy(network, prompt, tokens_max=60):
    """Prompt and reply, the end token included."""
    tokens = list(prompt)
    while len(tokens) < len(prompt) + tokens_max and tokens[-1] != END:
        tokens.append(int(network(torch.tensor([tokens]))[0][0, -1].argmax()))
    return tokens


def expected_logits(network, tokenizer, prompts):
    """Token ids and, after each token, the best logit and seven others: [id, value, id, value, ...]."""
    cases = []
    for prompt in prompts:
        tokens = greedy(network, tokenizer.prompt(prompt))
        logits = network(torch.tensor([tokens]))[0][0]
        rows = []
        for at, row in enumerate(logits):
            ids = [int(row.argmax()), *((at * 37 + k * 131) % len(row) for k in range(7))]
            rows.append([x for i in ids for x in (i, round(float(row[i]), 5))])
        cases.append({"tokens": tokens, "logits": rows})
    return cases


def export(name, tokenizer):
    """Writes NAME.gguf and returns its parity cases; a model without a finished run is refused."""
    recipe = RECIPES[name]
    run = torch.load(RUNS / f"{name}.pt")
    shape = Shape(vocabulary=len(tokenizer.tokens), **run["shape"])
    path = POOL / f"{name}.gguf"
    meant = write(path, metadata(name, recipe, shape, tokenizer), run["network"], shape)
    network = Network(shape)
    network.load_state_dict(meant)
    torch.save({"network": meant, "shape": run["shape"]}, RUNS / f"{name}.exported.pt")
    stream = tasks.Mixture(recipe.weights, seed=303)
    with torch.no_grad():
        cases = expected_logits(network, tokenizer, [next(stream).text for _ in range(3)])
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, e.g. {tokenizer.decode(cases[0]['tokens'])!r}")
    return cases


def write_pool():
    """pool.json: every model whose file is there, as the service reads it."""
    experts = [{"name": n, "file": f"{n}.gguf", "description": r.about}
               for n, r in RECIPES.items() if (POOL / f"{n}.gguf").exists()]
    (POOL / "pool.json").write_text(json.dumps({"license": "Apache-2.0", "experts": experts}, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    names = parser.parse_args().names
    tokenizer = Tokenizer.load()
    parity = json.loads(PARITY.read_text()) if PARITY.exists() else {}
    for name in names:
        parity[name] = export(name, tokenizer)
    PARITY.write_text(json.dumps(dict(sorted(parity.items())), separators=(",", ":")) + "\n")
    write_pool()


if __name__ == "__main__":
    main()
