"""Compare the speed of three training loops: the article's, `transformers.Trainer` and the kit's.

    python -m tests.benchmarks.speed
    python -m tests.benchmarks.speed --model base --sentences 14041 --rounds 2

prints markdown tables and writes data/results/speed.csv (speed_base.csv, speed_cuda.csv …). It runs
on the GPU where there is one. All loops train the same weights of the same model on the same
sentences:

- the article's: every sentence padded to 128 subword tokens, batches of 16 sentences, all 128
  positions computed;
- transformers.Trainer with dynamic padding and its fused optimizer, at several batch sizes, grouped
  by length, which is fast, and shuffled, its default;
- the kit's `Training`; on a CPU also with padded batches of sentences of one length, which are
  faster than packed batches.

Speed is in subword tokens per second, padding not counted. MFU is the share of the machine's
fastest matrix product, measured right before and right after the run, that goes into the arithmetic
that these tokens need: for each token, 6 flops per weight of a linear layer and 12 · layers · width
· sentence length for attention. Each round runs every loop once and begins with another loop, and
a ratio is taken within a round before the median over the rounds, so that a machine that slows down
for a minute favours nobody. Let nothing else run on the machine meanwhile. bf16 is measured where
the machine computes in it.

`--model base` has BERT-base's shape (12 layers, width 768) with random weights, which make no
difference to speed. `--sentences` beyond the newswire's 2,030 repeats them: 14,041 is as many as
CoNLL-2003 has.

For a machine without access to a registry: `python -m tests.benchmarks.carry FOLDER` writes MiniLM
with 16-bit weights (45 MB); there, run `python -m tests.benchmarks.speed --encoder FOLDER`.
"""

import argparse
import contextlib
import copy
import csv
import gc
import io
import statistics
import sys
import tempfile
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import psutil
import torch
from accelerate.state import AcceleratorState
from transformers import (
    BertConfig,
    BertForTokenClassification,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
)
from transformers.utils import logging

from rmlib.loss.objective import RewardObjective
from rmlib.models.attention import use_attention
from rmlib.models.dropout import use_fast_dropout
from rmlib.models.encoder import Tagger, add_case_channel, encoder_layers, freeze, new_tagger
from rmlib.text.batches import batches
from rmlib.text.corpora import Corpus, data_dir, newswire
from rmlib.training.config import Config
from rmlib.training.loop import Training
from rmlib.training.runs import evaluate, versions
from rmlib.training.setup import pick_precision
from tests.benchmarks.tables import markdown
from tests.text.padding import collate

WIDTH = 128  # the article's padded length
ARTICLE_BATCH = 16
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
TRAINER_BATCHES = (16, 32, 64) if DEVICE.type == "cpu" else (32, 64, 128)
TOKEN_LIMITS = (1024,) if DEVICE.type == "cpu" else (1024, 4096, 16384)
PRODUCTS = (
    ((1024, 384, 1536), (2048, 2048, 2048)) if DEVICE.type == "cpu" else ((8192, 8192, 8192),)
)
SHARE_OF = ("expected_accuracy", "soft_f1", "soft_f1_macro")  # objective_cost.py has all rewards
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def train_article(tagger: Tagger, examples: list, config: Config, bf16: bool):
    """The article's loop: one padded length, padding labelled O and counted in the loss.

    The sentences are padded once, before the clock starts; the article pads in every epoch.
    """
    freeze(tagger.model, config.freeze)
    inputs = collate(examples, tagger.tokenizer.pad_token_id, tagger.case)
    inputs["labels"][inputs["attention_mask"] == 0] = 0
    fill = {"input_ids": tagger.tokenizer.pad_token_id}  # 0 for the rest, also for the labels: O
    inputs = {
        name: torch.nn.functional.pad(one, (0, WIDTH - one.shape[1]), value=fill.get(name, 0))
        for name, one in inputs.items()
    }
    data = torch.utils.data.TensorDataset(*inputs.values())
    model = tagger.model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=config.lr)
    yield
    for _ in range(config.epochs):
        epoch_loss = 0.0
        for batch in torch.utils.data.DataLoader(data, batch_size=ARTICLE_BATCH, shuffle=True):
            model.zero_grad()
            with torch.autocast(DEVICE.type, torch.bfloat16, enabled=bf16):
                named = zip(inputs, batch, strict=True)
                loss = model(**{name: one.to(DEVICE) for name, one in named}).loss
            epoch_loss += loss.item()
            loss.backward()
            optimizer.step()


def train_trainer(
    tagger: Tagger, examples: list, config: Config, bf16: bool, batch: int, order="group_by_length"
):
    """transformers.Trainer with the kit's objective and settings, without logs and checkpoints."""
    freeze(tagger.model, config.freeze)
    data = [
        {
            "input_ids": e.input_ids,
            "attention_mask": [1] * len(e),
            "token_type_ids": e.case,
            "labels": e.labels,
        }
        for e in examples
    ]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=batch,
            train_sampling_strategy=order,
            num_train_epochs=config.epochs,
            learning_rate=config.lr,
            weight_decay=config.weight_decay,
            warmup_steps=config.warmup,  # below 1 it is a share of all steps
            max_grad_norm=config.clip,
            bf16=bf16,
            optim="adamw_torch_fused",
            use_cpu=DEVICE.type == "cpu",
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = Trainer(
            tagger.model,
            arguments,
            data_collator=DataCollatorForTokenClassification(tagger.tokenizer),
            train_dataset=data,
            compute_loss_func=RewardObjective(config.alpha, config.reward),
        )
        yield
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a summary
            trainer.train()


def train_kit(tagger: Tagger, examples: list, config: Config, bf16: bool, **settings):
    """The kit's loop with its defaults, except for the precision and `settings`.

    A compiled encoder takes its first step before the clock starts, and once more after.
    """
    use_attention(tagger.model)
    use_fast_dropout(tagger.model)
    config = replace(config, precision="bf16" if bf16 else "fp32", **settings)
    training = Training(tagger, examples, config)
    training.lazy = True
    if config.compile:
        start = training.state()
        next(iter(training))
        training.restore(start)
    yield
    for _ in training:
        pass


def kits() -> dict:
    """The kit with its defaults; on a GPU also larger batches and compiled, on a CPU padded."""
    named = {"the kit": {}} | {
        f"the kit, {max_tokens} tokens per batch": {"max_tokens": max_tokens}
        for max_tokens in TOKEN_LIMITS[1:]
    }
    if DEVICE.type == "cuda":
        named |= {
            f"{name}, compiled": {**settings, "compile": True} for name, settings in named.items()
        }
    else:
        named["the kit, padded"] = {"packed": "no"}
    return {name: partial(train_kit, **settings) for name, settings in named.items()}


LOOPS = {
    **kits(),
    "the article's loop": train_article,
    **{f"Trainer, batch {size}": partial(train_trainer, batch=size) for size in TRAINER_BATCHES},
    **{
        f"Trainer, batch {size}, shuffled": partial(train_trainer, batch=size, order="random")
        for size in TRAINER_BATCHES
    },
}


def as_transformers_makes_it(tagger: Tagger) -> Tagger:
    """The tagger with torch's own dropout and transformers' own attention, not the kit's."""
    for name, module in list(tagger.model.named_modules()):
        if isinstance(module, torch.nn.Dropout):
            tagger.model.set_submodule(name, torch.nn.Dropout(module.p))
    tagger.model.set_attn_implementation("sdpa")
    return tagger


def base_tagger(like: Tagger) -> Tagger:
    """A tagger of BERT-base's shape with random weights, and the tokenizer and tags of `like`."""
    torch.manual_seed(0)
    config = BertConfig(vocab_size=like.model.config.vocab_size, num_labels=len(like.labels))
    model = BertForTokenClassification(config)
    add_case_channel(model)
    return Tagger(model, like.tokenizer, like.labels)


def wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def flops(tagger: Tagger, examples: list) -> float:
    """The flops of the forward and backward passes of one epoch, padding not counted."""
    layers = list(encoder_layers(tagger.model))
    modules = [m for part in [*layers, tagger.model.classifier] for m in part.modules()]
    weights = sum(m.weight.numel() for m in modules if isinstance(m, torch.nn.Linear))
    width = tagger.model.config.hidden_size
    attention = 12 * len(layers) * width
    return float(sum(6 * weights * len(e) + attention * len(e) ** 2 for e in examples))


def matmul_peak(precision: str) -> float:
    """Flops per second of the fastest of a few large matrix products, half a second each."""
    best = 0.0
    for n, k, m in PRODUCTS:
        a = torch.randn(n, k, device=DEVICE, dtype=DTYPES[precision])
        b = torch.randn(k, m, device=DEVICE, dtype=DTYPES[precision])
        a @ b
        wait()
        done = 0
        start = perf_counter()
        while perf_counter() - start < 0.5:
            a @ b
            done += 1
            wait()
        best = max(best, 2 * n * k * m * done / (perf_counter() - start))
    return best


@contextlib.contextmanager
def memory():
    """Yield a list that afterwards holds the peak memory in MB, beyond what was used before."""
    peak: list[float] = []
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield peak
        peak.append((torch.cuda.max_memory_allocated() - before) / 2**20)
        return
    process = psutil.Process()
    resident = [process.memory_info().rss]
    done = threading.Event()

    def look():
        while not done.wait(0.05):
            resident.append(process.memory_info().rss)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield peak
    done.set()
    thread.join()
    peak.append((max(resident) - resident[0]) / 2**20)


def run_once(
    loop, tagger: Tagger, examples: list, config: Config, bf16: bool
) -> tuple[float, float]:
    """Seconds and MB of one run of a loop on a copy of the tagger.

    Up to its `yield` a loop prepares its data, its optimizer and so on; the rest is timed. The MB
    are those beyond what was used before, the model included.
    """
    # else one loop would inherit another's precision
    AcceleratorState._reset_state(reset_partial_state=True)
    torch._dynamo.reset()  # and its compiled code, which knows other shapes
    gc.collect()
    torch.manual_seed(config.seed)
    with memory() as peak:
        own = copy.deepcopy(tagger)
        own.model.to(DEVICE)
        run = loop(own, examples, config, bf16)
        next(run)
        wait()
        start = perf_counter()
        for _ in run:
            pass
        wait()
        seconds = perf_counter() - start
    return seconds, peak[0]


class Measured(NamedTuple):
    """One timed run of a loop."""

    tokens_per_second: float
    mfu: float
    megabytes: float
    seconds: float
    peak_flops: float  # of the fastest matrix product, per second


def compare(
    tagger: Tagger, examples: list, config: Config, rounds: int, loops: dict, precisions: list[str]
) -> list[dict]:
    """One row per loop and precision, after a short run of each that warms up."""
    runs = [(name, precision) for precision in precisions for name in loops]
    measured: dict[tuple[str, str], list[Measured]] = {run: [] for run in runs}
    tokens = sum(map(len, examples)) * config.epochs
    needed = flops(tagger, examples) * config.epochs
    for number in range(rounds + 1):
        first = number % len(runs)
        for name, precision in runs[first:] + runs[:first]:
            data = examples if number else examples[:64]
            before = matmul_peak(precision)
            seconds, megabytes = run_once(loops[name], tagger, data, config, precision == "bf16")
            if not number:
                continue
            peak = (before + matmul_peak(precision)) / 2
            speed = tokens / seconds
            measured[name, precision].append(
                Measured(speed, needed / seconds / peak, megabytes, seconds, peak)
            )
            print(
                f"round {number}, {name}, {precision}: {speed:.0f} tokens/s",
                file=sys.stderr,
                flush=True,
            )

    # the kit with its defaults, where that is among the loops
    ours = [name for name in loops if name.startswith("the kit")]
    ours = [name for name in ours if not name.endswith("padded")] or ours
    best = {p: max(ours, key=lambda one: middle(measured[one, p])) for p in precisions}
    default = pick_precision("auto", DEVICE)

    def times(precision, run):
        pairs = zip(measured[best[precision], precision], measured[run], strict=True)
        ratios = [kit.tokens_per_second / other.tokens_per_second for kit, other in pairs]
        return f"{statistics.median(ratios):.2f}"

    rows = []
    for name, precision in runs:
        own = measured[name, precision]
        speeds = [one.tokens_per_second for one in own]
        rows.append(
            {
                "loop": name,
                "precision": precision,
                "tokens/s": f"{statistics.median(speeds):.0f}",
                "lowest": f"{min(speeds):.0f}",
                "highest": f"{max(speeds):.0f}",
                "MFU (%)": f"{100 * middle(own, 'mfu'):.0f}",
                "memory (MB)": f"{middle(own, 'megabytes'):.0f}",
                "epoch (s)": f"{middle(own, 'seconds') / config.epochs:.1f}",
                "peak (GFLOP/s)": f"{middle(own, 'peak_flops') / 1e9:.0f}",
                "kit in the same precision": times(precision, (name, precision)),
                "kit with its defaults": times(
                    default if default in precisions else precision, (name, precision)
                ),
            }
        )
    return rows


def middle(runs: list[Measured], quantity: str = "tokens_per_second") -> float:
    """The median of a quantity over the rounds."""
    return statistics.median(getattr(one, quantity) for one in runs)


def profile(tagger: Tagger, examples: list, config: Config, precision: str) -> list[dict]:
    """Where the time of the kit's steps goes, by operation: ten steps, after three that warm up."""
    kinds = {
        "matrix products": ("mm", "addmm", "bmm"),
        "dropout": ("random_", "ge", "native_dropout", "native_dropout_backward", "bernoulli_"),
        "softmax and attention": (
            "index_select",  # of packed batches
            "scatter_add_",
            "_softmax",
            "_softmax_backward_data",
            "_flash_attention_forward",
            "_flash_attention_backward",
        ),
        "GELU": ("gelu", "gelu_backward"),
        "layer norm": ("native_layer_norm", "native_layer_norm_backward"),
        "optimizer and clipping": (
            "_fused_adamw_",
            "linalg_vector_norm",
            "_foreach_norm",
            "_foreach_mul_",
        ),
        "copies": ("copy_", "cat"),
    }
    AcceleratorState._reset_state(reset_partial_state=True)
    tagger = copy.deepcopy(tagger)
    use_attention(tagger.model)
    use_fast_dropout(tagger.model)
    # so many epochs that there are enough steps
    settings = replace(config, precision=precision, max_tokens=TOKEN_LIMITS[-1], epochs=100)
    steps = iter(Training(tagger, examples, settings))
    for _ in range(3):
        next(steps, None)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if DEVICE.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(10):
            next(steps, None)
        wait()
    own = "self_device_time_total" if DEVICE.type == "cuda" else "self_cpu_time_total"
    spent = {  # by operation: a GPU's kernels are listed once more by themselves
        event.key.removeprefix("aten::"): getattr(event, own)
        for event in profiler.key_averages()
        if event.device_type == torch.autograd.DeviceType.CPU
    }
    total = sum(spent.values())
    shares = {
        kind: sum(spent.get(name, 0) for name in names) / total for kind, names in kinds.items()
    }
    shares["the rest"] = 1 - sum(shares.values())
    return [
        {"where the time goes": kind, "precision": precision, "share (%)": f"{100 * share:.1f}"}
        for kind, share in shares.items()
    ]


def objective_share(
    tagger: Tagger, examples: list, config: Config, precisions: list[str]
) -> list[dict]:
    """The objective's forward and backward on the batches of one epoch, beside its steps."""
    rows = []
    for precision in precisions:
        for reward in SHARE_OF:
            AcceleratorState._reset_state(reset_partial_state=True)
            settings = replace(config, precision=precision, reward=reward, epochs=1)
            training = Training(copy.deepcopy(tagger), examples, settings)
            steps = [step.seconds for step in training][-1]
            objective = 0.0
            for group in batches(training.lengths, config.max_tokens, config.seed):
                labels = collate([examples[i] for i in group])["labels"].to(DEVICE)
                logits = torch.randn(
                    *labels.shape, len(tagger.labels), requires_grad=True, device=DEVICE
                )
                wait()
                start = perf_counter()
                torch.autograd.grad(training.objective(logits, labels).total, logits)
                wait()
                objective += perf_counter() - start
            milliseconds = [f"{1000 * total / len(training):.2f}" for total in (objective, steps)]
            rows.append(
                {
                    "reward": reward,
                    "precision": precision,
                    "objective (ms)": milliseconds[0],
                    "step (ms)": milliseconds[1],
                    "share (%)": f"{100 * objective / steps:.2f}",
                }
            )
    return rows


def epoch_shares(tagger: Tagger, corpus: Corpus, config: Config) -> list[dict]:
    """Where the seconds of one epoch of the corpus go, as `rmlib train` runs it."""
    AcceleratorState._reset_state(reset_partial_state=True)
    seconds = {"steps": 0.0, "evaluation": 0.0, "checkpoints": 0.0}

    def timed(what, function):
        def call():
            start = perf_counter()
            result = function()
            seconds[what] += perf_counter() - start
            return result

        return call

    tagger = copy.deepcopy(tagger)
    with tempfile.TemporaryDirectory() as folder:
        score = timed("evaluation", lambda: evaluate(tagger, corpus.dev))
        training = Training(
            tagger, tagger.encode(corpus.train).examples, config, score, Path(folder) / "checkpoint"
        )
        training._save = timed("checkpoints", training._save)
        seconds["steps"] = [step.seconds for step in training][-1]
    total = sum(seconds.values())
    return [
        {"one epoch": what, "seconds": f"{s:.2f}", "share (%)": f"{100 * s / total:.1f}"}
        for what, s in seconds.items()
    ]


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.speed", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--model", choices=("minilm", "base"), default="minilm")
    parser.add_argument(
        "--encoder", default="minilm", help="a folder that tests.benchmarks.carry wrote"
    )
    parser.add_argument(
        "--sentences", type=int, default=2030, help="training sentences; repeated beyond 2,030"
    )
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="after a short one that warms up")
    # bf16 takes ages where the machine does not compute in it
    computed = [p for p in DTYPES if p in ("fp32", pick_precision("auto", DEVICE))]
    parser.add_argument(
        "--precisions", nargs="+", choices=DTYPES, default=computed, help="those of this machine"
    )
    parser.add_argument(
        "--loops",
        nargs="+",
        choices=LOOPS,
        default=list(LOOPS),
        metavar="LOOP",
        help="some of them",
    )
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    logging.set_verbosity_error()
    tail = "_base" if chosen.model == "base" else ""
    tail += "" if DEVICE.type == "cpu" else f"_{DEVICE.type}"
    out = chosen.out or data_dir() / "results" / f"speed{tail}.csv"
    corpus = newswire()
    plain = as_transformers_makes_it(new_tagger(corpus.tags, chosen.encoder))
    plain = plain if chosen.model == "minilm" else base_tagger(plain)
    examples = plain.encode(corpus.train).examples
    examples = (examples * (chosen.sentences // len(examples) + 1))[: chosen.sentences]
    config = Config(epochs=chosen.epochs)
    tables = [
        compare(
            plain,
            examples,
            config,
            chosen.rounds,
            {name: LOOPS[name] for name in chosen.loops},
            chosen.precisions,
        )
    ]
    tables += [profile(plain, examples, config, precision) for precision in chosen.precisions]
    if chosen.model == "minilm":
        tables += [
            objective_share(plain, examples, config, chosen.precisions),
            epoch_shares(plain, corpus, replace(config, epochs=1)),
        ]
    for table in tables:
        print(markdown(table))
    options = f"--model {chosen.model} --sentences {chosen.sentences}"
    options += f" --epochs {chosen.epochs} --rounds {chosen.rounds}"
    about = ", ".join(f"{package} {number}" for package, number in versions().items())
    device = (
        torch.cuda.get_device_name()
        if DEVICE.type == "cuda"
        else f"CPU, {torch.get_num_threads()} threads"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out, "w", newline="", encoding="utf8") as file:
        file.write(f"# {parser.prog} {options}; {about}; {device}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["what", "precision", "quantity", "value"])
        for row in (row for table in tables for row in table):
            (_, what), *quantities = row.items()
            writer.writerows(
                [what, row.get("precision", ""), *pair]
                for pair in quantities
                if pair[0] != "precision"
            )


if __name__ == "__main__":
    main()
