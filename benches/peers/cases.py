"""The measured networks, and the loop of a peer process. Networks and names are
those of ../networks.rs, timing is that of ../lib.rs."""

import argparse
import dataclasses
import json
import statistics
import sys
import time

LEARNING_RATE = 0.01


@dataclasses.dataclass(frozen=True)
class Network:
    """Linear layers with ReLU between them."""

    sizes: tuple[int, ...]
    # After the last layer: "log_softmax", "sigmoid" or None.
    output: str | None
    # "nll" of log probabilities and "cross_entropy" of scores take a class,
    # "mse" and "bce" a number per output of the network.
    loss: str

    @property
    def takes_class(self):
        return self.loss in ("nll", "cross_entropy")


    @property
    def outputs(self):
        return self.sizes[-1]


@dataclasses.dataclass(frozen=True)
class Tabular:
    """Embeddings of categories beside numbers, then linear layers with ReLU between them."""

    categories: tuple[int, ...] = tuple(round(3 * (1000 / 3) ** (i / 19)) for i in range(20))
    numbers: int = 30
    hidden: tuple[int, ...] = (256, 128, 1)
    loss: str = "bce_logits"
    takes_class: bool = False
    outputs: int = 1

    @property
    def embedded(self):
        return tuple(min(32, (count + 1) // 2) for count in self.categories)

    @property
    def sizes(self):
        return (sum(self.embedded) + self.numbers, *self.hidden)


@dataclasses.dataclass(frozen=True)
class Heads:
    """Attention of positions with several heads beside a residual, and the mean of all positions."""

    positions: int = 32
    width: int = 64
    heads: int = 4
    loss: str = "cross_entropy"
    takes_class: bool = True
    outputs: int = 10


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of positions of two inputs, weighed by a tensor of three axes."""

    positions: int = 24
    width: int = 32
    features: int = 16
    loss: str = "cross_entropy"
    takes_class: bool = True
    outputs: int = 10


NETWORKS = {
    "einsum": Pairs(),
    "tabular": Tabular(),
    "heads": Heads(),
    "784-128-64-10": Network((784, 128, 64, 10), "log_softmax", "nll"),
    "64-128-64-10": Network((64, 128, 64, 10), None, "cross_entropy"),
    "4096-120-10": Network((4096, 120, 10), "sigmoid", "mse"),
    "2-1": Network((2, 1), "sigmoid", "bce"),
    "1024-4096-4096-10": Network((1024, 4096, 4096, 10), None, "cross_entropy"),
}

# Network, batch and purpose.
CASES = [
    "784-128-64-10/1/step",
    "784-128-64-10/8/step",
    "784-128-64-10/64/step",
    "784-128-64-10/512/step",
    "784-128-64-10/1/forward",
    "784-128-64-10/64/forward",
    "64-128-64-10/64/step",
    "4096-120-10/10/step",
    "2-1/1/step",
    "1024-4096-4096-10/256/step",
    "tabular/256/step",
    "heads/32/step",
    "einsum/64/step",
]


@dataclasses.dataclass(frozen=True)
class Case:
    network: Network | Tabular | Heads | Pairs
    batch: int
    purpose: str

    @classmethod
    def parse(cls, text):
        name, batch, purpose = text.split("/")
        return cls(NETWORKS[name], int(batch), purpose)


def time_calls(seconds, call):
    """The median time of a call in seconds, over groups of some tenths of a
    millisecond. The warm-up calls are not counted."""
    clock = time.perf_counter
    started = clock()
    calls = 0
    while calls == 0 or clock() - started < min(seconds / 10, 5e-3):
        call()
        calls += 1
    group = max(1, round(3e-4 / ((clock() - started) / calls) + 0.5))
    times = []
    started = clock()
    while not times or clock() - started < seconds:
        start = clock()
        for _ in range(group):
            call()
        times.append((clock() - start) / group)
    return statistics.median(times)


def fastest(calls):
    """The fastest of equivalent calls."""
    return min(calls, key=lambda call: time_calls(0.2, call))


def serve(prepare):
    """The loop of a peer: reads cases from standard input and answers each with
    a line of JSON. `prepare(case, threads)` returns the call to time, which has
    been called once, and the seconds of this first call."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    # Output of libraries must not mix with the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    prepared = {}
    for line in sys.stdin:
        name = line.strip()
        try:
            if name not in prepared:
                prepared[name] = prepare(Case.parse(name), options.threads)
            call, first = prepared[name]
            answer = {
                "step_us": time_calls(options.seconds, call) * 1e6,
                "compile_ms": None if first is None else first * 1e3,
            }
        except Exception as error:  # reported to run.py
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
