"""Scores and tags on dev sentences, while a tagger trains."""

import torch

from rmlib.models.encoder import Tagger
from rmlib.text.conll import Sentence, entities
from rmlib.text.metrics import entity_scores
from rmlib.training.setup import pick_precision

SHOWN = 3


class DevMonitor:
    """Scores a tagger on dev sentences at every call: the `evaluate` of `live.Live`.

    Args:
        tagger: the one that trains.
        sentences: dev sentences; a hundred take a few tenths of a second.
        shown: sentences whose tags are kept; by default three with entities of several types.

    Attributes:
        shown: these sentences.
        tags: the tags of the last call, one list of IOB2 tags per shown sentence; at first None.
        before: the tags of the call before that, or None.
    """

    def __init__(
        self, tagger: Tagger, sentences: list[Sentence], shown: list[Sentence] | None = None
    ):
        self.tagger = tagger
        self.sentences = sentences
        self.shown = several_types(sentences) if shown is None else shown
        self.tags: list[list[str]] | None = None
        self.before: list[list[str]] | None = None

    def __call__(self) -> dict[str, float]:
        """Entity-level "f1", "precision" and "recall" on the sentences, in [0, 1]."""
        device = next(self.tagger.model.parameters()).device
        bf16 = pick_precision("auto", device) == "bf16"
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            predictions = self.tagger.tag([s.words for s in [*self.sentences, *self.shown]])
        count = len(self.sentences)
        scores = entity_scores([s.tags for s in self.sentences], predictions[:count])
        self.before, self.tags = self.tags, predictions[count:]
        return {name: scores[name] for name in ("f1", "precision", "recall")}


def several_types(sentences: list[Sentence], count: int = SHOWN, words: int = 25) -> list[Sentence]:
    """The `count` sentences of at most `words` words that have entities of the most types."""
    short = [s for s in sentences if len(s.words) <= words] or sentences
    return sorted(short, key=lambda s: -len({kind for kind, _, _ in entities(s.tags)}))[:count]
