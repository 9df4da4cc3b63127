"""F1 of long texts read in windows, beside that of the same text cut into sentences.

    python -m tests.benchmarks.long_texts

Sentences of the newswire are joined to texts of 40, which are longer than MiniLM reads. A tagger
trains on the sentences or on the texts, and tags the test set as sentences and as texts, in windows
of `encoding.WINDOW` tokens and in windows as long as MiniLM reads. Writes
data/results/long_texts.csv.
"""

import argparse
import csv
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "data" / "results" / "long_texts.csv"
SENTENCES_PER_TEXT = 40


def joined(sentences: list) -> list:
    """The same words in texts of `SENTENCES_PER_TEXT` sentences."""
    from rmlib.text.conll import Sentence

    starts = range(0, len(sentences), SENTENCES_PER_TEXT)
    parts = [sentences[start : start + SENTENCES_PER_TEXT] for start in starts]
    return [
        Sentence(tuple(w for s in part for w in s.words), tuple(t for s in part for t in s.tags))
        for part in parts
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sentences", type=int, default=700)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()

    from rmlib.models.encoder import new_tagger
    from rmlib.text import encoding
    from rmlib.text.corpora import newswire
    from rmlib.training.config import Config
    from rmlib.training.loop import Training
    from rmlib.training.runs import evaluate

    corpus, short = newswire(), encoding.WINDOW
    texts = joined(corpus.test)
    trials = (("sentences", corpus.test, short), ("texts", texts, short), ("texts", texts, 512))
    with open(FILE, "w", newline="", encoding="utf8") as file:
        file.write(f"# python -m tests.benchmarks.long_texts --seeds {options.seeds}\n")
        writer = csv.writer(file)
        writer.writerow(["seed", "trained on", "tested on", "window", "examples", "f1"])
        for seed in range(options.seeds):
            train = corpus.train[: options.sentences]
            for name, own in (("sentences", train), ("texts", joined(train))):
                encoding.WINDOW = short
                tagger = new_tagger(corpus.tags, seed=seed)
                settings = {"max_tokens": 512, "precision": "fp32"}
                config = Config(seed=seed, epochs=options.epochs, **settings)
                list(Training(tagger, tagger.encode(own).examples, config))
                for form, test, window in trials:
                    encoding.WINDOW = window
                    count, f1 = len(tagger.encode(test)), evaluate(tagger, test)["f1"]
                    writer.writerow([seed, name, form, window, count, f"{f1:.4f}"])
                    file.flush()
                    print(seed, name, form, window, count, f"{f1:.4f}", flush=True)


if __name__ == "__main__":
    main()
