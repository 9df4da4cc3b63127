"""Hidden states of a frozen encoder, computed once and kept in a cache."""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm.auto import tqdm

from rmlib.text.batches import batches
from rmlib.text.downloads import cache_dir
from rmlib.text.encoding import Encoded
from rmlib.text.packing import TokenStore

from .encoder import Classifier

VERSION = 1  # of the stored numbers; part of the key
_MEMORY: dict[str, tuple[Tensor, Tensor]] = {}  # by key, in this process


def hidden_states(
    classifier: Classifier, encoded: Encoded, layer: int, progress: bool = True
) -> tuple[Tensor, Tensor]:
    """The hidden state of a layer on the first token of every word, or of every text.

    Kept in memory, and as a file in the cache folder of the assets; the key is a hash of all
    weights of the encoder and of the tokens. A damaged file is computed again.

    Args:
        classifier: its encoder is used, its head is not.
        encoded: from `Tagger.encode`, or from `encoding.encode_texts`.
        layer: 0 (the embeddings) to the number of layers.
        progress: whether to show a bar while they are computed.

    Returns:
        x (words, hidden size) float32 and y (words,) int, in the order of `encoded`.
    """
    key = _key(classifier, encoded, layer)
    path = cache_dir() / "features" / f"{key}.safetensors"
    if key not in _MEMORY:
        stored = _read(path)
        if stored is None:
            stored = _compute(classifier, encoded, layer, progress)
            _write(path, *stored)
        _MEMORY[key] = stored
    return _MEMORY[key]


def _key(classifier: Classifier, encoded: Encoded, layer: int) -> str:
    key = hashlib.sha256(f"{VERSION} {layer} {classifier.case}".encode())
    for name, tensor in classifier.model.base_model.state_dict().items():
        key.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        key.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    for example in encoded.examples:
        key.update(repr((example.input_ids, example.labels, example.case)).encode())
    return key.hexdigest()


@torch.no_grad()
def _compute(
    classifier: Classifier, encoded: Encoded, layer: int, progress: bool
) -> tuple[Tensor, Tensor]:
    model = classifier.model
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    store = TokenStore(encoded.examples, classifier.tokenizer.pad_token_id, classifier.case, device)
    x: list = [None] * len(encoded)
    y: list = [None] * len(encoded)
    with tqdm(total=len(encoded), desc="features", unit="sentence", disable=not progress) as bar:
        for group in batches(encoded.lengths, 4096):
            batch = store.padded(group)
            output = model.base_model(**batch.inputs, output_hidden_states=True)
            states = output.hidden_states[layer]
            rows = states[:, 0] if store.per_text else states.flatten(0, 1)[batch.items]
            states_of = rows.float().cpu().split(batch.items_per_sentence)
            labels_of = batch.labels.cpu().split(batch.items_per_sentence)
            for i, own_states, own_labels in zip(group, states_of, labels_of, strict=True):
                x[i], y[i] = own_states, own_labels
            bar.update(len(group))
    model.train(was_training)
    return torch.cat(x), torch.cat(y)


def _digest(x: Tensor, y: Tensor) -> str:
    content = x.contiguous().numpy().tobytes() + y.contiguous().numpy().tobytes()
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> tuple[Tensor, Tensor] | None:
    """The stored tensors; None if there is no file, or a damaged one."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            x = file.get_tensor("x")
            y = file.get_tensor("y")
            digest = (file.metadata() or {}).get("sha256")
    except Exception:  # safetensors raises exception classes of its own
        return None
    return (x, y) if digest == _digest(x, y) else None


def _write(path: Path, x: Tensor, y: Tensor) -> None:
    """Write beside the file and move into place; a cache that is read-only is left as it is."""
    with suppress(OSError, SafetensorError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=path.parent, prefix=".new-", ignore_cleanup_errors=True
        ) as folder:
            save_file({"x": x, "y": y}, f"{folder}/new", metadata={"sha256": _digest(x, y)})
            os.replace(f"{folder}/new", path)
