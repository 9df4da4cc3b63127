"""Train the small head that lesson 00 shows, and store it in data/pretrained_head/head.safetensors.

    python data/make_pretrained_head.py

MiniLM stays as it was pretrained. What trains is the linear layer on top of it and the four vectors
that tell the uncased encoder how a word is capitalised: about 5,000 numbers, so the file is small
enough to ship with the kit.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tqdm import trange

from rmlib import RewardObjective
from rmlib.models.encoder import new_tagger
from rmlib.models.pretrained_head import TRAINED, head_file
from rmlib.text.batches import batches
from rmlib.text.corpora import newswire
from rmlib.text.packing import TokenStore
from rmlib.training.runs import evaluate, versions

LR = 5e-3
MAX_TOKENS = 1024  # per batch
SEED = 0


def train(epochs: int, alpha: float):
    """Train the head and the case vectors; return the tagger and its dev and test scores.

    The last epoch is kept.
    """
    corpus = newswire()
    tagger = new_tagger(corpus.tags, dropout=0.0, seed=SEED)
    model = tagger.model.train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in TRAINED)
    objective = RewardObjective(alpha, "soft_f1")
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=LR, weight_decay=0.0
    )
    encoded = tagger.encode(corpus.train)
    store = TokenStore(encoded.examples, tagger.tokenizer.pad_token_id, tagger.case)
    steps = epochs * len(batches(encoded.lengths, MAX_TOKENS, SEED, 0))
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for epoch in (bar := trange(epochs, unit="epoch")):
        for group in batches(encoded.lengths, MAX_TOKENS, SEED, epoch):
            batch = store.padded(group)
            loss = objective(
                model(**batch.inputs).logits.flatten(0, 1)[batch.items], batch.labels
            ).total
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        bar.set_postfix(loss=f"{loss:.3f}", dev_f1=f"{evaluate(tagger, corpus.dev)['f1']:.3f}")
    return tagger, evaluate(tagger, corpus.dev), evaluate(tagger, corpus.test)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=head_file())
    arguments = parser.parse_args()
    tagger, dev, test = train(arguments.epochs, arguments.alpha)
    tensors = {name: tagger.model.get_parameter(name).detach().contiguous() for name in TRAINED}
    facts = {
        "encoder": "minilm",
        "tags": tagger.labels,
        "command": "python data/make_pretrained_head.py"
        f" --epochs {arguments.epochs} --alpha {arguments.alpha:g}",
        "dev_f1": round(dev["f1"], 4),
        "test_f1": round(test["f1"], 4),
        "test_precision": round(test["precision"], 4),
        "test_recall": round(test["recall"], 4),
        "trained_numbers": sum(tensor.numel() for tensor in tensors.values()),
        "versions": versions(),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, arguments.out, {"facts": json.dumps(facts)})
    arguments.out.chmod(0o644)  # save_file makes it readable for its owner alone
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
