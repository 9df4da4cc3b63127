"""What the kit makes of each family of encoders in transformers: data/results/encoders.csv.

    python -m tests.benchmarks.encoders

Each family is a small random encoder with MiniLM's tokenizer; tests/models/families.py says what is
tried. tests/models/test_families.py holds the table to it.
"""

import csv
import tempfile
from importlib.metadata import version
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "data" / "results" / "encoders.csv"


def main() -> None:
    from transformers import AutoTokenizer
    from transformers.utils import logging

    from rmlib.text import corpora, downloads
    from tests.models.families import FAMILIES, examine

    logging.set_verbosity_error()
    tokenizer = AutoTokenizer.from_pretrained(downloads.fetch("minilm", progress=False))
    sentences = [s for s in corpora.newswire().train if len(s.words) <= 30][:24]
    with open(FILE, "w", newline="", encoding="utf8") as file:
        file.write("# python -m tests.benchmarks.encoders\n")
        writer = None
        for family in FAMILIES:
            with tempfile.TemporaryDirectory() as folder:
                row = examine(family, Path(folder), tokenizer, sentences)
            if writer is None:
                writer = csv.DictWriter(file, list(row))
                writer.writeheader()
            writer.writerow(row)
            print(*row.values(), flush=True)
    print(f"{FILE}, transformers {version('transformers')}")


if __name__ == "__main__":
    main()
