"""What the scripts with tables of calls share: the form of cases, and the functions of the language.

A case is a call of the language's functions on its inputs:

    {"op": label, "call": ["slice", 0, {"axis": 1, "start": -2}], "inputs": [...], "batched": [true],
     "output": ..., "upstream": ..., "grads": [...], "attrs": {"terms": 12}}

An integer in `call` is the number of an input, a list is a call, `["number", 0.5]` is a literal,
`["value", 1, call]` is the second of a call's results, and the object at the end of a call has its
attributes. The first axis of an input is the batch where
`batched` says so, and that of the output if it does for any input. `below` has the bound of indices.
`terms`: the result adds up as many terms. `special`: equal, with the sign of zeros and NaN for NaN.
"""
import json, math, re, sys
from pathlib import Path
import numpy as np
import torch

HERE = Path(__file__).parent
LANGUAGE = HERE.parent.parent / "docs" / "language.md"


def documented():
    """The functions in the tables of docs/language.md, and operators."""
    names = {"add", "sub", "mul", "div", "neg", "number", "value"}
    for line in LANGUAGE.read_text().splitlines():
        if line.startswith("| `"):
            column = line[1:].split(" | ")[0]
            names.update(re.findall(r"`(?:let \([a-z, ]*\) = )?([a-z_0-9]+)\(", column))
    return names


def number(v):
    """The shortest decimal number that is this float."""
    return float(str(np.float32(v))) if math.isfinite(v) else str(float(v))


def tensor(x):
    x = x.detach().cpu()
    if x.dtype == torch.bool or (not x.is_floating_point() and x.dtype != torch.int64):
        x = x.float()
    data = x.flatten().tolist()
    if x.is_floating_point():
        data = [number(v) for v in data]
    return {"shape": list(x.shape), "data": data}


def call(function, *operands, **attributes):
    return [function, *operands, attributes] if attributes else [function, *operands]


def functions(tree):
    """The names of the functions in a call."""
    if isinstance(tree, list):
        yield tree[0]
        for operand in tree[1:]:
            yield from functions(operand)


def gradients(y, inputs, upstream):
    """The gradient of each input, zeros where it has none; nothing if PyTorch has no derivative."""
    try:
        found = torch.autograd.grad(y, inputs, upstream, retain_graph=True, allow_unused=True)
    except RuntimeError as error:
        if "not implemented" not in str(error):
            raise
        return None
    return [torch.zeros_like(x) if dx is None or dx._is_zerotensor() else dx for x, dx in zip(inputs, found)]


def rounded(x, digits=3):
    """Short numbers in the file."""
    if not x.is_floating_point():
        return x
    return torch.tensor([float(f"{v:.{digits}g}") for v in x.flatten().tolist()], dtype=x.dtype).reshape(x.shape)


def write(path, seed, cases):
    made_with = f"torch {torch.__version__.split('+')[0]}"
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    path.write_text(f'{{"made_with":"{made_with}","seed":{seed},"cases":[\n{lines}\n]}}\n')
    print(path.name, len(cases), "cases", path.stat().st_size, "bytes")
