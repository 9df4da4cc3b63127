"""Find and verify the folder of a pretrained encoder."""

import json
from pathlib import Path

from rmlib.errors import RmlibError
from rmlib.text import downloads

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")


class EncoderError(RmlibError):
    """A model that cannot be found or that the kit refuses to load."""


def resolve(encoder: str) -> Path:
    """The verified local folder of an encoder.

    Args:
        encoder: the kit's asset "minilm", a folder, or a name on the model hub.

    Raises:
        EncoderError: the folder holds no encoder, or none that can be loaded safely.
        AssetError: it cannot be fetched.
    """
    if encoder == "minilm":
        return downloads.fetch("minilm")
    folder = Path(encoder)
    return verified(folder if folder.is_dir() else downloads.hub_snapshot(str(encoder)))


def verified(path: Path) -> Path:
    """The folder itself, if it holds an encoder with config, safetensors and tokenizer.

    Raises:
        EncoderError: something is missing, or the weights are a pickle.
    """
    if not path.is_dir():
        raise EncoderError(
            f"{path} is not a folder; expected a folder with config.json and model.safetensors"
        )
    if not (path / "config.json").is_file():
        raise EncoderError(
            f"{path} has no config.json; expected an encoder as transformers saves it"
        )
    read_config(path)
    if not any(path.glob("*.safetensors")):
        pickles = [file.name for pattern in PICKLES for file in path.glob(pattern)]
        if pickles:
            raise EncoderError(
                f"{path} holds {pickles[0]}, a pickle, which can run code when it is opened; "
                "expected model.safetensors"
            )
        raise EncoderError(f"{path} holds no weights; expected model.safetensors")
    # without any of these files transformers would make up an empty vocabulary
    if not any(any(path.glob(name)) for name in TOKENIZERS):
        raise EncoderError(f"{path} holds no tokenizer; expected tokenizer.json")
    return path


def read_config(path: Path) -> dict:
    """The config.json of a folder; raises EncoderError if it is not one JSON object."""
    file = path / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EncoderError(f"{file} is not readable JSON: {error}") from error
    if not isinstance(config, dict):
        raise EncoderError(
            f"{file} is not one JSON object; expected a config as transformers saves it"
        )
    return config
