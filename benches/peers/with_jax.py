"""JAX's side of run.py: a complete step under one `jit`, parameters donated."""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np

import cases

# Every call is awaited, so dispatching it to another thread only costs time
# (0.28 against 0.29 ms for 784-128-64-10 at 64, 0.36 against 0.41 on two
# threads).
jax.config.update("jax_cpu_enable_async_dispatch", False)


def scores(parameters, x):
    """The last layer's outputs, before the output function."""
    for i, (weight, bias) in enumerate(parameters):
        x = x @ weight + bias
        if i + 1 < len(parameters):
            x = jax.nn.relu(x)
    return x


def output(network, parameters, x):
    x = scores(parameters, x)
    if network.output == "log_softmax":
        return jax.nn.log_softmax(x)
    if network.output == "sigmoid":
        return jax.nn.sigmoid(x)
    return x


def loss(network, parameters, x, y):
    p = output(network, parameters, x)
    if network.loss == "cross_entropy":
        p = jax.nn.log_softmax(p)
    if network.takes_class:
        return -jnp.mean(jnp.take_along_axis(p, y[:, None], axis=-1))
    if network.loss == "mse":
        return jnp.mean((p - y) ** 2)
    # PyTorch and bilro bound the logarithms too.
    log_p, log_rest = jnp.maximum(jnp.log(p), -100), jnp.maximum(jnp.log(1 - p), -100)
    return -jnp.mean(y * log_p + (1 - y) * log_rest)


def prepare(case, _threads):
    """JAX reads the number of threads from the environment."""
    network = case.network
    random = np.random.default_rng(0)

    def uniform(low, high, *sizes):
        return jnp.asarray(random.uniform(low, high, sizes), dtype=jnp.float32)

    parameters = []
    for inputs, outputs in zip(network.sizes, network.sizes[1:]):
        bound = inputs**-0.5
        parameters.append(
            (uniform(-bound, bound, inputs, outputs), uniform(-bound, bound, outputs))
        )
    x = uniform(0, 1, case.batch, network.sizes[0])
    if network.takes_class:
        y = jnp.asarray(random.integers(0, network.sizes[-1], case.batch), dtype=jnp.int32)
    else:
        y = uniform(0, 1, case.batch, network.sizes[-1])

    if case.purpose == "forward":
        predict = jax.jit(functools.partial(output, network))

        def call():
            predict(parameters, x).block_until_ready()

    else:

        @functools.partial(jax.jit, donate_argnums=0)
        def step(parameters, x, y):
            value, gradients = jax.value_and_grad(functools.partial(loss, network))(
                parameters, x, y
            )
            rate = cases.LEARNING_RATE
            return jax.tree.map(lambda p, g: p - rate * g, parameters, gradients), value

        def call():
            nonlocal parameters
            parameters, value = step(parameters, x, y)
            value.block_until_ready()

    started = time.perf_counter()
    call()
    return call, time.perf_counter() - started


if __name__ == "__main__":
    cases.serve(prepare)
