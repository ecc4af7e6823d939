"""PyTorch's side of run.py: eager, or compiled with --compile."""

import sys
import time

import torch
import torch.nn.functional as F

import cases

# Removed from the arguments before cases.serve parses the others.
COMPILE = "--compile" in sys.argv
if COMPILE:
    sys.argv.remove("--compile")

# The complete step as one compiled function was faster than a compiled model with
# a compiled or fused optimizer (0.36 against 0.65 ms for 784-128-64-10 at 64),
# and calling it through C++ faster than through Python; max_autotune made no
# difference.
COMPILER = {"fullgraph": True, "dynamic": False, "options": {"cpp_wrapper": True}}

LOSSES = {
    "nll": F.nll_loss,
    "cross_entropy": F.cross_entropy,
    "mse": F.mse_loss,
    "bce": F.binary_cross_entropy,
    "bce_logits": F.binary_cross_entropy_with_logits,
}


class Tabular(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        pairs = zip(network.categories, network.embedded)
        self.embeddings = torch.nn.ModuleList(torch.nn.Embedding(*pair) for pair in pairs)
        self.layers = mlp(network.sizes)

    def forward(self, x, *indices):
        embedded = [e(index) for e, index in zip(self.embeddings, indices)]
        return self.layers(torch.cat([*embedded, x], 1))


class Heads(torch.nn.Module):
    """With PyTorch's attention; written out, it is slower."""

    def __init__(self, network):
        super().__init__()
        self.heads = network.heads
        self.projection = torch.nn.Linear(network.width, 3 * network.width)
        self.joined = torch.nn.Linear(network.width, network.width)
        self.scores = torch.nn.Linear(network.width, network.outputs)

    def forward(self, x):
        batch, positions, width = x.shape
        parts = self.projection(x).chunk(3, 2)
        q, k, v = (
            part.reshape(batch, positions, self.heads, -1).transpose(1, 2) for part in parts
        )
        y = F.scaled_dot_product_attention(q, k, v)
        y = y.transpose(1, 2).reshape(batch, positions, width)
        return self.scores((x + self.joined(y)).mean(1))


class Pairs(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        width = network.width
        self.w = torch.nn.Parameter(0.05 * torch.randn(width, width, network.features))
        self.scores = torch.nn.Linear(network.features, network.outputs)

    def forward(self, a, b):
        mixed = torch.tanh(torch.einsum("npi,ijo->npjo", a, self.w))
        scores = torch.einsum("npjo,nqj->npqo", mixed, b)
        return self.scores(scores.relu().mean((1, 2)))


def mlp(sizes):
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def build(network):
    if isinstance(network, cases.Tabular):
        return Tabular(network)
    if isinstance(network, cases.Heads):
        return Heads(network)
    if isinstance(network, cases.Pairs):
        return Pairs(network)
    layers = mlp(network.sizes)
    if network.output == "log_softmax":
        layers.append(torch.nn.LogSoftmax(-1))
    elif network.output == "sigmoid":
        layers.append(torch.nn.Sigmoid())
    return layers


def prepare(case, threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = case.network
    model = build(network)
    x = inputs_of(network, case.batch)
    if network.takes_class:
        y = torch.randint(0, network.outputs, (case.batch,))
    else:
        y = torch.rand(case.batch, network.outputs)
    if case.purpose == "forward":
        call = forward(model, x)
    elif COMPILE:
        call = compiled_step(model, LOSSES[network.loss], x, y)
    else:
        call = eager_step(model, LOSSES[network.loss], x, y)
    started = time.perf_counter()
    call()
    return call, time.perf_counter() - started if COMPILE else None


def inputs_of(network, batch):
    """The model's arguments."""
    if isinstance(network, cases.Tabular):
        indices = [torch.randint(0, count, (batch,)) for count in network.categories]
        return (torch.rand(batch, network.numbers), *indices)
    if isinstance(network, cases.Heads):
        return (torch.rand(batch, network.positions, network.width),)
    if isinstance(network, cases.Pairs):
        return [torch.rand(batch, network.positions, network.width) for _ in range(2)]
    return (torch.rand(batch, network.sizes[0]),)


def forward(model, x):
    run = torch.compile(model, **COMPILER) if COMPILE else model

    def call():
        with torch.inference_mode():
            return run(*x)

    return call


def eager_step(model, loss_of, x, y):
    """With the fastest form of the optimizer."""

    def step_with(**form):
        optimizer = torch.optim.SGD(model.parameters(), lr=cases.LEARNING_RATE, **form)

        def step():
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(model(*x), y)
            loss.backward()
            optimizer.step()
            return loss

        return step

    return cases.fastest([step_with(foreach=False), step_with(foreach=True), step_with(fused=True)])


def compiled_step(model, loss_of, x, y):
    """Forward, backward and update as one function."""
    parameters = {name: p.detach().clone() for name, p in model.named_parameters()}

    def loss_with(parameters, x, y):
        return loss_of(torch.func.functional_call(model, parameters, x), y)

    @torch.compile(**COMPILER)
    def step(parameters, x, y):
        gradients, loss = torch.func.grad_and_value(loss_with)(parameters, x, y)
        for name, parameter in parameters.items():
            parameter.sub_(gradients[name], alpha=cases.LEARNING_RATE)
        return loss

    def call():
        with torch.no_grad():
            return step(parameters, x, y)

    return call


if __name__ == "__main__":
    cases.serve(prepare)
