#!/usr/bin/env python3
"""Measures bilro, PyTorch (eager and compiled) and JAX side by side.

Each framework and number of threads is a separate process. In every round each
of them runs a slice of every case, one process at a time; figures are medians
over the rounds. A slice that other processes disturbed is repeated (on Linux,
by /proc): threads that wait for each other are many times slower while another
process has one of their cores.
"""

import argparse
import contextlib
import datetime
import functools
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import cases

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
README = HERE.parent / "README.md"
# The record in the README is between these lines.
BEGIN, END = "<!-- record: written by peers/run.py -->\n", "<!-- end of the record -->\n"

# Name in tables, required package, and program of each.
FRAMEWORKS = {
    "bilro": ("bilro", None, None),
    "pytorch": ("PyTorch", "torch", ["with_pytorch.py"]),
    "compile": ("`torch.compile`", "torch", ["with_pytorch.py", "--compile"]),
    "jax": ("JAX `jit`", "jax", ["with_jax.py"]),
}


def main():
    options = parse_options()
    check_packages(options.frameworks)
    program = options.binary or build()
    # Before the run: later commits are not measured.
    commit = output("git", "describe", "--always", "--dirty")
    results = run(options, program)
    if options.json:
        for result in results.values():
            print(json.dumps(result))
        return
    text = markdown(options, commit, results)
    if not options.record:
        print(text, end="")
        return
    before, rest = README.read_text().split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(before + BEGIN + text + END + after)


def parse_options():
    def numbers(text):
        values = [int(word) for word in text.split(",")]
        if min(values) < 1:
            raise ValueError
        return values

    def frameworks(text):
        names = text.split(",")
        unknown = [name for name in names if name not in FRAMEWORKS]
        if unknown:
            known = ", ".join(FRAMEWORKS)
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)} (there are {known})")
        return names

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--threads",
        type=numbers,
        default=[1],
        metavar="N,...",
        help="numbers of threads, a table for each (default: 1)",
    )
    parser.add_argument(
        "--rounds", type=int, default=15, metavar="N", help="slices of each case (default: 15)"
    )
    parser.add_argument(
        "--slice",
        type=float,
        default=0.3,
        metavar="SECONDS",
        help="length of a slice (default: 0.3)",
    )
    parser.add_argument(
        "--only",
        default="",
        metavar="SUBSTRING",
        help="only cases whose name contains this, as 784-128-64-10/64/step",
    )
    parser.add_argument(
        "--frameworks",
        type=frameworks,
        default=list(FRAMEWORKS),
        metavar="NAME,...",
        help=f"frameworks to measure (default: {','.join(FRAMEWORKS)})",
    )
    parser.add_argument(
        "--binary",
        metavar="PATH",
        help="bilro's bench `step`, built before (default: cargo builds it)",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=600,
        metavar="SECONDS",
        help="total time to wait for other processes to be idle, and to repeat "
        "disturbed slices (default: 600)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help="a line of JSON for each figure instead of tables"
    )
    form.add_argument("--markdown", action="store_true", help="tables in Markdown (the default)")
    form.add_argument(
        "--record", action="store_true", help="write the tables into benches/README.md"
    )
    options = parser.parse_args()
    if options.rounds < 1 or options.slice <= 0:
        parser.error("--rounds must be at least 1, and --slice above 0")
    if not chosen(options):
        parser.error(
            f"no case has `{options.only}` in its name; the cases are {', '.join(cases.CASES)}"
        )
    if options.binary and not os.access(options.binary, os.X_OK):
        parser.error(f"{options.binary} is not executable; without --binary, cargo builds it")
    return options


def chosen(options):
    return [case for case in cases.CASES if options.only in case]


def check_packages(frameworks):
    for name in frameworks:
        title, package, _ = FRAMEWORKS[name]
        if package and importlib.util.find_spec(package) is None:
            sys.exit(
                f"{title} is not installed for {sys.executable}. Install it with\n"
                f"  {sys.executable} -m pip install -r {HERE / 'requirements.txt'}\n"
                "or leave it out with --frameworks."
            )


def build():
    """Builds bilro's bench; returns the path of the program."""
    command = [
        "cargo",
        "bench",
        "-p",
        "bilro-benches",
        "--bench",
        "step",
        "--no-run",
        "--message-format",
        "json",
    ]
    say("building bilro")
    if shutil.which("cargo") is None:
        sys.exit("cargo is not installed: see https://rustup.rs, or name a program with --binary.")
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        sys.exit("bilro did not build: see above.")
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    programs = [
        m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "step"
    ]
    return programs[-1]


def say(text):
    print(text, file=sys.stderr, flush=True)


class OtherLoad:
    """Repeats slices that other processes disturbed, and waits for idle cores,
    for at most `patience` seconds."""

    # Fraction of one core's time; an idle system is below.
    NOISE = 0.1

    def __init__(self):
        self.patience = 0.0

    def quietly(self, peer, work):
        """The result of `work`, done by a peer, and whether other processes
        used its cores at the same time."""
        while True:
            self.wait(peer.cores)
            started, before = time.monotonic(), others_seconds(peer.cores, peer.process)
            result = work()
            seconds = time.monotonic() - started
            others = others_seconds(peer.cores, peer.process) - before
            disturbed = others > self.NOISE * seconds
            if not disturbed or self.patience <= 0:
                return result, disturbed
            self.patience -= seconds

    def wait(self, cores):
        """Waits until the cores have been idle for a moment."""
        moment = 0.1
        while self.patience > 0:
            before = others_seconds(cores)
            time.sleep(moment)
            if others_seconds(cores) - before <= self.NOISE * moment:
                return
            self.patience -= moment


def others_seconds(cores, process=None):
    """The seconds for which some cores were busy, or were taken by the
    hypervisor, without those of one process. Zero if that is unknown."""
    names = {f"cpu{core}" for core in cores}
    ticks = 0
    try:
        with open("/proc/stat") as file:
            for name, *fields in map(str.split, file):
                if name in names:
                    user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
                    ticks += user + nice + system + irq + softirq + steal
        if process is not None:
            with open(f"/proc/{process.pid}/stat") as file:
                ticks -= sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
    except OSError:
        return 0.0
    return ticks / os.sysconf("SC_CLK_TCK")


class Peer:
    """One framework's process for one number of threads."""

    def __init__(self, name, threads, seconds, program, scratch):
        _, _, script = FRAMEWORKS[name]
        if script is None:
            command = [program, "--serve"]
        else:
            command = [sys.executable, str(HERE / script[0]), *script[1:]]
        command += ["--threads", str(threads), "--seconds", str(seconds)]
        environment = dict(os.environ)
        environment["OMP_NUM_THREADS"] = environment["MKL_NUM_THREADS"] = str(threads)
        # Cached code would hide the compile time.
        environment["TORCHINDUCTOR_CACHE_DIR"] = str(pathlib.Path(scratch) / f"{name}-{threads}")
        environment["JAX_ENABLE_COMPILATION_CACHE"] = "false"
        environment["JAX_PLATFORMS"] = "cpu"
        if threads == 1:
            flag = "--xla_cpu_multi_thread_eigen=false"
            environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {flag}".strip()
        self.name = name
        self.log = tempfile.TemporaryFile("w+", dir=scratch)
        # One core per thread, the same ones for all: JAX starts a thread per
        # usable core.
        self.cores = last_cores(threads)
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            preexec_fn=lambda: use_cores(self.cores),
        )

    def ask(self, case):
        try:
            self.process.stdin.write(case + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            return json.loads(line)
        self.process.wait()
        self.log.seek(0)
        last = self.log.read().strip().splitlines()[-1:]
        return {"error": " ".join(["its process has ended:", *last])}

    def stop(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def last_cores(count):
    """The last of the usable cores; none if these are unknown."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    return sorted(os.sched_getaffinity(0))[-count:]


def use_cores(cores):
    if cores:
        os.sched_setaffinity(0, cores)


def run(options, program):
    """The results that `--json` prints, by (threads, case, framework)."""
    results = {}
    failed = set()
    other_load = OtherLoad()
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        peers = []
        for threads in options.threads:
            for name in options.frameworks:
                peer = Peer(name, threads, options.slice, program, scratch)
                stack.callback(peer.stop)
                peers.append((threads, peer))
        # The first round compiles, and is not counted.
        for number in range(options.rounds + 1):
            say(f"round {number} of {options.rounds}" if number else "compiling")
            # A share per round; the remainder carries over to the next.
            share = options.patience / options.rounds if number else 0.0
            other_load.patience = max(other_load.patience, 0.0) + share
            for case in chosen(options):
                for threads, peer in peers:
                    key = (threads, case, peer.name)
                    if key in failed:
                        continue
                    if number == 0:  # other load does not matter
                        answer, disturbed = peer.ask(case), False
                    else:
                        work = functools.partial(peer.ask, case)
                        answer, disturbed = other_load.quietly(peer, work)
                    if "error" in answer:
                        title = FRAMEWORKS[peer.name][0]
                        say(f"{title} leaves out {case} on {threads} thread(s): {answer['error']}")
                        failed.add(key)
                        results.pop(key, None)
                    elif number == 0:
                        results[key] = first_result(key, answer)
                    else:
                        results[key]["slices"].append(
                            {
                                "step_us": round(answer["step_us"], 3),
                                "percent_of_peak": answer.get("percent_of_peak"),
                                "disturbed": disturbed,
                            }
                        )
    for result in results.values():
        summarize(result)
    return results


def summarize(result):
    """Medians of the undisturbed slices, or of all if these are too few."""
    slices = [s for s in result["slices"] if not s["disturbed"]]
    result["quiet"] = len(slices) >= min(3, len(result["slices"]))
    if not result["quiet"]:
        slices = result["slices"]
    result["step_us"] = statistics.median(s["step_us"] for s in slices)
    shares = [s["percent_of_peak"] for s in slices if s["percent_of_peak"] is not None]
    result["percent_of_peak"] = round(statistics.median(shares), 1) if shares else None


def first_result(key, answer):
    threads, case, name = key
    network, batch, purpose = case.split("/")
    return {
        "framework": name,
        "network": network,
        "batch": int(batch),
        "purpose": purpose,
        "threads": threads,
        "isa": answer.get("isa"),
        "step_us": None,
        "percent_of_peak": None,
        "compile_ms": answer["compile_ms"] and round(answer["compile_ms"], 3),
        "slices": [],
    }


def markdown(options, commit, results):
    sections = [description(options, commit, results)]
    for threads in options.threads:
        title = "One thread" if threads == 1 else f"{threads} threads"
        sections.append(f"### {title}\n\n" + table(options, results, threads))
    if any(name in options.frameworks for name in ("compile", "jax")):
        sections.append("### Compiling\n\n" + compile_table(options, results))
    return "\n".join(sections)


def table(options, results, threads):
    """Microseconds of each framework, and the multiple of bilro's."""
    titles = [FRAMEWORKS[name][0] for name in options.frameworks]
    rows = [
        ["network", "batch", "", *titles, *(["of peak"] if "bilro" in options.frameworks else [])]
    ]
    for case in chosen(options):
        ours = results.get((threads, case, "bilro"))
        row = case.split("/")
        for name in options.frameworks:
            result = results.get((threads, case, name))
            if result is None:
                row.append("–")
                continue
            noise = "" if result["quiet"] else "~"
            if ours is None or name == "bilro":
                row.append(noise + digits(result["step_us"]))
            else:
                times = result["step_us"] / ours["step_us"]
                row.append(f"{noise}{digits(result['step_us'])} ({digits(times)}×)")
        if "bilro" in options.frameworks:
            share = ours and ours["percent_of_peak"]
            row.append("–" if share is None else f"{share:.0f} %")
        rows.append(row)
    return layout(rows, left=(0, 2))


def compile_table(options, results):
    """Milliseconds from a declaration to executable code."""
    threads = options.threads[0]
    names = [name for name in options.frameworks if name != "pytorch"]
    rows = [["network", "batch", "", *(FRAMEWORKS[name][0] for name in names)]]
    for case in chosen(options):
        found = [results.get((threads, case, name)) for name in names]
        rows.append(
            [*case.split("/"), *("–" if r is None else digits(r["compile_ms"]) for r in found)]
        )
    return layout(rows, left=(0, 2))


def digits(x):
    """With three significant digits."""
    if x >= 100:
        return f"{x:,.0f}"
    return f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def layout(rows, left):
    """A Markdown table with the first row as header."""
    marks = [":--" if i in left else "--:" for i in range(len(rows[0]))]
    lines = [" | ".join(row) for row in (rows[0], marks, *rows[1:])]
    return "".join(f"| {line} |\n" for line in lines)


def description(options, commit, results):
    """Machine, versions and conditions of the figures."""
    slices = [s for r in results.values() for s in r["slices"]]
    disturbed = sum(s["disturbed"] for s in slices)
    noise = f"; {disturbed} of {len(slices)} were disturbed by other processes" if disturbed else ""
    if any(not r["quiet"] for r in results.values()):
        noise += ", and figures marked ~ are of such"
    isa = next((r["isa"] for r in results.values() if r["isa"]), None)
    lines = [
        f"{datetime.date.today()}, bilro at commit {commit}" + (f" with {isa}" if isa else ""),
        f"medians of {options.rounds} slices of {options.slice} s" + noise,
        machine(),
        f"Linux {platform.release()}" if platform.system() == "Linux" else platform.platform(),
        output("rustc", "--version").split(" (")[0],
        f"Python {platform.python_version()}",
    ]
    for package in ("torch", "jax", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            lines.append(f"{package} {importlib.metadata.version(package)}")
    if "compile" in options.frameworks:
        lines.append(output("g++", "--version").split("\n")[0])
    return "".join(f"- {line}\n" for line in lines if line)


def output(*command):
    """The output of a command, or an empty string."""
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def machine():
    """The processor, its cores and caches, by lscpu."""
    fields = {}
    for line in output("lscpu").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    if "Model name" not in fields:
        return platform.processor() or platform.machine()
    numbers = ["CPU family", "Model", "Stepping"]
    name = ", ".join(
        [fields["Model name"], *(f"{n.lower()} {fields[n]}" for n in numbers if n in fields)]
    )
    sizes = [
        f"{cache} {fields[cache + ' cache']}"
        for cache in ("L1d", "L2", "L3")
        if cache + " cache" in fields
    ]
    virtual = ", virtual" if "Hypervisor vendor" in fields else ""
    return f"{name}; {os.cpu_count()} cores{virtual}; {', '.join(sizes)}"


if __name__ == "__main__":
    main()
