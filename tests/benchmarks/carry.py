"""Write MiniLM with 16-bit weights into a folder, for a machine without access to a registry.

python -m tests.benchmarks.carry FOLDER        # 46 MB; then, there: … --encoder FOLDER
"""

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from rmlib.text import downloads


def carry(folder: Path) -> int:
    """Write the encoder and return its size in bytes.

    It loads like any other: the weights become 32-bit numbers again, rounded to 8 bits of
    precision.
    """
    home = downloads.fetch("minilm")
    folder.mkdir(parents=True, exist_ok=True)
    for file in home.iterdir():
        if file.suffix in (".json", ".txt"):
            shutil.copyfile(file, folder / file.name)
    weights = load_file(home / "model.safetensors")
    half = {
        name: w.to(torch.bfloat16) if w.is_floating_point() else w for name, w in weights.items()
    }
    save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
    return sum(file.stat().st_size for file in folder.iterdir())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    print(f"{folder}: {carry(folder) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
