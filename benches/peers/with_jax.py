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


def linear(parameters, x):
    weight, bias = parameters
    return x @ weight + bias


def heads(network, parameters, x):
    batch, positions, width = x.shape
    projection, joined, last = parameters
    parts = jnp.split(linear(projection, x), 3, 2)
    q, k, v = (part.reshape(batch, positions, network.heads, -1) for part in parts)
    y = jax.nn.dot_product_attention(q, k, v)
    y = y.reshape(batch, positions, width)
    return linear(last, (x + linear(joined, y)).mean(1))


def pairs(parameters, x):
    w, last = parameters
    a, b = x
    mixed = jnp.tanh(jnp.einsum("npi,ijo->npjo", a, w))
    scores = jnp.einsum("npjo,nqj->npqo", mixed, b)
    return linear(last, jax.nn.relu(scores).mean((1, 2)))


def tabular(parameters, x):
    numbers, indices = x
    tables, layers = parameters
    embedded = [table[index] for table, index in zip(tables, indices)]
    return scores(layers, jnp.concatenate([*embedded, numbers], 1))


def scores(parameters, x):
    """The last layer's outputs, before the output function."""
    for i, (weight, bias) in enumerate(parameters):
        x = x @ weight + bias
        if i + 1 < len(parameters):
            x = jax.nn.relu(x)
    return x


def output(network, parameters, x):
    if isinstance(network, cases.Tabular):
        return tabular(parameters, x)
    if isinstance(network, cases.Heads):
        return heads(network, parameters, x)
    if isinstance(network, cases.Pairs):
        return pairs(parameters, x)
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
    if network.loss == "bce_logits":
        return jnp.mean(jnp.maximum(p, 0) - p * y + jnp.log1p(jnp.exp(-jnp.abs(p))))
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

    def layer(inputs, outputs):
        bound = inputs**-0.5
        return uniform(-bound, bound, inputs, outputs), uniform(-bound, bound, outputs)

    def integers(below):
        return jnp.asarray(random.integers(0, below, case.batch), dtype=jnp.int32)

    if isinstance(network, cases.Heads):
        width = network.width
        parameters = (layer(width, 3 * width), layer(width, width), layer(width, network.outputs))
        x = uniform(0, 1, case.batch, network.positions, width)
    elif isinstance(network, cases.Pairs):
        width = network.width
        w = uniform(-0.1, 0.1, width, width, network.features)
        parameters = (w, layer(network.features, network.outputs))
        x = [uniform(0, 1, case.batch, network.positions, width) for _ in range(2)]
    else:
        parameters = [layer(*pair) for pair in zip(network.sizes, network.sizes[1:])]
        x = uniform(0, 1, case.batch, network.sizes[0])
    if isinstance(network, cases.Tabular):
        pairs = zip(network.categories, network.embedded)
        parameters = ([uniform(-1, 1, *pair) for pair in pairs], parameters)
        x = (uniform(0, 1, case.batch, network.numbers), [integers(n) for n in network.categories])
    y = integers(network.outputs) if network.takes_class else uniform(0, 1, case.batch, network.outputs)

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
