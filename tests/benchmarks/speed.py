"""How fast is the kit's loop? Three loops, one after the other, on the same sentences, model and trained weights.

    python -m tests.benchmarks.speed                      # MiniLM, as the README shows it
    python -m tests.benchmarks.speed --model base --sentences 14041 --rounds 2

prints markdown tables and writes data/results/speed.csv (speed_base.csv, speed_cuda.csv …). It runs on the GPU where
there is one. The loops:

- the article's: every sentence padded to 128 pieces, 16 sentences a batch, all 128 positions computed;
- transformers.Trainer with its dynamic padding and fused optimizer, at several batch sizes, grouped by length, which is
  fast, and shuffled, as it comes;
- the kit's `Training`; on a CPU also with sentences of one length padded, which is faster, in place of packed rows.

Speed is in pieces that matter (word pieces without padding) per second. MFU is the share of the machine's fastest
matrix product, measured right before and right after the run, that goes into the arithmetic that these pieces need: for
each 6 flops a weight of a linear layer, and 12 layers · width · sentence length for attention. Each round runs every
loop once, each round begins with another loop, and a ratio is taken inside a round before the median over the rounds,
so that a machine that slows down for a minute favours nobody. Let nothing else run on the machine meanwhile. bf16 is
measured where the machine computes in it.

`--model base` is BERT-base's shape (12 layers, width 768) with random weights, which make no difference to speed.
`--sentences` beyond the newswire's 2,030 takes them again: 14,041 is as many as CoNLL-2003 has.

For a machine that reaches no registry: `python -m tests.benchmarks.carry FOLDER` writes MiniLM with 16-bit weights
(45 MB); there, `python -m tests.benchmarks.speed --encoder FOLDER`.
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
from rmlib.models.dropout import use_quick_dropout
from rmlib.models.encoder import Tagger, add_case_channel, encoder_layers, freeze, new_tagger
from rmlib.text.batches import batches
from rmlib.text.corpora import Corpus, data_dir, newswire
from rmlib.training.config import Config
from rmlib.training.loop import Training
from rmlib.training.runs import evaluate, versions
from rmlib.training.setup import pick_precision
from tests.text.padding import collate

WIDTH, ARTICLE_BATCH = 128, 16  # the article's
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
TRAINER_BATCHES = (16, 32, 64) if DEVICE.type == "cpu" else (32, 64, 128)
BUDGETS = (1024,) if DEVICE.type == "cpu" else (1024, 4096, 16384)
PRODUCTS = ((1024, 384, 1536), (2048, 2048, 2048)) if DEVICE.type == "cpu" else ((8192, 8192, 8192),)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def train_article(tagger: Tagger, examples: list, config: Config, bf16: bool):
    """The article's loop: one width for all, padding labelled O and counted in the loss. The sentences are padded
    once, before the clock starts; the article does it again in every epoch."""
    freeze(tagger.model, config.freeze)
    whole = collate(examples, tagger.tokenizer.pad_token_id, tagger.case)
    fill = {"input_ids": tagger.tokenizer.pad_token_id}  # 0 for the rest, also for the labels: O
    whole["labels"][whole["attention_mask"] == 0] = 0
    whole = {k: torch.nn.functional.pad(v, (0, WIDTH - v.shape[1]), value=fill.get(k, 0)) for k, v in whole.items()}
    data = torch.utils.data.TensorDataset(*whole.values())
    model = tagger.model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=config.lr)
    yield
    for _ in range(config.epochs):
        epoch_loss = 0.0
        for batch in torch.utils.data.DataLoader(data, batch_size=ARTICLE_BATCH, shuffle=True):
            model.zero_grad()
            with torch.autocast(DEVICE.type, torch.bfloat16, enabled=bf16):
                loss = model(**{name: one.to(DEVICE) for name, one in zip(whole, batch, strict=True)}).loss
            epoch_loss += loss.item()
            loss.backward()
            optimizer.step()


def train_trainer(tagger: Tagger, examples: list, config: Config, bf16: bool, batch: int, order="group_by_length"):
    """transformers.Trainer with the kit's objective and settings; it logs, evaluates and saves nothing."""
    freeze(tagger.model, config.freeze)
    data = [
        {"input_ids": e.input_ids, "attention_mask": [1] * len(e), "token_type_ids": e.case, "labels": e.labels}
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
    """The kit's loop with its defaults, but for the precision and the settings asked for. A compiled encoder takes the
    first of its steps before the clock starts, and a second time after."""
    use_attention(tagger.model)
    use_quick_dropout(tagger.model)
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
    """The kit as it comes; on a GPU with larger batches and compiled, too, and on a CPU padded."""
    named = {"the kit": {}} | {f"the kit, {budget} pieces a batch": {"budget": budget} for budget in BUDGETS[1:]}
    if DEVICE.type == "cuda":
        named |= {f"{name}, compiled": {**settings, "compile": True} for name, settings in named.items()}
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
    """The tagger with torch's own dropout and transformers' own attention: what everyone but the kit trains."""
    for name, module in list(tagger.model.named_modules()):
        if isinstance(module, torch.nn.Dropout):
            tagger.model.set_submodule(name, torch.nn.Dropout(module.p))
    tagger.model.set_attn_implementation("sdpa")
    return tagger


def base_tagger(like: Tagger) -> Tagger:
    """A tagger of BERT-base's shape with random weights, and the tokenizer and tags of another."""
    torch.manual_seed(0)
    config = BertConfig(vocab_size=like.model.config.vocab_size, num_labels=len(like.labels))
    model = BertForTokenClassification(config)
    add_case_channel(model)
    return Tagger(model, like.tokenizer, like.labels)


def wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def flops(tagger: Tagger, examples: list) -> float:
    """What one epoch needs: forward and backward, padding not counted."""
    layers = list(encoder_layers(tagger.model))
    linear = [m for part in [*layers, tagger.model.classifier] for m in part.modules()]
    weights = sum(m.weight.numel() for m in linear if isinstance(m, torch.nn.Linear))
    width = tagger.model.config.hidden_size
    return float(sum(6 * weights * len(e) + 12 * len(layers) * width * len(e) ** 2 for e in examples))


def matmul_peak(precision: str) -> float:
    """Flops a second of the fastest of a few large matrix products, half a second each."""
    best = 0.0
    for n, k, m in PRODUCTS:
        a, b = (torch.randn(shape, device=DEVICE, dtype=DTYPES[precision]) for shape in ((n, k), (k, m)))
        a @ b
        wait()
        start, done = perf_counter(), 0
        while perf_counter() - start < 0.5:
            a @ b
            done += 1
            wait()
        best = max(best, 2 * n * k * m * done / (perf_counter() - start))
    return best


@contextlib.contextmanager
def memory():
    """A list that holds, afterwards, the most MB that were in use beyond what was in use before."""
    found, done = [], threading.Event()
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield found
        found.append((torch.cuda.max_memory_allocated() - before) / 2**20)
        return
    process, seen = psutil.Process(), [psutil.Process().memory_info().rss]

    def look():
        while not done.wait(0.05):
            seen.append(process.memory_info().rss)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield found
    done.set()
    thread.join()
    found.append((max(seen) - seen[0]) / 2**20)


def run_once(loop, tagger: Tagger, examples: list, config: Config, bf16: bool) -> tuple[float, float]:
    """Seconds and MB of one run of a loop on a copy of the tagger. Up to its `yield` a loop prepares its data, its
    optimizer and so on; the rest is timed. The MB are those beyond what was in use before, the model included."""
    AcceleratorState._reset_state(reset_partial_state=True)  # else one loop would inherit another's precision
    torch._dynamo.reset()  # and its compiled code, which knows of other shapes
    gc.collect()
    torch.manual_seed(config.seed)
    with memory() as most:
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
    return seconds, most[0]


def compare(
    tagger: Tagger, examples: list, config: Config, rounds: int, loops: dict, precisions: list[str]
) -> list[dict]:
    """Every loop in every precision, a row each, after a short run of each that warms up."""
    runs = [(name, precision) for precision in precisions for name in loops]
    found: dict[tuple, list[tuple]] = {run: [] for run in runs}
    pieces, needed = sum(map(len, examples)) * config.epochs, flops(tagger, examples) * config.epochs
    for number in range(rounds + 1):
        turn = number % len(runs)
        for name, precision in runs[turn:] + runs[:turn]:
            data = examples if number else examples[:64]
            before = matmul_peak(precision)
            seconds, megabytes = run_once(loops[name], tagger, data, config, precision == "bf16")
            if number:
                peak = (before + matmul_peak(precision)) / 2
                found[name, precision].append((pieces / seconds, needed / seconds / peak, megabytes, seconds, peak))
                print(
                    f"round {number}, {name}, {precision}: {pieces / seconds:.0f} pieces/s", file=sys.stderr, flush=True
                )

    kits = [name for name in loops if name.startswith("the kit")]
    kits = [name for name in kits if not name.endswith("padded")] or kits  # as it comes, where that is among the loops
    best = {p: max(kits, key=lambda one: statistics.median(f[0] for f in found[one, p])) for p in precisions}

    usual = pick_precision("auto", DEVICE)

    def times(precision, run):
        kit = found[best[precision], precision]
        return f"{statistics.median(k[0] / s[0] for k, s in zip(kit, found[run], strict=True)):.2f}"

    def middle(run, place):
        return statistics.median(one[place] for one in found[run])

    return [
        {
            "loop": name,
            "precision": precision,
            "pieces/s": f"{middle((name, precision), 0):.0f}",
            "lowest": f"{min(one[0] for one in found[name, precision]):.0f}",
            "highest": f"{max(one[0] for one in found[name, precision]):.0f}",
            "MFU (%)": f"{100 * middle((name, precision), 1):.0f}",
            "memory (MB)": f"{middle((name, precision), 2):.0f}",
            "epoch (s)": f"{middle((name, precision), 3) / config.epochs:.1f}",
            "peak (GFLOP/s)": f"{middle((name, precision), 4) / 1e9:.0f}",
            "kit in the same precision": times(precision, (name, precision)),
            "kit as it comes": times(usual if usual in precisions else precision, (name, precision)),
        }
        for name, precision in runs
    ]


def profile(tagger: Tagger, examples: list, config: Config, precision: str) -> list[dict]:
    """Where the time of the kit's steps goes, by kind of operation: ten steps, after three that warm up."""
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
        "optimizer and clipping": ("_fused_adamw_", "linalg_vector_norm", "_foreach_norm", "_foreach_mul_"),
        "copies": ("copy_", "cat"),
    }
    AcceleratorState._reset_state(reset_partial_state=True)
    tagger = copy.deepcopy(tagger)
    use_attention(tagger.model)
    use_quick_dropout(tagger.model)
    settings = replace(config, precision=precision, budget=BUDGETS[-1], epochs=100)  # that there are steps enough
    steps = iter(Training(tagger, examples, settings))
    for _ in range(3):
        next(steps, None)
    on = [
        torch.profiler.ProfilerActivity.CPU,
        *([torch.profiler.ProfilerActivity.CUDA] if DEVICE.type == "cuda" else []),
    ]
    with torch.profiler.profile(activities=on) as seen:
        for _ in range(10):
            next(steps, None)
        wait()
    own = "self_device_time_total" if DEVICE.type == "cuda" else "self_cpu_time_total"
    spent = {  # of the operations: a GPU's kernels are told once more by themselves
        event.key.removeprefix("aten::"): getattr(event, own)
        for event in seen.key_averages()
        if event.device_type == torch.autograd.DeviceType.CPU
    }
    whole = sum(spent.values())
    shares = {kind: sum(spent.get(name, 0) for name in names) / whole for kind, names in kinds.items()}
    shares["the rest"] = 1 - sum(shares.values())
    return [
        {"where the time goes": kind, "precision": precision, "share (%)": f"{100 * share:.1f}"}
        for kind, share in shares.items()
    ]


def objective_share(tagger: Tagger, examples: list, config: Config, precisions: list[str]) -> list[dict]:
    """The objective's forward and backward on the batches of one epoch, beside the steps of that epoch."""
    rows = []
    for precision in precisions:
        for reward in ("expected_accuracy", "soft_f1", "soft_f1_macro"):  # objective_cost.py has all of them
            AcceleratorState._reset_state(reset_partial_state=True)
            settings = replace(config, precision=precision, reward=reward, epochs=1)
            training = Training(copy.deepcopy(tagger), examples, settings)
            steps = [step.seconds for step in training][-1]
            objective = 0.0
            for group in batches(training.lengths, config.budget, config.seed):
                labels = collate([examples[i] for i in group])["labels"].to(DEVICE)
                logits = torch.randn(*labels.shape, len(tagger.labels), requires_grad=True, device=DEVICE)
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
    """Where the seconds of one epoch of the whole corpus go, as `rmlib train` runs it."""
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
        training = Training(tagger, tagger.encode(corpus.train).examples, config, score, Path(folder) / "checkpoint")
        training._save = timed("checkpoints", training._save)
        seconds["steps"] = [step.seconds for step in training][-1]
    whole = sum(seconds.values())
    return [
        {"one epoch": what, "seconds": f"{s:.2f}", "share (%)": f"{100 * s / whole:.1f}"} for what, s in seconds.items()
    ]


def markdown(rows: list[dict]) -> str:
    """A table of rows that share their keys."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(row.values() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.speed", description=__doc__.split("\n")[0])
    parser.add_argument("--model", choices=("minilm", "base"), default="minilm")
    parser.add_argument("--encoder", default="minilm", help="a folder that tests.benchmarks.carry wrote")
    parser.add_argument("--sentences", type=int, default=2030, help="training sentences; taken again beyond 2,030")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="beside a short one that warms up")
    computed = [p for p in DTYPES if p in ("fp32", pick_precision("auto", DEVICE))]  # elsewhere bf16 takes ages
    parser.add_argument("--precisions", nargs="+", choices=DTYPES, default=computed, help="those of this machine")
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=list(LOOPS), metavar="LOOP", help="some of them")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    logging.set_verbosity_error()
    tail = ("_base" if chosen.model == "base" else "") + ("" if DEVICE.type == "cpu" else f"_{DEVICE.type}")
    out = chosen.out or data_dir() / "results" / f"speed{tail}.csv"
    corpus = newswire()
    plain = as_transformers_makes_it(new_tagger(corpus.tags, chosen.encoder))
    plain = plain if chosen.model == "minilm" else base_tagger(plain)
    examples = plain.encode(corpus.train).examples
    examples = (examples * (chosen.sentences // len(examples) + 1))[: chosen.sentences]
    config = Config(epochs=chosen.epochs)
    tables = [
        compare(plain, examples, config, chosen.rounds, {name: LOOPS[name] for name in chosen.loops}, chosen.precisions)
    ]
    tables += [profile(plain, examples, config, precision) for precision in chosen.precisions]
    if chosen.model == "minilm":
        tables += [
            objective_share(plain, examples, config, chosen.precisions),
            epoch_shares(plain, corpus, replace(config, epochs=1)),
        ]
    for table in tables:
        print(markdown(table))
    options = f"--model {chosen.model} --sentences {chosen.sentences} --epochs {chosen.epochs} --rounds {chosen.rounds}"
    about = ", ".join(f"{package} {number}" for package, number in versions().items())
    device = torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out, "w", newline="", encoding="utf8") as file:
        file.write(f"# {parser.prog} {options}; {about}; {device}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["what", "precision", "quantity", "value"])
        for row in (row for table in tables for row in table):
            (_, what), *quantities = row.items()
            writer.writerows([what, row.get("precision", ""), *pair] for pair in quantities if pair[0] != "precision")


if __name__ == "__main__":
    main()
