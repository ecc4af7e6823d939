"""Functions of arrays with all their options, from PyTorch: slices, joins, shapes.

Usage: python make_arrays.py [SEED] [OUTDIR]   (needs torch and numpy)

The form of a case is in common.py. A row of the table is a function of one example in PyTorch, its
call in the language, and the shapes of one example. Each row becomes a case without a batch, one with
all operands for each example, and with several operands sometimes one where a single one is. Rows whose
functions docs/language.md lacks are left out.
"""
import math, random, sys
from pathlib import Path
import torch
import torch.nn.functional as F
from common import call, documented, functions, gradients, rounded, tensor, write

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 20
OUT = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent
rnd = random.Random(SEED)
g = torch.Generator().manual_seed(3000 + SEED)
KNOWN = documented()
cases, missing = [], set()

# Domains of operands.
normal = lambda *s: rounded(torch.randn(s, generator=g))
positive = lambda *s: rounded(torch.rand(s, generator=g) + 0.25)
ties = lambda *s: torch.randint(-2, 3, s, generator=g).float()
wide = lambda *s: rounded(torch.randn(s, generator=g) * 3)


def special(*s):
    some = torch.tensor([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.5])
    return some[torch.arange(math.prod(s)) % len(some)].reshape(s)


def index(below):
    """Indices below a bound."""
    def draw(*s):
        return torch.randint(0, below, s, generator=g)
    draw.below = below
    return draw


def row(op, f, tree, *shapes, domains=(normal,), masks=None, **attrs):
    absent = {name for name in functions(tree) if name not in KNOWN}
    if absent:
        missing.update(absent)
        return
    domains = [domains[min(i, len(domains) - 1)] for i in range(len(shapes))]
    masks = masks or [[False] * len(shapes), [True] * len(shapes)]
    if len(shapes) > 1 and rnd.random() < 0.4:
        only = rnd.randrange(len(shapes))
        masks = [*masks, [i == only for i in range(len(shapes))]]
    for mask in masks:
        batch = rnd.choice([1, 2, 3]) if any(mask) else None
        xs = [draw(*([batch] if m else []), *s) for draw, s, m in zip(domains, shapes, mask)]
        xs = [x.requires_grad_(x.is_floating_point()) for x in xs]
        if batch is None:
            y = f(*xs)
        else:
            y = torch.stack([f(*[x[i] if m else x for x, m in zip(xs, mask)]) for i in range(batch)])
        case = {"op": op, "call": tree, "inputs": [tensor(x) for x in xs], "batched": mask, "output": tensor(y)}
        below = [getattr(draw, "below", None) for draw in domains]
        if any(below):
            case["below"] = below
        if attrs:
            case["attrs"] = attrs
        if y.requires_grad and not attrs.get("special"):
            up = rounded(torch.randn(y.shape, generator=g), 2)
            found = gradients(y, [x for x in xs if x.requires_grad], up)
            if found is not None:
                found = iter(found)
                case["upstream"] = tensor(up)
                case["grads"] = [tensor(next(found)) if x.requires_grad else None for x in xs]
        cases.append(case)


def either(axis, rank):
    """The axis, or the same counted from the last."""
    return rnd.choice([axis, axis - rank])


SHAPES = [(1,), (7,), (5, 1), (1, 5), (3, 4), (2, 3, 5), (2, 1, 3, 2), (2, 1, 1, 3, 1, 2, 2)]

# Ranges: their ends, counted from either side, steps that divide and that do not, one element.
RANGES = [(None, None, 1), (1, None, 1), (None, -1, 1), (-1, None, 1), (-3, -1, 1), (None, None, 2), (1, None, 2), (1, -1, 3), (0, 1, 9), (2, 3, 1)]


def ranged(operand, axis, start, stop, step):
    given = {"axis": axis, "start": start, "stop": stop, "step": step if step != 1 else None}
    return call("slice", operand, **{name: value for name, value in given.items() if value is not None})


for shape in SHAPES:
    for axis in range(len(shape)):
        fitting = [r for r in RANGES if range(shape[axis])[slice(*r)] and all(p is None or -shape[axis] <= p <= shape[axis] for p in r[:2])]
        for start, stop, step in fitting if len(shape) < 3 else rnd.sample(fitting, min(2, len(fitting))):
            at = (slice(None),) * axis + (slice(start, stop, step),)
            row("slice", lambda x: x[at], ranged(0, either(axis, len(shape)), start, stop, step), shape)
# `x[-1]`, `x[1, 0..3]`, `x[.., 2]`: a position is a range of one element whose axis is squeezed.
for shape in SHAPES[1:]:
    for axis in range(len(shape)):
        for at in {0, -1, shape[axis] // 2} if len(shape) < 3 else {rnd.randrange(-1, shape[axis])}:
            end = None if at == -1 else at + 1
            row("position", lambda x: x.select(axis, at), call("squeeze", ranged(0, axis, at, end, 1), axes=[axis]), shape)
row("ranges", lambda x: x[1:, -1, ::2], call("squeeze", ranged(ranged(ranged(0, 0, 1, None, 1), 1, -1, None, 1), 2, None, None, 2), axes=[1]), (3, 2, 5))
row("ranges", lambda x: x[1::2][-2:], ranged(ranged(0, 0, 1, None, 2), 0, -2, None, 1), (9, 2))
row("ranges", lambda x: x[0, 0, 0], call("squeeze", ranged(ranged(ranged(0, 0, 0, 1, 1), 1, 0, 1, 1), 2, 0, 1, 1), axes=[0, 1, 2]), (2, 2, 2))

# Joins: along every axis, of one to five values, of values that are used twice.
for shape in SHAPES:
    for axis in range(len(shape)):
        for sizes in rnd.sample([(2,), (1, 1), (3, 1), (1, 4, 2), (2, 2, 2), (1, 1, 1, 1, 3)], 2 if len(shape) < 4 else 1):
            shapes = [shape[:axis] + (n,) + shape[axis + 1:] for n in sizes]
            at = either(axis, len(shape))
            given = {} if axis == 0 and at == 0 and rnd.random() < 0.5 else {"axis": at}
            row("concat", lambda *x: torch.cat(x, axis), call("concat", *range(len(sizes)), **given), *shapes)
    for axis in range(len(shape) + 1):
        count = rnd.choice([1, 2, 3, 5] if len(shape) < 3 else [1, 2, 3])
        if len(shape) > 4 and axis % 2:
            continue
        row("stack", lambda *x: torch.stack(x, axis), call("stack", *range(count), axis=either(axis, len(shape) + 1)), *[shape] * count)
row("stack", lambda a, b: torch.stack([a, b]), call("stack", 0, 1), (3,), (3,))
row("stack", lambda a, b: torch.stack([a, b]), call("stack", 0, 1), (), ())
row("concat twice", lambda a, b: torch.cat([a, b, a], 1), call("concat", 0, 1, 0, axis=1), (2, 3), (2, 1))
row("stack twice", lambda a: torch.stack([a, a], -1), call("stack", 0, 0, axis=-1), (2, 3))

# Padding with a number.
for shape in SHAPES:
    for axis in range(len(shape)):
        for before, after, value in rnd.sample([(1, 0, None), (0, 2, -1.5), (3, 1, 0.25), (0, 0, 1.0)] + [(9, 9, None)] * (len(shape) < 3), 2 if len(shape) < 4 else 1):
            widths = [0, 0] * (len(shape) - 1 - axis) + [before, after]
            given = {"before": before or None, "after": after or None, "value": value}
            given = {name: x for name, x in given.items() if x is not None}
            row("pad", lambda x: F.pad(x, widths, value=value or 0.0), call("pad", 0, axis=either(axis, len(shape)), **given), shape)
row("pad of two axes", lambda x: F.pad(x, (1, 2, 2, 0), value=0.5), call("pad", call("pad", 0, axis=-1, before=1, after=2, value=0.5), axis=0, before=2, value=0.5), (3, 4))

# Shapes.
for shape in [(1,), (1, 5), (5, 1), (1, 1), (2, 1, 3, 1), (1, 2, 1, 1, 3, 1)]:
    ones = [axis for axis, n in enumerate(shape) if n == 1]
    for count in {1, (len(ones) + 1) // 2, len(ones)}:
        axes = [either(axis, len(shape)) for axis in rnd.sample(ones, count)]
        row("squeeze", lambda x: x.squeeze(axes), call("squeeze", 0, axes=axes), shape)
for shape in [()] + SHAPES:
    for axis in rnd.sample(range(len(shape) + 1), min(3, len(shape) + 1)):
        row("unsqueeze", lambda x: x.unsqueeze(axis), call("unsqueeze", 0, axis=either(axis, len(shape) + 1)), shape)
for shape in SHAPES:
    rank = len(shape)
    reversed_axes = list(range(rank))[::-1]
    row("transpose", lambda x: x.permute(reversed_axes), call("transpose", 0), shape)
    for _ in range(min(2, rank)):
        axes = rnd.sample(range(rank), rank)
        row("permute", lambda x: x.permute(axes), call("permute", 0, axes=[either(axis, rank) for axis in axes]), shape)
for before, after in [((1,), ()), ((), (1,)), ((6,), (2, 3)), ((2, 3), (6,)), ((2, 3), (3, 2)), ((4, 6), (2, 4, 3)), ((2, 3, 4), (6, 4)), ((2, 3, 4), (2, 12)),
                      ((7, 1), (1, 7, 1)), ((2, 1, 2, 3, 1, 2), (4, 6)), ((15,), (1, 3, 1, 5, 1)), ((2, 2, 2, 2, 2, 2), (8, 8)), ((9, 4), (6, 6))]:
    row("reshape", lambda x: x.reshape(after), call("reshape", 0, shape=list(after)), before)

# Views of views, as `simplify` merges them.
halves = lambda operand, n: (ranged(operand, -1, None, n, 1), ranged(operand, -1, n, None, 1))
low, high = halves(0, 3)
row("rotated halves", lambda x: torch.cat([-x[..., 3:], x[..., :3]], -1), call("concat", call("neg", high), low, axis=-1), (2, 6))
row("gates", lambda x: torch.sigmoid(x[:3]) * torch.tanh(x[3:]), call("mul", call("sigmoid", low), call("tanh", high)), (6,))
row("slice of a concat", lambda a, b: torch.cat([a, b], 0)[1:4], ranged(call("concat", 0, 1), 0, 1, 4, 1), (3, 2), (4, 2))
row("slice of a pad", lambda x: F.pad(x, (2, 2))[..., 1:-1], ranged(call("pad", 0, axis=-1, before=2, after=2), -1, 1, -1, 1), (3, 4))
row("pad of a slice", lambda x: F.pad(x[..., 1:], (2, 0)), call("pad", ranged(0, -1, 1, None, 1), axis=-1, before=2), (3, 4))
row("residual of a slice", lambda x: x[1:] + x[:-1] * 2, call("add", ranged(0, 0, 1, None, 1), call("mul", ranged(0, 0, None, -1, 1), ["number", 2.0])), (5, 3))
row("transpose of a slice", lambda x: x[:, 1:].permute(1, 2, 0), call("transpose", ranged(0, 1, 1, None, 1), axes=[1, 2, 0]), (2, 4, 3))
row("reshape of a slice", lambda x: x[:, 1:3].reshape(4, 3), call("reshape", ranged(0, 1, 1, 3, 1), shape=[4, 3]), (2, 4, 3))
row("reshape of a transpose", lambda x: x.permute(1, 0).reshape(2, 6), call("reshape", call("transpose", 0), shape=[2, 6]), (3, 4))
row("concat of a transpose", lambda x: torch.cat([x.permute(1, 0), x], 1), call("concat", call("transpose", 0), 0, axis=1), (3, 3))
row("concat of concats", lambda a, b: torch.cat([torch.cat([a, b], 1), torch.cat([b, a], 1)], 0),
    call("concat", call("concat", 0, 1, axis=1), call("concat", 1, 0, axis=1)), (2, 3), (2, 1))
row("overlapping slices", lambda x: torch.cat([x[:-1], x[1:], x[1:2]]), call("concat", ranged(0, 0, None, -1, 1), ranged(0, 0, 1, None, 1), ranged(0, 0, 1, 2, 1)), (5, 2))

# Values that are not finite, and signs of zeros.
for tree, f in [(ranged(0, 1, 1, None, 2), lambda x: x[:, 1::2]), (call("pad", 0, axis=0, before=1, value=-0.0), lambda x: F.pad(x, (0, 0, 1, 0), value=-0.0)),
                (call("concat", 0, 0, axis=1), lambda x: torch.cat([x, x], 1)), (call("stack", 0, 0, axis=2), lambda x: torch.stack([x, x], 2)),
                (call("transpose", 0), lambda x: x.t()), (call("reshape", 0, shape=[9, 3]), lambda x: x.reshape(9, 3)),
                (call("unsqueeze", 0, axis=1), lambda x: x.unsqueeze(1))]:
    row(tree[0], f, tree, (3, 9), domains=[special], special=True)

# Copies: flips, rolls, repetitions, parts, modes of padding.
for shape in SHAPES[1:-1]:
    for axis in range(len(shape)):
        n, at = shape[axis], either(axis, len(shape))
        row("flip", lambda x: x.flip(axis), call("flip", 0, axis=at), shape)
        shift = rnd.choice([1, -1, n, n - 1, -2 * n - 1, 7])
        row("roll", lambda x: x.roll(shift, axis), call("roll", 0, shift=shift, axis=at), shape)
        times = rnd.choice([1, 2, 3])
        row("repeat", lambda x: torch.cat([x] * times, axis), call("repeat", 0, times=times, axis=at), shape)
        row("repeat_interleave", lambda x: x.repeat_interleave(times, axis), call("repeat_interleave", 0, times=times, axis=at), shape)
        end = rnd.randrange(axis, len(shape))
        row("flatten", lambda x: x.flatten(axis, end), call("flatten", 0, **{"from": at, "to": either(end, len(shape))}), shape)
        if len(shape) < 3:
            widths = (n - 1, min(n - 1, 2)), (min(2, n), n), (1, 2)
            for mode, (before, after) in zip(("reflect", "circular", "replicate"), widths):
                # PyTorch pads the last axis of two or three.
                f = lambda x: F.pad(x.movedim(axis, -1).reshape(1, -1, n), (before, after), mode=mode)
                g_ = lambda x: f(x).reshape(*x.movedim(axis, -1).shape[:-1], -1).movedim(-1, axis)
                row("pad", g_, call("pad", 0, axis=at, before=before, after=after, mode=mode), shape)
row("flatten", lambda x: x.flatten(), call("flatten", 0), (2, 3, 4))
row("flip", lambda x: x.flip(0, 2), call("flip", call("flip", 0, axis=0), axis=-1), (2, 3, 4))
row("range backwards", lambda x: x.flip(0)[::2], ranged(0, 0, None, None, -2), (7, 2))

# Parts of an axis: each in a case of its own.
for axis, chunks in [(0, 2), (1, 3), (-1, 5), (0, 7), (1, 1)]:
    for i, _ in enumerate(torch.empty(5, 7).chunk(chunks, axis)):
        row("chunk", lambda x: x.chunk(chunks, axis)[i], call("value", i, call("chunk", 0, chunks=chunks, axis=axis)), (5, 7))
for axis, sizes in [(0, [1, 4]), (1, [2, 3, 2]), (-1, [7]), (0, [1, 1, 1, 1, 1])]:
    for i in range(len(sizes)):
        row("split", lambda x: x.split(sizes, axis)[i], call("value", i, call("split", 0, sizes=sizes, axis=axis)), (5, 7))

# Element-wise functions: values and options, then what kinks, ties and special values make of them.
fraction = lambda *s: rounded(torch.rand(s, generator=g) * 1.96 - 0.98)
above = lambda *s: rounded(1.05 + torch.rand(s, generator=g) * 5)
unit = lambda *s: rounded(torch.rand(s, generator=g) * 0.9 + 0.05)
# PyTorch's slope of sinc cancels near 0.
beside_0 = lambda *s: rounded((torch.rand(s, generator=g) * 3 + 0.5) * (torch.randint(0, 2, s, generator=g) * 2 - 1))
halves_of = lambda *s: torch.randint(-7, 8, s, generator=g).float() / 2
ELEMENTWISE = {
    "exp2": wide, "log2": positive, "log10": positive, "log1p": positive, "sinh": wide, "cosh": wide, "asinh": wide, "acosh": above, "atanh": fraction,
    "asin": fraction, "acos": fraction, "atan": wide, "tan": fraction, "sinc": beside_0, "logit": unit, "sign": ties, "floor": wide, "ceil": wide, "trunc": wide,
    "round": halves_of, "frac": wide, "isnan": special, "isinf": special, "isfinite": special, "logical_not": ties, "erfc": wide,
    "relu6": wide, "hardswish": wide, "celu": wide, "softshrink": wide, "hardshrink": wide, "tanhshrink": wide,
}
for name, domain in ELEMENTWISE.items():
    f = getattr(torch, name, None) or getattr(F, name)
    row(name, f, call(name, 0), (2, 7), domains=[domain])
for name, f, domain, options in [
    ("celu", F.celu, wide, {"alpha": 0.5}), ("softshrink", F.softshrink, ties, {"lambd": 1.0}), ("hardshrink", F.hardshrink, ties, {"lambd": 1.0}),
    ("threshold", F.threshold, ties, {"threshold": 1.0, "value": -3.0}), ("logit", torch.logit, unit, {"eps": 0.25}),
]:
    row(name, lambda x: f(x, **options), call(name, 0, **options), (2, 9), domains=[domain])
far = lambda *s: rounded(torch.randn(s, generator=g) * 40)
BINARY = {
    "atan2": normal, "hypot": normal, "logaddexp": far, "remainder": wide, "fmod": wide, "floor_divide": wide, "greater": ties, "greater_equal": ties, "less": ties,
    "less_equal": ties, "equal": ties, "not_equal": ties, "logical_and": ties, "logical_or": ties, "logical_xor": ties,
}
for name, domain in BINARY.items():
    f = {"equal": torch.eq}.get(name) or getattr(torch, name)
    for shapes in [((2, 5), (2, 5)), ((2, 1, 3), (2, 1))]:
        row(name, f, call(name, 0, 1), *shapes, domains=[domain])
for name in ("greater", "less_equal", "equal", "not_equal"):
    f = {"equal": torch.eq}.get(name) or getattr(torch, name)
    row(name, lambda x: f(x, x), call(name, 0, call("reshape", 0, shape=[7])), (7,), domains=[special], special=True)
truth = lambda *s: torch.randint(0, 2, s, generator=g).float()
for shapes in [((3, 4), (3, 4), (3, 4)), ((3, 1), (4,), (3, 4)), ((4,), (2, 4), (2, 1))]:
    row("where", lambda c, a, b: torch.where(c != 0, a, b), call("where", 0, 1, 2), *shapes, domains=[truth, normal, normal])
row("masked_fill", lambda x, m: x.masked_fill(m != 0, -2.5), call("masked_fill", 0, 1, value=-2.5), (3, 4), (3, 4), domains=[normal, truth])
for shapes in [((3, 4), (3, 4), (3, 4)), ((4,), (3, 1), (3, 4))]:
    row("lerp", torch.lerp, call("lerp", 0, 1, 2), *shapes)
    row("addcmul", torch.addcmul, call("addcmul", 0, 1, 2), *shapes)
    row("addcmul", lambda x, a, b: torch.addcmul(x, a, b, value=-0.5), call("addcmul", 0, 1, 2, value=-0.5), *shapes)
    row("addcdiv", lambda x, a, b: torch.addcdiv(x, a, b, value=2.5), call("addcdiv", 0, 1, 2, value=2.5), *shapes, domains=[normal, normal, positive])

# Indices: one class for each position, rows and columns of a table.
for below, shape in [(5, ()), (3, (4,)), (1, (2, 2)), (17, (3,))]:
    row("one_hot", lambda i: F.one_hot(i, below).float(), call("one_hot", 0, num_classes=below), shape, domains=[index(below)])
for shape, axis, taken in [((5,), 0, (3,)), ((1,), 0, (4,)), ((3, 7), 1, (3, 2)), ((3, 7), 0, (4, 7)), ((2, 3, 4), 1, (2, 5, 4)), ((2, 3, 4), -1, (2, 3, 1))]:
    row("gather", lambda x, i: x.gather(axis, i), call("gather", 0, 1, axis=axis), shape, taken, domains=[normal, index(shape[axis])],
        masks=[[True, True]])
for shape, axis in [((5,), 0), ((4, 3), 0), ((2, 5), -1), ((2, 3, 4), 1)]:
    row("index_select", lambda x, i: x.index_select(axis, i), call("index_select", 0, 1, axis=axis), shape, (4,), domains=[normal, index(shape[axis])],
        masks=[[False, True], [True, True]])
for shape, axis in [((7,), 0), ((3, 4), 1), ((3, 1), 0), ((2, 5, 3), 1)]:
    row("argmax", lambda x: x.argmax(axis).float(), call("argmax", 0, axis=axis), shape)
    row("argmin", lambda x: x.argmin(axis).float(), call("argmin", 0, axis=axis), shape, domains=[ties])
row("argmax", lambda x: x.argmax().float(), call("argmax", 0), (3, 4))
row("argmax", lambda x: x.argmax(1).float(), call("argmax", 0, axis=1), (3, 4), domains=[special], special=True)

write(OUT / "arrays.json", SEED, cases)
if missing:
    print("not in docs/language.md:", ", ".join(sorted(missing)))
