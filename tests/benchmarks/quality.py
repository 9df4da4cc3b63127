"""Compare the F1 of the kit's training loop and of `transformers.Trainer` over seeds.

    python -m tests.benchmarks.quality --workers 2 --accept-licence

fills data/results/quality.csv: MiniLM on the newswire and on the first 3,000 sentences of
CoNLL-2003 (whose licence you accept), five seeds, two epochs, soft F1 at alpha 1. Model, sentences
and settings are the same for all loops, which are those of `tests.benchmarks.speed`:

- plain: transformers.Trainer with transformers' own attention and torch's own dropout, and as many
  sentences per batch as the kit has on average, so that the loops take as many steps; grouped by
  length, which is fast;
- the same, shuffled: its default, with much padding;
- the kit with its defaults: packed batches of as many tokens, with sentences of all lengths;
- the kit with padded batches: as many tokens per batch, grouped by length;
- the same without dropout on the attention weights, which packed batches do not have either.

On a CPU all compute in fp32, so that runs on several processors can stand in one table. All are
tested on the last epoch, so that nothing is chosen. If interrupted, the command resumes.
`--summary` prints the table from the file.
"""

import argparse
from functools import partial
from pathlib import Path

import torch
from accelerate.state import AcceleratorState
from transformers.models.bert.modeling_bert import BertSelfAttention
from transformers.utils import logging

from rmlib.models.encoder import new_tagger
from rmlib.studies.table import Study, fill, read
from rmlib.text.batches import batches
from rmlib.text.corpora import conll2003, data_dir, newswire
from rmlib.training.config import Config
from rmlib.training.runs import evaluate
from rmlib.training.setup import pick_precision

from .speed import DEVICE, as_transformers_makes_it, train_kit, train_trainer
from .tables import PLAIN, markdown, quality_rows


def train_plain(tagger, examples, config, bf16, **more):
    """`train_trainer` with as many sentences per batch as the kit's batches have on average."""
    steps = len(batches([len(e) for e in examples], config.max_tokens))
    return train_trainer(tagger, examples, config, bf16, batch=round(len(examples) / steps), **more)


def train_without_attention_dropout(tagger, examples, config, bf16):
    """`train_kit` with padded batches and no dropout on the attention weights."""
    for module in tagger.model.modules():
        if isinstance(module, BertSelfAttention):
            module.dropout.p = 0.0
    return train_kit(tagger, examples, config, bf16, packed="no")


LOOPS = {
    PLAIN: train_plain,
    f"{PLAIN}, shuffled": partial(train_plain, order="random"),
    "the kit": partial(train_kit, packed="yes"),
    "the kit, padded": partial(train_kit, packed="no"),
    "the kit, padded, no attention dropout": train_without_attention_dropout,
}
CORPORA = {
    "newswire": newswire,
    "conll2003, 3000 sentences": partial(conll2003, accept_licence=True, limit=3000),
}
EPOCHS = 2


def one_run(corpus: str, loop: str, seed: int) -> dict:
    """The scores of one run on the corpus's test part."""
    logging.set_verbosity_error()
    AcceleratorState._reset_state(reset_partial_state=True)  # a worker makes several runs
    data = CORPORA[corpus]()
    torch.manual_seed(seed)
    tagger = new_tagger(data.tags, seed=seed)
    tagger = as_transformers_makes_it(tagger) if loop.startswith(PLAIN) else tagger
    bf16 = DEVICE.type != "cpu" and pick_precision("auto", DEVICE) == "bf16"
    # without case dropout, which the plain loop does not have
    config = Config(epochs=EPOCHS, seed=seed, patience=0, case_dropout=0.0)
    for _ in LOOPS[loop](tagger, tagger.encode(data.train).examples, config, bf16):
        pass
    scores = evaluate(tagger, data.test)
    return {name: scores[name] for name in ("f1", "precision", "recall")} | {
        "device": DEVICE.type,
        "computed_in": "bf16" if bf16 else "fp32",
    }


def study(seeds: int) -> Study:
    pairs = [(c, name) for c in CORPORA for name in LOOPS]
    runs = [{"corpus": c, "loop": name, "seed": seed} for c, name in pairs for seed in range(seeds)]
    return Study(
        "quality",
        f"python -m tests.benchmarks.quality --seeds {seeds} --accept-licence",
        runs,
        one_run,
    )


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.quality", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--accept-licence", action="store_true", help="of CoNLL-2003: research only"
    )
    parser.add_argument("--summary", action="store_true", help="make no runs")
    parser.add_argument("--out", type=Path, default=data_dir() / "results" / "quality.csv")
    chosen = parser.parse_args()
    if chosen.summary:
        table = read(chosen.out)
    elif chosen.accept_licence:
        table = fill(study(chosen.seeds), chosen.out, workers=chosen.workers)
    else:
        parser.error(
            "CoNLL-2003 is licensed for research only; give --accept-licence if you accept it"
        )
    print(markdown(quality_rows(table)))


if __name__ == "__main__":
    main()
