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
}


def build(network):
    layers = []
    for inputs, outputs in zip(network.sizes, network.sizes[1:]):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    layers.pop()
    if network.output == "log_softmax":
        layers.append(torch.nn.LogSoftmax(-1))
    elif network.output == "sigmoid":
        layers.append(torch.nn.Sigmoid())
    return torch.nn.Sequential(*layers)


def prepare(case, threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = case.network
    model = build(network)
    x = torch.rand(case.batch, network.sizes[0])
    if network.takes_class:
        y = torch.randint(0, network.sizes[-1], (case.batch,))
    else:
        y = torch.rand(case.batch, network.sizes[-1])
    if case.purpose == "forward":
        call = forward(model, x)
    elif COMPILE:
        call = compiled_step(model, LOSSES[network.loss], x, y)
    else:
        call = eager_step(model, LOSSES[network.loss], x, y)
    started = time.perf_counter()
    call()
    return call, time.perf_counter() - started if COMPILE else None


def forward(model, x):
    run = torch.compile(model, **COMPILER) if COMPILE else model

    def call():
        with torch.inference_mode():
            return run(x)

    return call


def eager_step(model, loss_of, x, y):
    """With the fastest form of the optimizer."""

    def step_with(**form):
        optimizer = torch.optim.SGD(model.parameters(), lr=cases.LEARNING_RATE, **form)

        def step():
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return step

    return cases.fastest([step_with(foreach=False), step_with(foreach=True), step_with(fused=True)])


def compiled_step(model, loss_of, x, y):
    """Forward, backward and update as one function."""
    parameters = {name: p.detach().clone() for name, p in model.named_parameters()}

    def loss_with(parameters, x, y):
        return loss_of(torch.func.functional_call(model, parameters, (x,)), y)

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
