"""What one looks at while a tagger trains: its scores on dev sentences, and its tags of a few of them."""

import torch

from rmlib.models.encoder import Tagger
from rmlib.text.conll import Sentence, entities
from rmlib.text.metrics import entity_scores

from .setup import pick_precision

SHOWN = 3


class Watch:
    """`watch()` scores the tagger and tags the sentences to show: the `evaluate` of `live.Live`.

    Args:
        tagger: the one that trains.
        sentences: dev sentences; a hundred take a few tenths of a second.
        shown: the sentences to tag again at every call; left out, the first three with names of several types.

    Attributes:
        shown: these sentences.
        tags: of the last call, one list of IOB2 tags a shown sentence; None before the first.
        before: the same of the call before; None before the second.
    """

    def __init__(self, tagger: Tagger, sentences: list[Sentence], shown: list[Sentence] | None = None):
        self.tagger, self.sentences = tagger, sentences
        self.shown = several_types(sentences) if shown is None else shown
        self.tags: list[list[str]] | None = None
        self.before: list[list[str]] | None = None

    def __call__(self) -> dict[str, float]:
        """Entity-level "f1", "precision" and "recall" on the sentences, in [0, 1]."""
        device = next(self.tagger.model.parameters()).device
        few = pick_precision("auto", device) == "bf16"
        with torch.autocast(device.type, torch.bfloat16, enabled=few):
            found = self.tagger.tag([one.words for one in [*self.sentences, *self.shown]])
        scores = entity_scores([one.tags for one in self.sentences], found[: len(self.sentences)])
        self.before, self.tags = self.tags, found[len(self.sentences) :]
        return {name: scores[name] for name in ("f1", "precision", "recall")}


def several_types(sentences: list[Sentence], count: int = SHOWN, words: int = 25) -> list[Sentence]:
    """The first `count` sentences of at most so many words whose names are of most types."""
    short = [one for one in sentences if len(one.words) <= words] or sentences
    return sorted(short, key=lambda one: -len({kind for kind, _, _ in entities(one.tags)}))[:count]
