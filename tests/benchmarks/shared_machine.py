"""What a training costs on a machine that other programs use, too.

    python -m tests.benchmarks.shared_machine        # writes data/results/shared_machine.csv

A training is the command `rmlib train`, from its start to its end. It runs alone, two at once, and
beside a plain torch program that trains a small network on all cores and knows nothing of rmlib;
once with the spin count that `import rmlib` sets, once with that of OpenMP, and once on one thread,
where nothing waits: two at once cannot do better than that. The time is that of the slower of two;
the ratio is to one training alone with OpenMP's spin count in the same round. A
training that takes longer than the limit is stopped and counted with the limit. `others` are the
cores that other programs used between the rounds: above about 0.1 the table is not reliable.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import pandas as pd
import psutil
from tqdm.auto import tqdm

import rmlib
from rmlib.training.runs import versions

OUT = Path(__file__).resolve().parents[2] / "data" / "results" / "shared_machine.csv"
LIMIT = 150.0  # seconds
WAITING = {
    "OpenMP's": {"GOMP_SPINCOUNT": "300000"},
    "the kit's": rmlib.SPIN,
    "one thread": {"OMP_NUM_THREADS": "1"},
}
PLAIN_TORCH = """
import torch
net = torch.nn.Sequential(torch.nn.Linear(384, 1536), torch.nn.GELU(), torch.nn.Linear(1536, 384))
optimizer, x = torch.optim.AdamW(net.parameters()), torch.randn(512, 384)
print("ready", flush=True)
while True:
    (net(x) - x).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
"""


def environment(more: dict) -> dict:
    """This process's environment without any setting of OpenMP, and `more`."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
    return plain | more


def seconds(count: int, waiting: dict, sentences: int) -> float:
    """Wall time of the slowest of `count` trainings that start together."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        start = time.perf_counter()
        runs = []
        for k in range(count):
            command = [sys.executable, "-m", "rmlib", "train", "--limit", str(sentences)]
            command += ["--epochs", "2", "--patience", "0", "--out", f"{folder}/{k}"]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            runs.append(subprocess.Popen(command, env=environment(waiting), **quiet))
            stack.callback(runs[-1].kill)
        for run in runs:
            left = LIMIT - (time.perf_counter() - start)
            try:
                if run.wait(max(left, 0.1)):
                    raise SystemExit(f"{' '.join(run.args)} ended with {run.returncode}")
            except subprocess.TimeoutExpired:
                return LIMIT
        return time.perf_counter() - start


@contextlib.contextmanager
def plain_torch():
    program = subprocess.Popen(
        [sys.executable, "-c", PLAIN_TORCH], env=environment({}), stdout=subprocess.PIPE
    )
    try:
        program.stdout.readline()
        yield
    finally:
        program.kill()
        program.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sentences", type=int, default=800)
    arguments = parser.parse_args()
    rows, others = [], []
    bar = tqdm(total=arguments.rounds * len(WAITING) * 3)

    def measure(turn: int, where: str, name: str, count: int) -> None:
        value = seconds(count, WAITING[name], arguments.sentences)
        rows.append({"waiting": name, "where": where, "round": turn, "s": value})
        bar.set_postfix_str(f"{where}, {name}: {value:.1f} s")
        bar.update()

    for turn in range(arguments.rounds):
        others.append(psutil.cpu_percent(3) / 100 * os.cpu_count())
        for name in WAITING:
            measure(turn, "alone", name, 1)
        for name in WAITING:
            measure(turn, "two at once", name, 2)
        for name in WAITING:
            with plain_torch():
                measure(turn, "beside plain torch", name, 1)
    table = pd.DataFrame(rows)
    alone = table[(table["waiting"] == "OpenMP's") & (table["where"] == "alone")]
    table["ratio"] = table["s"] / table["round"].map(alone.set_index("round")["s"])
    table = table.groupby(["where", "waiting"], sort=False).agg(
        **{"median s": ("s", "median"), "ratio": ("ratio", "median")},
        lowest=("ratio", "min"),
        highest=("ratio", "max"),
    )
    command = "python -m tests.benchmarks.shared_machine"
    command += f" --rounds {arguments.rounds} --sentences {arguments.sentences}"
    about = f"{command}; {os.cpu_count()} cores, others {median(others):.2f}; limit {LIMIT:.0f} s; "
    about += ", ".join(f"{k}={v}" for k, v in WAITING["the kit's"].items())
    about += "".join(f"; {name} {number}" for name, number in versions().items())
    with OUT.open("w", newline="", encoding="utf8") as file:
        file.write(f"# {about}\n")
        table.round(2).reset_index().to_csv(file, index=False)
    print(table.round(2).to_string())


if __name__ == "__main__":
    main()
