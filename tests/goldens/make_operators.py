"""Sample inputs of PyTorch's operator database, as calls of the language.

Usage: python make_operators.py [OUTDIR] [CASES]   (needs torch, numpy and expecttest)

`op_db` lists the operators that PyTorch tests, with inputs for each. This script takes the float32
inputs of operators on the CPU, translates those that the language can say (RULES), and writes the
smallest CASES (default 3; 0: all, also alike ones) of each operator, with PyTorch's results and gradients, into
operators.json: the form of a case is in common.py. It prints how many operators and samples are in
scope, and why the others are not. Samples of an operator that say the same call are one.
"""
import collections, math, re, sys, warnings
from pathlib import Path
import torch
from torch.testing._internal.common_methods_invocations import op_db
from common import LANGUAGE, call, documented, functions, gradients, rounded, tensor, write

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
MOST = int(sys.argv[2]) if len(sys.argv) > 2 else 3
SEED = 20
# Operators of the database also have samples of thousands of elements.
LARGEST = 2500
# Reasons with as many operators at most are printed with their names.
LISTED = 12
OTHER = "functions that bilro lacks"
KNOWN = documented()
TABLES = "\n".join(line.split(" | ")[0] for line in LANGUAGE.read_text().splitlines() if line.startswith("| `"))
SIGNATURES = {name: arguments for name, arguments in re.findall(r"`([a-z_0-9]+)\(([^`]*)\)`", TABLES)}
warnings.simplefilter("ignore")


class Skip(Exception):
    """Why a sample is not in scope."""


class Operands:
    """The tensors of a sample that the call takes."""

    def __init__(self):
        self.tensors, self.below = [], []

    def __call__(self, x, below=None, condition=False):
        """An operand: a tensor, or a number. `below` for indices; `condition` for values that are 0 or 1."""
        if isinstance(x, bool) or isinstance(x, complex):
            raise Skip("operands that are complex numbers or booleans")
        if isinstance(x, (int, float)):
            return call("number", float(x))
        if x.dtype == torch.bool and condition:
            x = x.float()
        elif below is None and x.dtype != torch.float32:
            raise Skip("operands that are integers, booleans or of another precision")
        if x.numel() == 0:
            raise Skip("arrays without elements")
        if below is not None and (x.min() < 0 or x.max() >= below):
            raise Skip("negative indices")
        for i, other in enumerate(self.tensors):
            if other is x:
                return i
        self.tensors.append(x)
        self.below.append(below)
        return len(self.tensors) - 1


RULES = {}


def rule(*names):
    def add(f):
        for name in names:
            assert name not in RULES, name
            RULES[name] = f
        return f
    return add


def given(**attributes):
    return {name: value for name, value in attributes.items() if value is not None}


def ranged(x, axis, start, stop, step=1):
    return call("slice", x, axis=axis, **given(start=start or None, stop=stop, step=step if step != 1 else None))


def same(language=None, **names):
    """Operands, then attributes: PyTorch's names as keys, the language's as values."""
    def translate(o, *args, **kwargs):
        operands = [o(x) for x in args if isinstance(x, torch.Tensor) or not names]
        values = [x for x in args if names and not isinstance(x, torch.Tensor)]
        attributes = {}
        for name, value in [*zip(names, values), *kwargs.items()]:
            if name == "inplace" or value is None:
                continue
            if name not in names:
                raise Skip(f"the option `{name}`")
            attributes[names[name]] = value
        if len(values) > len(names):
            raise Skip("further operands")
        return call(translate.language, *operands, **attributes)
    translate.language = language
    return translate


for name in """abs exp log sqrt square neg expm1 erf erfc reciprocal rsqrt sin cos tan sinh cosh asinh acosh atanh asin acos atan
        sigmoid tanh sign floor ceil trunc frac exp2 log2 log10 log1p sinc erfinv isnan isinf isfinite
        maximum minimum atan2 hypot logaddexp
        gt ge lt le eq ne logical_and logical_or logical_xor logical_not round relu""".split():
    RULES[name] = same(name)
for name, language in {"special.expm1": "expm1", "special.erf": "erf", "mm": "matmul", "bmm": "matmul", "mv": "matmul", "dot": "matmul",
                       "vdot": "matmul", "sgn": "sign"}.items():
    RULES[name] = same(language)


@rule("matmul", "__rmatmul__")
def _(o, a, b, *, function):
    a, b = (b, a) if function == "__rmatmul__" else (a, b)
    return call("matmul", o(a), o(b))


@rule("linalg.multi_dot")
def _(o, xs):
    tree = o(xs[0])
    for x in xs[1:]:
        tree = call("matmul", tree, o(x))
    return tree


@rule("linalg.vecdot")
def _(o, a, b, dim=-1):
    return call("sum", call("mul", o(a), o(b)), axis=dim)


@rule("trace")
def _(o, x):
    if x.shape[0] != x.shape[1]:
        raise Skip("traces of matrices that are not square")
    return call("einsum", o(x), equation="ii")


@rule("tensordot")
def _(o, a, b, dims=2, out=None):
    if isinstance(dims, int):
        dims = list(range(a.dim() - dims, a.dim())), list(range(dims))
    left, right = (list(map(chr, range(97 + 10 * i, 97 + 10 * i + x.dim()))) for i, x in enumerate((a, b)))
    for i, j in zip(*dims):
        right[j] = left[i]
    result = [x for i, x in enumerate(left) if i not in [d % a.dim() for d in dims[0]]] + [x for j, x in enumerate(right) if j not in [d % b.dim() for d in dims[1]]]
    return call("einsum", o(a), o(b), equation=f"{''.join(left)},{''.join(right)}->{''.join(result)}")


@rule("outer", "ger")
def _(o, a, b):
    return call("mul", call("unsqueeze", o(a), axis=1), o(b))


@rule("inner")
def _(o, a, b):
    if b.dim() > 2 or a.dim() == 0:
        raise Skip("operands of this rank")
    return call("matmul", o(a), call("transpose", o(b)) if b.dim() == 2 else o(b))


@rule("positive", "clone", "contiguous")
def _(o, x, memory_format=None):
    return call("mul", o(x), call("number", 1.0))


@rule("deg2rad", "rad2deg")
def _(o, x, *, function):
    return call("mul", o(x), call("number", math.pi / 180 if function == "deg2rad" else 180 / math.pi))


@rule("logit")
def _(o, x, eps=None):
    if eps is not None and eps >= 0.5:
        raise Skip("`logit` with an `eps` of 0.5 or more, which the language refuses")
    return call("logit", o(x), **given(eps=eps))


ACTIVATIONS = {
    "relu6": {}, "selu": {}, "silu": {}, "mish": {}, "logsigmoid": {}, "softsign": {}, "hardsigmoid": {}, "hardswish": {}, "tanhshrink": {},
    "elu": {"alpha": "alpha"}, "celu": {"alpha": "alpha"}, "gelu": {"approximate": "approximate"}, "softplus": {"beta": "beta", "threshold": "threshold"},
    "leaky_relu": {"negative_slope": "negative_slope"}, "hardtanh": {"min_val": "min", "max_val": "max"}, "hardshrink": {"lambd": "lambd"},
    "softshrink": {"lambd": "lambd"}, "threshold": {"threshold": "threshold", "value": "value"}, "relu": {},
}
for name, names in ACTIVATIONS.items():
    RULES[f"nn.functional.{name}"] = same(name, **names)
RULES["hardshrink"] = RULES["nn.functional.hardshrink"]


@rule("nn.functional.prelu")
def _(o, x, weight):
    # One slope for each index of axis 1, as of the language's first axis of an example.
    if weight.numel() > 1:
        weight_of = call("unsqueeze", o(weight), axis=1) if x.dim() == 3 else o(weight)
        if x.dim() > 3 or x.dim() < 2:
            raise Skip("operands of this rank")
        return call("prelu", o(x), weight_of)
    return call("prelu", o(x), o(weight))


@rule("nn.functional.glu")
def _(o, x, dim=-1):
    half = x.shape[dim] // 2
    return call("mul", ranged(o(x), dim, None, half), call("sigmoid", ranged(o(x), dim, half, None)))


@rule("nn.functional.softmin", "nn.functional.softmin.with_dtype")
def _(o, x, dim=None, dtype=None):
    single(dtype)
    axis_of_scalar(x)
    return call("softmax", call("neg", o(x)), axis=implied(x, dim))


def single(dtype):
    if dtype not in (None, torch.float32):
        raise Skip("other precisions")


def implied(x, dim):
    return dim if dim is not None else (0 if x.dim() in (0, 1, 3) else 1)


@rule("softmax", "softmax.with_dtype", "nn.functional.softmax")
def _(o, x, dim=None, dtype=None):
    single(dtype)
    return axis_of_scalar(x) or call("softmax", o(x), axis=implied(x, dim))


@rule("log_softmax", "log_softmax.with_dtype", "nn.functional.log_softmax")
def _(o, x, dim=None, dtype=None):
    single(dtype)
    return axis_of_scalar(x) or call("log_softmax", o(x), axis=implied(x, dim))


def axis_of_scalar(x):
    if isinstance(x, torch.Tensor) and x.dim() == 0:
        raise Skip("axis 0 of an array without axes")


def option(function, name):
    if function in SIGNATURES and not re.search(rf"\b{name}\b", SIGNATURES[function]):
        raise Skip(f"the option `{name}`")


def axes(function, x, dim, keepdim):
    """The attributes of a reduction."""
    attributes = {}
    if dim is not None and not (isinstance(dim, (list, tuple)) and len(dim) == 0):
        axis_of_scalar(x)
        dims = list(dim) if isinstance(dim, (list, tuple)) else [dim]
        if len(dims) > 1:
            option(function, "keepdim")
        attributes["axis"] = dims if len(dims) > 1 else dims[0]
    if keepdim:
        option(function, "keepdim")
        attributes["keepdim"] = True
    return attributes


@rule("sum", "nansum", "mean", "amax", "amin", "prod", "logsumexp", "special.logsumexp")
def _(o, x, dim=None, keepdim=False, dtype=None, *, function):
    single(dtype)
    return call(function, o(x), **axes(function, x, dim, keepdim))


@rule("var", "std", "var.unbiased", "std.unbiased")
def _(o, x, dim=None, unbiased=None, keepdim=False, correction=None, *, function):
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    function = function.split(".")[0]
    if correction is not None and correction not in (0, 1):
        raise Skip("the option `correction`")
    unbiased = unbiased if correction is None else bool(correction)
    return call(function, o(x), **axes(function, x, dim, keepdim), **given(unbiased=unbiased))


@rule("var_mean", "std_mean", "var_mean.unbiased", "std_mean.unbiased")
def _(o, x, dim=None, unbiased=None, keepdim=False, correction=None, *, function):
    name = function.split("_")[0]
    spread = RULES[name](o, x, dim, unbiased, keepdim, correction, function=name)
    return Several([spread, call("mean", o(x), **axes("mean", x, None if isinstance(dim, bool) else dim, keepdim))])


@rule("dist")
def _(o, a, b, p=2):
    return call("norm", call("sub", o(a), o(b)), **given(p=str(p) if math.isinf(p) else p))


@rule("sum_to_size")
def _(o, x, *size):
    size = size[0] if isinstance(size[0], (list, tuple)) else size
    front = x.dim() - len(size)
    over = [i for i in range(x.dim()) if i < front or size[i - front] == 1]
    return call("reshape", call("sum", o(x), axis=over) if over else o(x), shape=list(size))


@rule("nn.functional.rms_norm")
def _(o, x, shape, weight=None, eps=None):
    over = list(range(-len(shape), 0))
    eps = torch.finfo(torch.float32).eps if eps is None else eps
    mean = call("mean", call("square", o(x)), axis=over, keepdim=True)
    y = call("mul", o(x), call("rsqrt", call("add", mean, call("number", eps))))
    return y if weight is None else call("mul", y, o(weight))


@rule("max.reduction_no_dim", "min.reduction_no_dim")
def _(o, x, *, function):
    return call("amax" if "max" in function else "amin", o(x))


@rule("max.reduction_with_dim", "min.reduction_with_dim", "aminmax")
def _(o, x, dim=None, keepdim=False, *, function):
    # The values; the gradient of equal elements goes to one of them, not to all as amax's.
    name = "amin" if "min" in function else "amax"
    return call(name, o(x), **axes(name, x, dim, keepdim))


@rule("max.binary", "min.binary")
def _(o, x, y, *, function):
    return call("maximum" if "max" in function else "minimum", o(x), o(y))


@rule("norm", "linalg.vector_norm")
def _(o, x, ord=2, dim=None, keepdim=False, dtype=None, p=None):
    single(dtype)
    ord = ord if p is None else p
    if isinstance(ord, str):
        raise Skip("norms of matrices")
    ord = str(ord) if math.isinf(ord) else ord
    return call("norm", o(x), **given(p=ord if ord != 2 else None), **axes("norm", x, dim, keepdim))


@rule("nn.functional.normalize")
def _(o, x, p=2.0, dim=1, eps=1e-12):
    return call("normalize", o(x), p=p, axis=dim, eps=eps)


@rule("nn.functional.cosine_similarity")
def _(o, a, b, dim=1, eps=1e-8):
    return call("cosine_similarity", o(a), o(b), axis=dim, eps=eps)


@rule("nn.functional.pairwise_distance")
def _(o, a, b, p=2.0, eps=1e-6, keepdim=False):
    difference = call("add", call("sub", o(a), o(b)), call("number", eps))
    return call("norm", difference, p=p, **axes("norm", a, -1, keepdim))


@rule("cumsum", "cumprod", "logcumsumexp")
def _(o, x, dim, dtype=None, *, function):
    single(dtype)
    axis_of_scalar(x)
    return call(function, o(x), axis=dim)


@rule("argmax", "argmin")
def _(o, x, dim=None, keepdim=False, *, function):
    return call(function, o(x), **axes(function, x, dim, keepdim))


@rule("add", "sub", "rsub", "__radd__", "__rsub__")
def _(o, x, y, alpha=1, *, function):
    x, y = o(x), o(y)
    if function in ("rsub", "__rsub__"):
        return call("sub", y, x if alpha == 1 else call("mul", x, call("number", alpha)))
    name = "add" if "add" in function else "sub"
    return call(name, x, y if alpha == 1 else call("mul", y, call("number", alpha)))


@rule("mul", "__rmul__")
def _(o, x, y):
    return call("mul", o(x), o(y))


@rule("div.no_rounding_mode", "div.floor_rounding", "div.trunc_rounding", "true_divide", "__rdiv__", "floor_divide")
def _(o, x, y, rounding_mode=None, *, function):
    x, y = o(x), o(y)
    if function == "__rdiv__":
        x, y = y, x
    if rounding_mode == "floor" or function == "floor_divide":
        return call("floor_divide", x, y)
    quotient = call("div", x, y)
    return call("trunc", quotient) if rounding_mode == "trunc" else quotient


@rule("remainder", "fmod", "heaviside", "xlogy", "copysign", "fmax", "fmin", "nextafter")
def _(o, x, y, *, function):
    return call(function, o(x), o(y))


@rule("pow", "float_power", "__rpow__")
def _(o, x, y, *, function):
    if function == "__rpow__":
        x, y = y, x
    if isinstance(y, torch.Tensor) or not isinstance(x, torch.Tensor):
        raise Skip("exponents that are arrays")
    if function == "float_power":
        raise Skip("other precisions")
    return call("pow", o(x), exponent=float(y))


@rule("clamp")
def _(o, x, min=None, max=None):
    if isinstance(min, torch.Tensor) or isinstance(max, torch.Tensor):
        # As PyTorch: the smaller of the upper end and the larger of the lower one.
        x = o(x)
        x = x if min is None else call("maximum", x, o(min))
        return x if max is None else call("minimum", x, o(max))
    if min is None or max is None:
        return call("maximum" if max is None else "minimum", o(x), call("number", float(max if min is None else min)))
    return call("clamp", o(x), min=min, max=max)


@rule("clamp_min", "clamp_max")
def _(o, x, y, *, function):
    return call("maximum" if "min" in function else "minimum", o(x), o(y))


@rule("lerp")
def _(o, a, b, weight):
    return call("lerp", o(a), o(b), o(weight))


@rule("addcmul", "addcdiv")
def _(o, x, a, b, value=1, *, function):
    return call(function, o(x), o(a), o(b), **given(value=value if value != 1 else None))


@rule("addmm", "addmm.decomposed", "addmv", "addr", "baddbmm", "addbmm")
def _(o, x, a, b, beta=1, alpha=1, *, function):
    if function == "addr":
        product = call("mul", call("unsqueeze", o(a), axis=1), o(b))
    else:
        product = call("matmul", o(a), o(b))
    if function == "addbmm":
        product = call("sum", product, axis=0)
    product = product if alpha == 1 else call("mul", product, call("number", alpha))
    if beta == 0:
        raise Skip("`beta` 0, which ignores an operand")
    return call("add", o(x) if beta == 1 else call("mul", o(x), call("number", beta)), product)


@rule("nn.functional.linear")
def _(o, x, weight, bias=None):
    if weight.dim() == 1:
        product = call("matmul", o(x), o(weight))
    else:
        product = call("matmul", o(x), call("transpose", o(weight)))
    return product if bias is None else call("add", product, o(bias))


@rule("nn.functional.bilinear")
def _(o, a, b, weight, bias=None):
    if a.dim() != 2:
        raise Skip("operands of this rank")
    product = call("einsum", o(a), o(weight), o(b), equation="bi,oij,bj->bo")
    return product if bias is None else call("add", product, o(bias))


@rule("einsum")
def _(o, operands, equation):
    if "..." in equation or not isinstance(equation, str):
        raise Skip("`einsum` with an ellipsis")
    return call("einsum", *[o(x) for x in operands], equation=equation.replace(" ", ""))


@rule("nn.functional.layer_norm")
def _(o, x, shape, weight=None, bias=None, eps=1e-5):
    if len(shape) != 1:
        raise Skip("`layer_norm` over several axes")
    if weight is None or bias is None:
        raise Skip("`layer_norm` without weight or bias, a layer")
    return call("layer_norm", o(x), o(weight), o(bias), eps=eps)


@rule("nn.functional.embedding")
def _(o, weight, x, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    if padding_idx is not None or max_norm is not None or scale_grad_by_freq or sparse:
        raise Skip("options of `embedding`")
    return call("embedding", o(x, below=weight.shape[0]), o(weight))


@rule("nn.functional.one_hot")
def _(o, x, num_classes=-1):
    if num_classes < 0:
        raise Skip("sizes that depend on values")
    return call("one_hot", o(x, below=num_classes), num_classes=num_classes)


def taken_along(o, x, index, dim):
    if index.dim() != x.dim() or any(a != b for i, (a, b) in enumerate(zip(x.shape, index.shape)) if i != dim % x.dim()):
        raise Skip("indices of another size on other axes")
    return call("gather", o(x), o(index, below=x.shape[dim]), axis=dim)


@rule("gather")
def _(o, x, dim, index, sparse_grad=False):
    axis_of_scalar(x)
    return taken_along(o, x, index, dim)


@rule("take_along_dim")
def _(o, x, index, dim=None):
    if dim is None:
        raise Skip("indices of another size on other axes")
    return taken_along(o, x, index, dim)


@rule("index_select")
def _(o, x, dim, index):
    axis_of_scalar(x)
    return call("index_select", o(x), o(index, below=x.shape[dim]), axis=dim)


@rule("where")
def _(o, a, condition, b):
    return call("where", o(condition, condition=True), o(a), o(b))


@rule("masked_fill")
def _(o, x, mask, value):
    if isinstance(value, torch.Tensor):
        raise Skip("`masked_fill` with an array")
    return call("masked_fill", o(x), o(mask, condition=True), value=value)


@rule("any", "all")
def _(o, x, dim=None, keepdim=False, *, function):
    return call(function, o(x), **axes(function, x, dim, keepdim))


# Shapes.
def reshaped(o, x, shape):
    shape = list(shape)
    if -1 in shape:
        shape[shape.index(-1)] = x.numel() // -math.prod(shape)
    return call("reshape", o(x), shape=shape)


@rule("reshape", "view", "_unsafe_view")
def _(o, x, *shape):
    return reshaped(o, x, shape[0] if isinstance(shape[0], (list, tuple, torch.Size)) else shape)


@rule("reshape_as", "view_as")
def _(o, x, other):
    return reshaped(o, x, other.shape)


@rule("ravel")
def _(o, x):
    return reshaped(o, x, [x.numel()])


@rule("flatten")
def _(o, x, start_dim=0, end_dim=-1):
    if "flatten" in KNOWN and x.dim() > 0:
        return call("flatten", o(x), **{"from": start_dim, "to": end_dim})
    return reshaped(o, x, x.flatten(start_dim, end_dim).shape)


@rule("unflatten")
def _(o, x, dim, sizes):
    return reshaped(o, x, x.unflatten(dim, sizes).shape)


@rule("squeeze", "squeeze.multiple", "squeeze_copy")
def _(o, x, dim=None):
    if x.dim() == 0:
        raise Skip("axis 0 of an array without axes")
    dims = range(x.dim()) if dim is None else [dim] if isinstance(dim, int) else dim
    return call("squeeze", o(x), axes=[d for d in dims if x.shape[d] == 1])


@rule("unsqueeze", "unsqueeze_copy")
def _(o, x, dim):
    return call("unsqueeze", o(x), axis=dim)


@rule("atleast_1d", "atleast_2d", "atleast_3d")
def _(o, x, *others, function):
    if not isinstance(x, torch.Tensor):
        x = x[0]
    return reshaped(o, x, getattr(torch, function)(x).shape)


@rule("permute", "permute_copy")
def _(o, x, dims):
    return call("permute", o(x), axes=list(dims))


@rule("t", "t_copy", "T", "mT", "H", "mH")
def _(o, x, *, function):
    if x.dim() < 2:
        return reshaped(o, x, x.shape)
    order = list(range(x.dim()))
    order[-2:] = order[:-3:-1]
    return call("transpose", o(x), axes=order) if x.dim() > 2 else call("transpose", o(x))


def reordered(o, x, permuted):
    """By PyTorch's own permutation of a shape with different sizes."""
    if x.dim() == 0:
        return reshaped(o, x, [])
    shape = permuted(torch.empty(tuple(range(2, x.dim() + 2)), device="meta")).shape
    return call("transpose", o(x), axes=[n - 2 for n in shape])


@rule("transpose", "transpose_copy", "swapaxes", "movedim", "moveaxis")
def _(o, x, a, b, *, function):
    return reordered(o, x, lambda x: (torch.movedim if "move" in function else torch.transpose)(x, a, b))


# Pieces.
def narrowed(o, x, dim, start, length):
    return ranged(o(x), dim, start, start + length)


@rule("narrow", "narrow_copy")
def _(o, x, dim, start, length):
    axis_of_scalar(x)
    if length == 0:
        raise Skip("arrays without elements")
    start = int(start)
    return narrowed(o, x, dim, start % x.shape[dim], length)


@rule("select")
def _(o, x, dim, index):
    return call("squeeze", narrowed(o, x, dim, index % x.shape[dim], 1), axes=[dim])


@rule("slice")
def _(o, x, dim=0, start=None, stop=None, step=1):
    n = x.shape[dim]
    first, last, step = slice(start, stop, step).indices(n)
    return ranged(o(x), dim, first, last, step)


@rule("__getitem__")
def _(o, x, at):
    tree, axis, dropped = o(x), 0, []
    at = at if isinstance(at, tuple) else (at,)
    if not all(isinstance(i, (int, slice)) for i in at):
        raise Skip("positions that are arrays, `None` or `...`")
    for axis, i in enumerate(at):
        if isinstance(i, int):
            tree = ranged(tree, axis, i % x.shape[axis], i % x.shape[axis] + 1)
            dropped.append(axis)
        else:
            first, last, step = i.indices(x.shape[axis])
            if first >= last:
                raise Skip("arrays without elements")
            if (first, last, step) != (0, x.shape[axis], 1):
                tree = ranged(tree, axis, first, last, step)
    return call("squeeze", tree, axes=dropped) if dropped else tree if tree != 0 else reshaped(o, x, x.shape)


class Several(list):
    """A call for each of several results."""


@rule("chunk", "unsafe_chunk", "split", "unsafe_split", "split.list_args", "split_with_sizes", "split_with_sizes_copy", "tensor_split", "unbind", "unbind_copy", "hsplit", "vsplit", "dsplit")
def _(o, x, *args, dim=None, function, **kwargs):
    name = function.split(".")[0].removesuffix("_copy")
    if dim is not None:
        kwargs["dim"] = dim
    f = getattr(torch, name) if name != "split_with_sizes" else torch.Tensor.split_with_sizes
    axis = kwargs.get("dim", args[-1] if name == "unbind" and args else args[1] if len(args) > 1 else 0)
    axis = {"hsplit": 0 if x.dim() == 1 else 1, "vsplit": 0, "dsplit": 2}.get(name, axis)
    pieces = f(x.detach(), *args, **kwargs)
    if name == "unbind":
        return Several(call("squeeze", narrowed(o, x, axis, i, 1), axes=[axis]) for i in range(len(pieces)))
    sizes = [piece.shape[axis] for piece in pieces]
    if 0 in sizes:
        raise Skip("arrays without elements")
    if "chunk" in name:
        parts = call("chunk", o(x), chunks=args[0], axis=axis)
    else:
        parts = call("split", o(x), sizes=sizes, axis=axis)
    return Several(call("value", i, parts) for i in range(len(sizes)))


@rule("cat", "concat")
def _(o, xs, dim=0):
    if any(x.dim() == 1 and x.numel() == 0 for x in xs):
        raise Skip("arrays without elements")
    return call("concat", *[o(x) for x in xs], axis=dim)


@rule("stack")
def _(o, xs, dim=0):
    return call("stack", *[o(x) for x in xs], axis=dim)


@rule("hstack", "vstack", "dstack", "column_stack", "row_stack")
def _(o, *xs, function):
    xs = xs[0] if len(xs) == 1 and isinstance(xs[0], (list, tuple)) else xs
    at_least = {"hstack": torch.atleast_1d, "vstack": torch.atleast_2d, "dstack": torch.atleast_3d,
                "column_stack": lambda x: x.reshape(-1, 1) if x.dim() < 2 else x}[function]
    axis = {"hstack": 0 if max(xs[0].dim(), 1) == 1 else 1, "vstack": 0, "dstack": 2, "column_stack": 1}[function]
    return call("concat", *[reshaped(o, x, at_least(x).shape) for x in xs], axis=axis)


@rule("block_diag")
def _(o, *xs):
    xs = [torch.atleast_2d(x) for x in xs]
    raise Skip(OTHER)


@rule("constant_pad_nd", "nn.functional.pad.constant", "nn.functional.pad.reflect", "nn.functional.pad.replicate", "nn.functional.pad.circular", "nn.functional.pad.replicate_negative")
def _(o, x, pad, *rest, mode="constant", value=0.0, function):
    if "functional" in function:
        mode, value = [*rest, *[mode, value][len(rest):]]
    else:
        value = rest[0] if rest else value
    tree = o(x)
    if isinstance(value, bool) or any(p < 0 for p in pad):
        raise Skip("padding by negative numbers")
    if mode != "constant":
        option("pad", "mode")
    for i in range(len(pad) // 2):
        before, after = pad[2 * i], pad[2 * i + 1]
        tree = call("pad", tree, axis=x.dim() - 1 - i, before=before, after=after,
                    **(given(value=value or 0.0) if mode == "constant" else {"mode": mode}))
    return tree if tree != 0 else reshaped(o, x, x.shape)


@rule("diff")
def _(o, x, n=1, dim=-1, prepend=None, append=None):
    axis_of_scalar(x)
    pieces = [piece for piece in (prepend, x, append) if piece is not None]
    if sum(piece.shape[dim] for piece in pieces) <= n or n == 0:
        raise Skip("arrays without elements")
    tree = call("concat", *[o(piece) for piece in pieces], axis=dim) if len(pieces) > 1 else o(x)
    for _ in range(n):
        tree = call("sub", ranged(tree, dim, 1, None), ranged(tree, dim, None, -1))
    return tree


@rule("flip", "fliplr", "flipud")
def _(o, x, dims=None, *, function):
    dims = {"fliplr": [1], "flipud": [0]}.get(function, dims)
    tree = o(x)
    for dim in dims if isinstance(dims, (list, tuple)) else [dims]:
        tree = call("flip", tree, axis=dim)
    return tree if tree != 0 else reshaped(o, x, x.shape)


@rule("roll")
def _(o, x, shifts, dims=None):
    if dims is None or isinstance(dims, (list, tuple)) and not dims:
        flattened = call("roll", reshaped(o, x, [x.numel()]), shift=shifts if isinstance(shifts, int) else shifts[0])
        return call("reshape", flattened, shape=list(x.shape))
    tree = o(x)
    shifts, dims = ([v] if isinstance(v, int) else v for v in (shifts, dims))
    for shift, dim in zip(shifts, dims):
        tree = call("roll", tree, shift=shift, axis=dim)
    return tree


@rule("rot90")
def _(o, x, k=1, dims=(0, 1)):
    tree, order = o(x), list(range(x.dim()))
    order[dims[0]], order[dims[1]] = order[dims[1]], order[dims[0]]
    for _ in range(k % 4):
        tree = call("transpose", call("flip", tree, axis=dims[1]), axes=order)
    return tree if tree != 0 else reshaped(o, x, x.shape)


def repeated(o, x, counts):
    """New axes in front, each axis several times."""
    if 0 in counts:
        raise Skip("arrays without elements")
    shape = [1] * (len(counts) - x.dim()) + list(x.shape)
    tree = o(x) if len(shape) == x.dim() else reshaped(o, x, shape)
    for axis, times in enumerate(counts):
        if times != 1:
            tree = call("repeat", tree, times=times, axis=axis)
    return tree if isinstance(tree, list) else reshaped(o, x, x.shape)


@rule("repeat", "tile")
def _(o, x, *repeats):
    repeats = list(repeats[0] if isinstance(repeats[0], (list, tuple)) else repeats)
    return repeated(o, x, [1] * (x.dim() - len(repeats)) + repeats)


@rule("expand", "expand_copy", "expand_as", "broadcast_to")
def _(o, x, *shape, function):
    shape = shape[0].shape if isinstance(shape[0], torch.Tensor) else shape[0] if isinstance(shape[0], (list, tuple)) else shape
    full = list(x.expand(tuple(shape)).shape)
    own = [1] * (len(full) - x.dim()) + list(x.shape)
    return repeated(o, x, [a // b for a, b in zip(full, own)])


@rule("repeat_interleave")
def _(o, x, repeats, dim=None, output_size=None):
    if not isinstance(repeats, int):
        raise Skip("repetitions that are arrays")
    if repeats == 0:
        raise Skip("arrays without elements")
    if dim is None:
        return call("repeat_interleave", reshaped(o, x, [x.numel()]), times=repeats)
    return call("repeat_interleave", o(x), times=repeats, axis=dim)


# Losses.
def reduced(losses, reduction, size_average=None, reduce=None):
    if size_average is not None or reduce is not None:
        raise Skip("options that PyTorch has deprecated")
    return losses if reduction == "none" else call({"mean": "mean", "sum": "sum"}[reduction], losses)


def loss(language, **names):
    def translate(o, x, target, *rest, reduction="mean", weight=None, size_average=None, reduce=None, **kwargs):
        if rest or weight is not None:
            raise Skip("the option `weight`")
        if language == "hinge_embedding_loss" and not (target.abs() == 1).all():
            raise Skip("targets that are neither 1 nor -1")
        if x.shape != target.shape:
            raise Skip("losses that broadcast, which the language refuses")
        attributes = {}
        for name, value in kwargs.items():
            if value is None:
                continue
            if name not in names or isinstance(value, torch.Tensor):
                raise Skip(f"the option `{name}`")
            attributes[names[name]] = value
        return reduced(call(language, o(x), o(target), **attributes), reduction, size_average, reduce)
    return translate


for name, names in {"mse_loss": {}, "l1_loss": {}, "smooth_l1_loss": {"beta": "beta"}, "huber_loss": {"delta": "delta"}, "binary_cross_entropy": {},
                    "binary_cross_entropy_with_logits": {}, "hinge_embedding_loss": {"margin": "margin"},
                    "poisson_nll_loss": {"log_input": "log_input", "full": "full", "eps": "eps"}}.items():
    RULES[f"nn.functional.{name}"] = loss(name, **names)


@rule("nn.functional.gaussian_nll_loss")
def _(o, x, target, variance, full=False, eps=1e-6, reduction="mean"):
    if not x.shape == target.shape == variance.shape:
        raise Skip("losses that broadcast, which the language refuses")
    return reduced(call("gaussian_nll_loss", o(x), o(target), o(variance), full=full, eps=eps), reduction)


@rule("nn.functional.cosine_embedding_loss")
def _(o, a, b, target, margin=0.0, reduction="mean", **options):
    return reduced(call("cosine_embedding_loss", o(a), o(b), o(target), margin=margin), reduction, **options)


@rule("nn.functional.margin_ranking_loss")
def _(o, a, b, target, margin=0.0, reduction="mean", **options):
    above = call("sub", call("number", margin), call("mul", o(target), call("sub", o(a), o(b))))
    return reduced(call("relu", above), reduction, **options)


@rule("nn.functional.cross_entropy", "nn.functional.nll_loss", "nn.functional.multi_margin_loss")
def _(o, x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0, p=1, margin=1.0, size_average=None, reduce=None, *, function):
    name = function.split(".")[-1]
    axis_of_scalar(x)
    if x.dim() > 2 and target.is_floating_point():
        raise Skip("probabilities that are not on the last axis")
    if weight is not None and reduction == "mean" or ignore_index >= 0 and reduction == "mean":
        raise Skip("means by weights, which only `loss` takes")
    attributes = given(weight=None if weight is None else weight.tolist(), ignore_index=ignore_index if ignore_index >= 0 else None, label_smoothing=label_smoothing or None)
    if name == "multi_margin_loss":
        if weight is not None:
            raise Skip("the option `weight`")
        attributes = {"p": p, "margin": margin}
    # Classes are on the last axis here, and on the second in PyTorch.
    if not target.is_floating_point() and target.dim() != x.dim() - 1:
        raise Skip("targets with an axis that scores lack")
    below = None if target.is_floating_point() else x.shape[min(1, x.dim() - 1)]
    scores = o(x) if x.dim() <= 2 else call("permute", o(x), axes=[0, *range(2, x.dim()), 1])
    return reduced(call(name, scores, o(target, below=below), **attributes), reduction, size_average, reduce)


@rule("nn.functional.kl_div")
def _(o, x, target, reduction="mean", log_target=False, **options):
    if log_target:
        raise Skip("the option `log_target`")
    if reduction != "sum" or x.dim() == 0:
        raise Skip("`kl_div` of each element: it is one value for each row")
    return reduced(call("kl_div", o(x), o(target)), reduction, **options)


# Why operators have no rule.
REASONS = [
    (r"^linalg\.|^(cholesky|lu|qr|svd|geqrf|orgqr|ormqr|triangular_solve|pinverse|logdet|pca_lowrank|svd_lowrank|matrix_exp|cdist|cov|corrcoef|tri|tril|triu|trace|kron|cross|renorm|vander)|_indices$", "linear algebra"),
    (r"^fft\.|^stft|^istft|^signal\.", "Fourier transforms and windows"),
    (r"^special\.|^(digamma|lgamma|mvlgamma|polygamma|i0|igamma|igammac|erfinv|logit|frexp|ldexp|nan_to_num)", "special functions"),
    (r"conv|pool|unfold|fold$|interpolate|upsample|grid_sample|pixel_|channel_shuffle|affine_grid|im2col", "convolution, pooling and pictures"),
    (r"attention|multi_head|rnn|lstm|gru|ctc_loss|embedding_bag", "attention, recurrent layers, bags of words"),
    (r"batch_norm|group_norm|instance_norm|local_response|rms_norm|layer_norm|_norm$|dropout", "normalisation and dropout, which are layers"),
    (r"rand|bernoulli|normal|uniform|cauchy|exponential|geometric|multinomial|poisson|log_normal|rrelu", "random numbers"),
    (r"zeros|ones|full|empty|arange|linspace|logspace|eye|^new_|_like$|scalar_tensor|tri.*indices|as_tensor|meshgrid|cartesian|combinations", "creation of arrays"),
    (r"sort|topk|kthvalue|median|mode$|quantile|unique|searchsorted|bucketize|hist|msort|isin|bincount|nonzero|argwhere|cummax|cummin|count_nonzero", "sorting, searching and counting"),
    (r"scatter|index_|put|take|gather|masked|where|diagonal|diag|fill|as_strided|resize|set$|copy|select|slice", "reads and writes at positions that are arrays, or in place"),
    (r"complex|real|imag|conj|angle|polar|^H$|mH|resolve_|view_as_real|isreal|fft", "complex numbers"),
    (r"bitwise|gcd|lcm|logical|__r?(and|or|xor)__|shift|isclose|allclose|equal$|^is|jiterator|hash", "integers, bits and comparisons"),
    (r"^(bfloat16|bool|byte|cdouble|cfloat|chalf|char|double|float|half|int|long|short|to|type|item|tolist|contiguous|clone|detach|numpy)", "other precisions"),
    (r"loss", "losses that bilro lacks"),
    (r"sparse|jagged|segment|^to_", "sparse arrays"),
]


def reason_of(name):
    for pattern, reason in REASONS:
        if re.search(pattern, name):
            return reason
    return OTHER


def flat(result):
    if isinstance(result, torch.Tensor):
        return [result]
    return [x for x in result if isinstance(x, torch.Tensor)]


def adds_up(tree):
    return any(name in {"sum", "mean", "matmul", "norm", "cumsum", "einsum", "var", "std", "logsumexp", "cosine_similarity", "normalize", "prod", "cumprod", "cosine_embedding_loss"} for name in functions(tree))


def leaves(tree):
    """How often operands are read: a difference of order n adds up 2ⁿ terms."""
    return sum(map(leaves, tree[1:])) if isinstance(tree, list) else int(isinstance(tree, int))


def terms_of(tree, tensors):
    """How many terms a result adds up, at most; 0 if it is no sum."""
    read = leaves(tree)
    return max(max(x.numel() for x in tensors) if adds_up(tree) else 0, read if read > 4 else 0)


def fresh(x, digits=4):
    """The same arrays as leaves, with short numbers: `sample` shares none of them."""
    if isinstance(x, torch.Tensor):
        if MOST and x.shape == (20, 20):
            # The samples of most element-wise functions: three rows say as much.
            x = x[:3]
        if x.dtype == torch.float32:
            return rounded(x.detach(), digits)
        return x.detach().clone()
    if isinstance(x, (list, tuple)):
        return type(x)(fresh(y, digits) for y in x) if not isinstance(x, torch.Size) else x
    if isinstance(x, dict):
        return {name: fresh(y, digits) for name, y in x.items()}
    return x


def check_rounding(op, args, kwargs, tensors, results, terms):
    """Whether PyTorch's own values in float32 are within the test's bound of those in double precision."""
    unit = max([1.0, *[x.detach().abs().max().item() for x in tensors if x.is_floating_point()]]) if terms else 1.0
    bound = min((16 + max(terms, 1)) * torch.finfo(torch.float32).eps, 1e-5)
    doubles = {}

    def double(x):
        if isinstance(x, torch.Tensor):
            is_single = x.dtype == torch.float32
            return doubles.setdefault(id(x), x.detach().double().requires_grad_(x.requires_grad) if is_single else x)
        if isinstance(x, (list, tuple)) and not isinstance(x, torch.Size):
            return type(x)(map(double, x))
        return {name: double(y) for name, y in x.items()} if isinstance(x, dict) else x

    exact = flat(op(*double(args), **double(kwargs)))
    for y, expected in zip(results, exact):
        pairs = [(y, expected)]
        if y.requires_grad:
            reals = [x for x in tensors if x.requires_grad and id(x) in doubles]
            found = gradients(y, reals, torch.ones_like(y))
            if found is not None:
                pairs += zip(found, gradients(expected, [doubles[id(x)] for x in reals], torch.ones_like(expected)))
        for found, expected in pairs:
            found, expected = found.detach().double(), expected.detach().double()
            if ((found - expected).abs() > bound * expected.abs().clamp_min(unit)).any():
                raise Skip("values that PyTorch's float32 does not have within the bound")


def translated(name, op, sample):
    """The cases of a sample."""
    count = sum(x.numel() for x in flat([sample.input] + list(sample.args) if isinstance(sample.input, torch.Tensor) else list(sample.input)))
    if count > LARGEST:
        raise Skip(f"more than {LARGEST} elements")
    args = fresh((sample.input, *sample.args))
    kwargs = fresh(sample.kwargs)
    f = RULES[name]
    operands = Operands()
    takes = f.__code__.co_varnames[: f.__code__.co_argcount + f.__code__.co_kwonlyargcount]
    try:
        tree = f(operands, *args, **kwargs, **({"function": name} if "function" in takes else {}))
    except TypeError as error:
        raise Skip(f"an option: {error}") from error
    if not operands.tensors:
        raise Skip("no operand")
    for x in operands.tensors:
        x.requires_grad_(x.is_floating_point())
    results = flat(op(*args, **kwargs))
    trees = tree if isinstance(tree, Several) else [tree]
    check_rounding(op, args, kwargs, operands.tensors, results[: len(trees)], max(terms_of(tree, operands.tensors) for tree in trees))
    g = torch.Generator().manual_seed(4000)
    for tree, y in zip(trees, results):
        if not KNOWN.issuperset(functions(tree)):
            raise Skip(OTHER)
        if y.is_complex():
            raise Skip("complex numbers")
        case = {"op": name, "call": tree, "inputs": [tensor(x) for x in operands.tensors]}
        if any(below is not None for below in operands.below):
            case["below"] = operands.below
        case["output"] = tensor(y if y.is_floating_point() else y.float())
        if terms_of(tree, operands.tensors):
            case["attrs"] = {"terms": terms_of(tree, operands.tensors)}
        if y.requires_grad:
            up = rounded(torch.randn(y.shape, generator=g), 2)
            found = gradients(y, [x for x in operands.tensors if x.requires_grad], up)
            if found is not None:
                found = iter(found)
                case["upstream"] = tensor(up)
                case["grads"] = [tensor(next(found)) if x.requires_grad else None for x in operands.tensors]
        yield case


def main():
    cases, whole, partly, outside = [], 0, 0, collections.defaultdict(list)
    samples, fitting, skipped = 0, 0, collections.Counter()
    for op in op_db:
        name = f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name
        if name not in RULES or name.startswith("masked."):
            outside[reason_of(name) if not name.startswith("masked.") else "masked arrays"].append(name)
            continue
        if torch.float32 not in op.supported_dtypes("cpu"):
            outside["no float32 on the CPU"].append(name)
            continue
        found, reasons, count = {}, collections.Counter(), 0
        torch.manual_seed(SEED)
        for sample in op.sample_inputs("cpu", torch.float32, requires_grad=False):
            count += 1
            try:
                for case in translated(name, op, sample):
                    alike = (case["call"], [x["shape"] for x in case["inputs"]]) if MOST else len(found)
                    found.setdefault(str(alike), case)
            except Skip as skip:
                reasons[str(skip)] += 1
        if not found:
            outside[OTHER if OTHER in reasons else reasons.most_common(1)[0][0] if reasons else "no samples"].append(name)
            continue
        samples, fitting = samples + count, fitting + count - sum(reasons.values())
        whole, partly = (whole, partly + 1) if reasons else (whole + 1, partly)
        skipped.update(reasons)
        # Results of one element say least.
        chosen = sorted(found.values(), key=lambda case: (len(case["output"]["data"]) == 1, sum(len(x["data"]) for x in case["inputs"])))
        cases += chosen if MOST == 0 else chosen[:MOST]
    write(OUT / "operators.json", SEED, cases)
    print(f"{len(op_db)} operators: {whole} with all samples in scope, {partly} with some, {sum(map(len, outside.values()))} with none.")
    print(f"{samples} samples of operators in scope, {fitting} translated, {len(cases)} cases written.")
    print("\n| samples out of scope | of operators in scope |\n| --- | --- |")
    for reason, count in skipped.most_common():
        print(f"| {count} | {reason} |")
    print("\n| operators out of scope | reason |\n| --- | --- |")
    for reason, names in sorted(outside.items(), key=lambda item: -len(item[1])):
        shown = ", ".join(f"`{name}`" for name in names)
        print(f"| {len(names)} | {reason}: {shown} |" if len(names) <= LISTED or reason == OTHER else f"| {len(names)} | {reason} |")


main()
