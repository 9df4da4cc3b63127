"""Several processes against one: the same losses and gradients for every reward, and a process that
is killed.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file

from rmlib.loss.rewards import REWARDS
from rmlib.models.encoder import new_tagger
from rmlib.text import corpora
from rmlib.training.config import Config
from rmlib.training.loop import Training

PARTS = 6  # of a step: for 1, 2 or 3 processes as many each
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
SCRIPT = """
    import sys
    sys.path.insert(0, {here!r})
    from test_processes import first_and_last_step

    first_and_last_step(*sys.argv[1:])
"""


def first_and_last_step(tiny, small, out, packed="no"):
    """Writes, for every reward, the terms of the loss and the gradient of the first step and of the
    last, which has fewer parts than there are to share. With dropout, in float64. Packed batches:
    for two of the rewards."""
    corpus, found = corpora.load(small), {}
    for reward in REWARDS if packed == "no" else ("soft_f1_macro", "entity_f1"):
        tagger = new_tagger(corpus.tags, tiny, dropout=0.1)
        tagger.model.double()
        examples = tagger.encode(corpus.train).examples
        settings = {
            "alpha": 2.0,
            "reward": reward,
            "max_tokens": 120,
            "clip": 0,
            "freeze": "none",
            "precision": "fp32",
        }
        settings["packed"] = packed
        config = Config(**settings, accumulate=PARTS // int(os.environ.get("WORLD_SIZE", 1)))
        training = Training(tagger, examples, config)
        gradient = lambda training=training: torch.cat(  # noqa: E731
            [p.grad.flatten() for p in training.classifier.model.parameters() if p.grad is not None]
        )
        training.optimizer.step = (
            lambda found=found, reward=reward, training=training, gradient=gradient: found.update(
                {f"{reward} {training.step} gradient": gradient().clone()}
            )
        )
        for step in (0, training.steps_per_epoch - 1):
            training.step = step
            one = training._step()
            terms = [one.total, one.prediction, one.reward, one.grad_norm, one.tokens]
            found[f"{reward} {step} terms"] = torch.tensor(terms, dtype=torch.float64)
        main = training.accelerator.is_main_process
    if main:
        save_file(found, out)


@pytest.mark.processes
@pytest.mark.parametrize(("processes", "packed"), [(2, "no"), (3, "no"), (3, "yes")])
def test_every_reward_has_the_losses_and_gradients_of_one_process(
    tiny, small_folder, tmp_path, processes, packed
):
    first_and_last_step(str(tiny), small_folder, tmp_path / "alone.safetensors", packed)
    alone = load_file(tmp_path / "alone.safetensors")
    script, out = tmp_path / "script.py", tmp_path / "steps.safetensors"
    script.write_text(textwrap.dedent(SCRIPT.format(here=str(Path(__file__).parent))))
    command = [*LAUNCH, f"--nproc_per_node={processes}", script, tiny, small_folder, out, packed]
    said = subprocess.run(
        [str(c) for c in command], env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )
    assert said.returncode == 0, said.stderr
    found = load_file(out)
    assert found.keys() == alone.keys() and len(found) == 4 * (
        len(REWARDS) if packed == "no" else 2
    )
    tokens = {name: int(value[-1]) for name, value in found.items() if name.endswith("terms")}
    fewer = min(tokens.values()) / max(tokens.values())
    assert len(set(tokens.values())) == 2 and fewer < (
        0.5 if packed == "no" else 0.9
    )  # a last step with gaps
    for name, value in found.items():
        torch.testing.assert_close(
            value, alone[name], rtol=1e-6, atol=1e-6 * float(alone[name].abs().max()), msg=name
        )
    assert all(
        value.abs().max() > 1e-4 for name, value in found.items() if name.endswith("gradient")
    )


@pytest.mark.processes
def test_a_killed_process_ends_the_launch_and_the_run_goes_on_to_the_same_end(
    tiny, small_folder, tmp_path
):
    """Process 1 is killed in the middle; the same command then ends where a single process ends
    that computes all parts itself, dropout included."""
    options = f"--corpus {small_folder} --encoder {tiny} --epochs 40 --max-tokens 200"
    options += " --lr 0.003 --freeze none"
    options += (
        " --precision fp32 --patience 0 --checkpoint-every 4 --alpha 3 --reward soft_f1_macro --out"
    )
    launch = [
        *LAUNCH,
        "--nproc_per_node=2",
        "-m",
        "rmlib",
        "train",
        *options.split(),
        str(tmp_path / "two"),
    ]
    first = subprocess.Popen(
        launch, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "two" / "checkpoint.safetensors").exists():
        assert time.monotonic() < deadline and first.poll() is None
        time.sleep(0.02)
    workers = [one for one in psutil.Process(first.pid).children() if "rmlib" in one.cmdline()]
    (victim,) = [one for one in workers if one.environ().get("RANK") == "1"]
    victim.send_signal(signal.SIGKILL)
    _, complaint = first.communicate(timeout=120)
    assert first.returncode != 0 and "Signal 9 (SIGKILL)" in complaint
    assert not (tmp_path / "two" / "metrics.json").exists()

    again = subprocess.run(launch, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    command = [
        sys.executable,
        "-m",
        "rmlib",
        "train",
        *options.split(),
        str(tmp_path / "one"),
        "--accumulate",
        "2",
    ]
    one = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert one.returncode == 0, one.stderr
    two, single = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("two", "one")
    )
    assert (two["processes"], single["processes"], two["steps"]) == (2, 1, single["steps"])
    assert two["test"]["f1"] == pytest.approx(single["test"]["f1"], abs=0.02)
    stored, expected = (load_file(tmp_path / name / "model.safetensors") for name in ("two", "one"))
    for name, value in expected.items():
        torch.testing.assert_close(stored[name], value, rtol=0, atol=5e-3, msg=name)


@pytest.mark.parametrize(
    "told",
    ["Connection closed by peer [127.0.0.1]:1", "[c10d] NCCL error: a remote process exited"],
)
def test_the_loss_of_another_process_is_one_clear_line(
    monkeypatch, capsys, small_folder, tiny, tmp_path, told
):
    from rmlib import cli
    from rmlib.training import runs

    def broken(*arguments, **more):
        raise RuntimeError(told)

    monkeypatch.setattr(runs, "train_tagger", broken)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(
        sys,
        "argv",
        ["rmlib", "train", "--corpus", str(small_folder), "--out", str(tmp_path / "out")],
    )
    with pytest.raises(SystemExit) as stop:
        cli.main()
    lines = capsys.readouterr().err.strip().splitlines()
    assert stop.value.code == 1 and len(lines) == 1
    assert (
        "another process" in lines[0]
        and "give the same command again" in lines[0]
        and told in lines[0]
    )


def test_the_same_error_of_a_single_process_is_not_hidden(
    monkeypatch, capsys, small_folder, tmp_path
):
    from rmlib import cli
    from rmlib.training import runs

    def broken(*arguments, **more):
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(runs, "train_tagger", broken)
    monkeypatch.setattr(
        sys,
        "argv",
        ["rmlib", "train", "--corpus", str(small_folder), "--out", str(tmp_path / "out")],
    )
    with pytest.raises(SystemExit) as stop:
        cli.main()
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert stop.value.code == 1 and "RuntimeError: Connection closed by peer" in line
    assert "another process" not in line
