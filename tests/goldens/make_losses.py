"""Losses with all their options, from PyTorch, in the format of make_goldens.py.

Usage: python make_losses.py [SEED] [OUTDIR]   (needs torch)

What differs from ops.json:
- classes are on the last axis of scores, and not on the second as in PyTorch;
- "reduction" may be "none": a value for each element or example;
- "k", "axis" and the like are attributes of the language.
"""
import json, math, random, sys
from pathlib import Path
import torch
import torch.nn.functional as F

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 20
OUT = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent
rnd = random.Random(SEED)
g = torch.Generator().manual_seed(2000 + SEED)
R = lambda *s: torch.randn(*s, generator=g)
P = lambda *s: torch.rand(*s, generator=g) + 0.25
cases = []


def t(x):
    x = x.detach().cpu()
    data = x.flatten().tolist()
    if x.dtype in (torch.float32, torch.float64):
        data = [float(f"{v:.9g}") if math.isfinite(v) else str(v) for v in data]
    return {"shape": list(x.shape), "data": data}


def case(name, f, *inputs, grads=None, **attrs):
    """`grads`: the inputs with a gradient; default: all reals."""
    if grads is None:
        grads = [x.is_floating_point() for x in inputs]
    xs = [x.clone().requires_grad_(grad) for x, grad in zip(inputs, grads)]
    y = f(*xs)
    up = torch.randn(y.shape, generator=g)
    y.backward(up)
    cases.append({"op": name, "attrs": attrs, "inputs": [t(x) for x in xs], "output": t(y), "upstream": t(up),
                  "grads": [t(x.grad) if x.grad is not None else None for x in xs]})


def classes_last(f):
    """A function of scores with classes on axis 1 as one with classes on the last."""
    return lambda x, y, **kw: f(x.movedim(-1, 1), y.movedim(-1, 1) if y.is_floating_point() and x.dim() == y.dim() else y, **kw)


def numbers(n):
    return [round(rnd.uniform(0.1, 2.0), 3) for _ in range(n)]


REDUCTIONS = ("none", "mean", "sum")
sizes = lambda: rnd.choice([1, 2, 3, 5, 7, 8, 15, 16, 17, 33])
for _ in range(2):
    m, n = sizes(), sizes() + 1
    for outer in ((m,), (m, 3)):
        logits = R(*outer, n) * 2
        y = torch.randint(0, n, outer, generator=g)
        w = numbers(n)
        ignored = int(y.flatten()[0])
        options = [dict(), dict(weight=w), dict(label_smoothing=0.1), dict(ignore_index=ignored), dict(weight=w, label_smoothing=0.2),
                   dict(weight=w, ignore_index=ignored), dict(label_smoothing=0.3, ignore_index=ignored),
                   dict(weight=w, label_smoothing=0.15, ignore_index=ignored)]
        for kw in options:
            torch_kw = {**kw, **({"weight": torch.tensor(kw["weight"])} if "weight" in kw else {})}
            for red in REDUCTIONS:
                case("cross_entropy", lambda x, y: classes_last(F.cross_entropy)(x, y, reduction=red, **torch_kw), logits, y, reduction=red, **kw)
                if "label_smoothing" not in kw:
                    case("nll_loss", lambda x, y: classes_last(F.nll_loss)(x.log_softmax(-1), y, reduction=red, **torch_kw), logits, y,
                         reduction=red, of="log_softmax(input)", **kw)
        for kw in [dict(), dict(weight=w), dict(label_smoothing=0.1), dict(weight=w, label_smoothing=0.2)]:
            torch_kw = {**kw, **({"weight": torch.tensor(kw["weight"])} if "weight" in kw else {})}
            q = R(*outer, n).softmax(-1)
            for red in REDUCTIONS:
                # The mean is over examples and positions, as for classes: PyTorch divides by the same.
                case("cross_entropy", lambda x, y: classes_last(F.cross_entropy)(x, y, reduction=red, **torch_kw), logits, q, reduction=red, **kw)
    S = (m, n)
    # Every example ignored: NaN, without gradient.
    every = torch.full((m,), n - 1)
    for kw in (dict(), dict(label_smoothing=0.1)):
        case("cross_entropy", lambda x, y: F.cross_entropy(x, y, ignore_index=n - 1, **kw), R(*S), every, reduction="mean", ignore_index=n - 1, **kw)
    case("nll_loss", lambda x, y: F.nll_loss(x, y, ignore_index=n - 1), R(*S), every, reduction="mean", ignore_index=n - 1)
    # Every target of weight 0: all NaN.
    none = [1.0] * (n - 1) + [0.0]
    case("cross_entropy", lambda x, y: F.cross_entropy(x, y, weight=torch.tensor(none)), R(*S), every, reduction="mean", weight=none)

    binary = torch.randint(0, 2, S, generator=g).float()
    sign = binary * 2 - 1
    w = numbers(n)
    y = torch.randint(0, n, (m,), generator=g)
    row_sign = torch.randint(0, 2, (m,), generator=g).float() * 2 - 1
    counts = torch.poisson(P(*S) * 3, generator=g)
    for red in REDUCTIONS:
        case("l1_loss", lambda a, b: F.l1_loss(a, b, reduction=red), R(*S), R(*S), reduction=red)
        for beta in (1.0, 0.25, 0.0):
            case("smooth_l1_loss", lambda a, b: F.smooth_l1_loss(a, b, reduction=red, beta=beta), R(*S), R(*S), reduction=red, beta=beta)
        for delta in (1.0, 0.7):
            case("huber_loss", lambda a, b: F.huber_loss(a, b, reduction=red, delta=delta), R(*S), R(*S), reduction=red, delta=delta)
        case("binary_cross_entropy_with_logits", lambda x, y: F.binary_cross_entropy_with_logits(x, y, reduction=red, pos_weight=torch.tensor(w)),
             R(*S) * 3, torch.rand(S, generator=g), reduction=red, pos_weight=w)
        case("binary_cross_entropy_with_logits", lambda x, y: F.binary_cross_entropy_with_logits(x, y, reduction=red, pos_weight=torch.tensor(2.5)),
             R(*S) * 3, binary, reduction=red, pos_weight=2.5)
        for margin in (1.0, 0.4):
            case("hinge_embedding_loss", lambda x, y: F.hinge_embedding_loss(x, y, margin=margin, reduction=red), R(*S), sign,
                 grads=[True, False], reduction=red, margin=margin)
            for p in (1, 2):
                case("multi_margin_loss", lambda x, y: F.multi_margin_loss(x, y, p=p, margin=margin, reduction=red), R(*S), y,
                     reduction=red, p=p, margin=margin)
        case("hinge_loss", lambda x, y: {"none": lambda v: v, "mean": torch.mean, "sum": torch.sum}[red]((1 - y * x).clamp_min(0)), R(*S), sign, reduction=red)
        for margin in (0.0, 0.3):
            case("cosine_embedding_loss", lambda a, b, y: F.cosine_embedding_loss(a, b, y, margin=margin, reduction=red), R(*S), R(*S), row_sign,
                 grads=[True, True, False], reduction=red, margin=margin)
        for kw in (dict(), dict(full=True), dict(log_input=False), dict(log_input=False, full=True, eps=1e-4)):
            x = P(*S) if kw.get("log_input") is False else R(*S)
            case("poisson_nll_loss", lambda x, y: F.poisson_nll_loss(x, y, reduction=red, **kw), x, counts, grads=[True, False], reduction=red, **kw)
        for kw in (dict(), dict(full=True, eps=0.5)):
            case("gaussian_nll_loss", lambda x, y, v: F.gaussian_nll_loss(x, y, v, reduction=red, **kw), R(*S), R(*S), P(*S), reduction=red, **kw)
    q = R(*S).softmax(1)
    q[0, 0] = 0.0
    for red in ("batchmean", "sum"):
        case("kl_div", lambda x, y: F.kl_div(x, y, reduction=red), R(*S).log_softmax(1), q, grads=[True, False], reduction=red)

    # Reductions over an axis, and over the example.
    for name, f in {"var": torch.var, "std": torch.std}.items():
        for unbiased in (True, False):
            case(name, lambda x: f(x, 1, unbiased=unbiased), R(m, n), dim=1, unbiased=unbiased)
            case(name, lambda x: f(x, (1, 2), unbiased=unbiased), R(m, n, 3), unbiased=unbiased, batched=True)
        case(name, lambda x: f(x, 1), R(m, 1), dim=1)
    case("std", lambda x: torch.std(x, 1), torch.ones(m, n), dim=1)
    case("amin", lambda x: torch.amin(x, 1), torch.randint(0, 3, (m, n), generator=g).float(), dim=1)

# At the kinks of losses with a margin, the gradient is 0.
x = torch.tensor([[1.0, 0.25, 0.999, 1.001, 0.0]])
away = -torch.ones_like(x)
for margin in (1.0, 0.25, 0.0):
    case("hinge_embedding_loss", lambda x, y: F.hinge_embedding_loss(x, y, margin=margin, reduction="none"), x, away,
         grads=[True, False], reduction="none", margin=margin)
a, b = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 2.0], [0.0, 3.0], [2.0, 1.0]])
for sign in (-1.0, 1.0):
    case("cosine_embedding_loss", lambda a, b, y: F.cosine_embedding_loss(a, b, y, reduction="none"), a, b, torch.full((3,), sign),
         grads=[True, True, False], reduction="none")

# The gradient of maximum and minimum for equal operands and for NaN.
a = torch.tensor([[math.nan, 1.0, math.nan, 2.0, 3.0, 0.0]])
b = torch.tensor([[1.0, math.nan, math.nan, 2.0, 1.0, 1.0]])
for name, f in {"maximum": torch.maximum, "minimum": torch.minimum}.items():
    case(name, f, a, b)

(OUT / "losses.json").write_text(json.dumps({"made_with": f"torch {torch.__version__.split('+')[0]}", "seed": SEED, "cases": cases}, separators=(",", ":")))
print("losses", len(cases), "cases")
