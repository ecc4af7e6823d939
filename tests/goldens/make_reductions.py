"""Reductions and products with all their options, from PyTorch, in the format of make_goldens.py.

Usage: python make_reductions.py [SEED] [OUTDIR]   (needs torch)

What differs from ops.json:
- "dim" may be a list; "whole" cases have no batch, "batched" ones have one on the first axis;
- an equation of einsum is the language's: without the letter of the batch;
- an infinite "p" is "inf" or "-inf".
"""
import json, math, random, sys
from pathlib import Path
import torch
import torch.nn.functional as F

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 20
OUT = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent
rnd = random.Random(SEED)
g = torch.Generator().manual_seed(3000 + SEED)
R = lambda *s: torch.randn(*s, generator=g)
P = lambda *s: torch.rand(*s, generator=g) + 0.25
cases = []


def t(x):
    x = x.detach().cpu()
    data = x.flatten().tolist()
    if x.dtype in (torch.float32, torch.float64):
        data = [float(f"{v:.9g}") if math.isfinite(v) else str(v) for v in data]
    return {"shape": list(x.shape), "data": data}


def case(name, f, *inputs, grad=True, **attrs):
    """Computed in f64, and rounded to f32."""
    xs = [x.double().requires_grad_(grad) for x in inputs]
    y = f(*xs)
    c = {"op": name, "attrs": attrs, "inputs": [t(x.float()) for x in xs], "output": t(y.float())}
    if grad:
        up = torch.randn(y.shape, generator=g)
        y.backward(up.double())
        c["upstream"], c["grads"] = t(up), [t(x.grad.float()) if x.grad is not None else None for x in xs]
    cases.append(c)


sizes = lambda: rnd.choice([1, 2, 3, 5, 7, 8, 15, 16])
text = lambda p: str(p) if math.isinf(p) else p
for _ in range(2):
    m, n = rnd.choice([2, 3, 4, 5]), sizes() + 1
    ties = lambda *s: torch.randint(-2, 3, s, generator=g).float()
    for name, f, x in [("sum", torch.sum, R), ("mean", torch.mean, R), ("var", torch.var, R), ("std", torch.std, R),
                       ("amax", torch.amax, ties), ("amin", torch.amin, ties), ("logsumexp", torch.logsumexp, lambda *s: R(*s) * 3)]:
        for dim, keep in [([0, 2], False), ([0, 2], True), ([-1, 1], False), ([2, 1], True), (1, True), (-1, True)]:
            case(name, lambda v: f(v, dim, keepdim=keep), x(m, n, 3), dim=dim, keepdim=keep)
        if name != "logsumexp":
            case(name, lambda v: f(v, (0, 1), keepdim=True), x(m, n), keepdim=True, whole=True)
            case(name, lambda v: f(v, (1, 2), keepdim=True), x(m, n, 3), keepdim=True, batched=True)
    for p in (2.0, 1.0, math.inf, -math.inf, 0.0, 3.0, 1.5, 0.5, -1.0):
        for dim, keep in [(1, False), ([0, 2], True), ([1, 2], False)]:
            x = R(m, n, 3) + 0.01
            case("norm", lambda v: torch.linalg.vector_norm(v, p, dim, keep), x, p=text(p), dim=dim, keepdim=keep)
        case("norm", lambda v: torch.linalg.vector_norm(v, p), R(m, n), p=text(p), whole=True)
        # Vectors of zeros, ties, and single zeros.
        x = torch.tensor([[0.0, 0.0, 0.0], [1.0, -1.0, 0.5], [0.0, 2.0, -2.0]])
        case("norm", lambda v: torch.linalg.vector_norm(v, p, 1), x, p=text(p), dim=1)
        if p in (2.0, 1.0, math.inf, 3.0):
            for eps in (1e-12, 1.0):
                case("normalize", lambda v: F.normalize(v, p, 1, eps), R(m, n), p=text(p), dim=1, eps=eps)
            case("normalize", lambda v: F.normalize(v, p, (1, 2)), R(m, n, 2), p=text(p), dim=[1, 2])
            case("normalize", lambda v: F.normalize(v, p, 1), x, p=text(p), dim=1)
    for shapes in [((m, n), (m, n)), ((m, n, 3), (m, n, 3)), ((m, 1, n), (m, 3, n))]:
        for dim in (1, -1) if shapes[0] == shapes[1] else (-1,):
            case("cosine_similarity", lambda a, b: F.cosine_similarity(a, b, dim), R(*shapes[0]), R(*shapes[1]), dim=dim)
    case("cosine_similarity", lambda a, b: F.cosine_similarity(a, b, 1, 0.5), R(m, n) * 0.1, R(m, n), dim=1, eps=0.5)
    case("cosine_similarity", lambda a, b: F.cosine_similarity(a, b, 1), torch.zeros(2, 3), R(2, 3), dim=1)
    for zeros in range(3):
        x = P(m, n + 1)
        for i in range(zeros):
            x[:, i * n] = 0.0
        case("prod", lambda v: torch.prod(v, 1), x, dim=1)
        case("prod", lambda v: torch.prod(v, 1, keepdim=True), x, dim=1, keepdim=True)
        case("prod", lambda v: torch.prod(v), x[:2, :5], whole=True)
        case("cumprod", lambda v: torch.cumprod(v, 1), x, dim=1)
        case("cumprod", lambda v: torch.cumprod(v, -1), x[:3, :4].reshape(3, 2, -1), dim=-1)
    case("cumsum", lambda v: torch.cumsum(v, 1), R(m, n), dim=1)
    case("cumsum", lambda v: torch.cumsum(v, 1), R(m, n, 3), dim=1)
    case("cumsum", lambda v: torch.cumsum(v, 0), R(n, 2), dim=0)
    for name, f in {"any": torch.any, "all": torch.all}.items():
        for dim, keep in [(1, False), (1, True)]:
            x = torch.randint(0, 2, (m, 3), generator=g).float()
            x[0, 0] = math.nan
            case(name, lambda v: f(v, dim, keepdim=keep).double(), x, grad=False, dim=dim, keepdim=keep)
        case(name, lambda v: f(v).double(), torch.ones(2, 3), grad=False, whole=True)
        case(name, lambda v: f(v).double(), torch.zeros(2, 3), grad=False, whole=True)

    k = sizes()
    # "bmm": the batch of both operands; "matmul": the second has none.
    for a, b in [((2, m, k), (k, n)), ((2, 3, m, k), (2, 3, k, n)), ((2, 3, m, k), (2, 1, k, n)), ((2, 1, m, k), (2, 3, k, n)),
                 ((2, 3, 1, m, k), (2, 1, 4, k, n))]:
        if len(b) == len(a):
            case("bmm", torch.matmul, R(*a), R(*b))
        case("matmul", torch.matmul, R(*a), R(*b), whole=True)
    for a, b in [((m, 3, 2, k), (3, k, n)), ((m, 3, k), (k,)), ((m, 1, 3, k), (2, k, n))]:
        case("matmul", torch.matmul, R(*a), R(*b))
        case("matmul", torch.matmul, R(*a), R(*b), whole=True)
    for a, b in [((k,), (k,)), ((k,), (k, n)), ((k,), (2, 3, k, n)), ((2, 3, m, k), (k,)), ((m, k), (3, k, n))]:
        case("matmul", torch.matmul, R(*a), R(*b), whole=True)

    # The equation of PyTorch, that of the language, shapes of one example, which operands have a batch.
    for torchs, ours, shapes in [
        ("ij,jk->ik", None, [(m, k), (k, n)]), ("bij,bjk->bik", "ij,jk->ik", [(2, m, k), (2, k, n)]), ("bij,jk->bik", "ij,jk->ik", [(2, m, k), (k, n)]),
        ("bqhd,bkhd->bhqk", "qhd,khd->hqk", [(2, m, 3, k), (2, n, 3, k)]), ("bhqk,bkhd->bqhd", "hqk,khd->qhd", [(2, 3, m, n), (2, n, 3, k)]),
        ("i,j->ij", None, [(m,), (n,)]), ("bi,bj->bij", "i,j->ij", [(2, m), (2, n)]), ("ij->ji", None, [(m, n)]), ("bij->bji", "ij->ji", [(2, m, n)]),
        ("ij->", None, [(m, n)]), ("bij->bj", "ij->j", [(2, m, n)]), ("ii->i", None, [(n, n)]), ("ii", None, [(n, n)]), ("bii->bi", "ii->i", [(2, n, n)]),
        ("iji->j", None, [(n, m, n)]), ("ij,ij->i", None, [(m, n), (m, n)]), ("bij,bij->b", "ij,ij->", [(2, m, n), (2, m, n)]),
        ("i,ijk,k->j", None, [(m,), (m, n, k), (k,)]), ("bi,oij,j->bo", "i,oij,j->o", [(2, m), (3, m, n), (n,)]), ("ij,jk", None, [(m, k), (k, n)]),
        ("zY,Yx", None, [(m, k), (k, n)]), ("ij,jk,kl->il", None, [(m, k), (k, n), (n, 2)]), ("ij,k->j", None, [(m, n), (k,)]), ("ij,i,j->", None, [(m, n), (m,), (n,)]),
    ]:
        f = lambda *x: torch.einsum(torchs, *x)
        inputs = [R(*s) for s in shapes]
        case("einsum", f, *inputs, equation=torchs, whole=True)
        if ours:
            weights = any(not term.startswith("b") for term in torchs.split("->")[0].split(","))
            case("einsum_weight" if weights else "einsum", f, *inputs, equation=ours, batched=True)

(OUT / "reductions.json").write_text(json.dumps({"made_with": f"torch {torch.__version__.split('+')[0]}", "seed": SEED, "cases": cases}, separators=(",", ":")))
print("reductions", len(cases), "cases")
