"""A tagger small enough to be trained on samples in seconds, and its sentences."""

import torch
from torch import Tensor

from .estimator import IGNORE

TAGS = "OBI"  # 0: outside of any name; 1: begins one; 2: continues it
SENTENCES = {
    "Amina Diallo left Ghent": "BIOO",
    "Rose met Kofi Mensah": "BOBI",
    "Diallo left": "BO",
    "in Ghent Rose Mensah met Amina": "OOBIOB",
    "Kofi left Ghent": "BOO",
    "Ghent left": "OO",
    "Amina met Mensah": "BOB",
    "Rose Diallo met Kofi": "BIOB",
}
VOCABULARY = sorted({word for text in SENTENCES for word in text.split()})


def encoded() -> tuple[Tensor, Tensor]:
    """The sentences as word numbers and labels, both (sentences, words); 0 and −100 are padding."""
    width = max(map(len, SENTENCES.values()))
    ids = torch.zeros(len(SENTENCES), width, dtype=torch.long)
    labels = torch.full((len(SENTENCES), width), IGNORE)
    for row, (text, tags) in enumerate(SENTENCES.items()):
        ids[row, : len(tags)] = torch.tensor(_numbers(text))
        labels[row, : len(tags)] = torch.tensor([TAGS.index(tag) for tag in tags])
    return ids, labels


class Tagger(torch.nn.Module):
    """Logits = a row of parameters for the word + a row for the word before it; all start at 0."""

    def __init__(self):
        super().__init__()
        self.rows = torch.nn.Parameter(torch.zeros(2, len(VOCABULARY) + 1, len(TAGS)))

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (sentences, words, tags) of word numbers (sentences, words)."""
        before = torch.nn.functional.pad(ids, (1, 0))[:, :-1]
        return self.rows[0][ids] + self.rows[1][before]

    def tags(self, text: str) -> str:
        """The most probable tags of a sentence, a letter per word."""
        logits = self(torch.tensor([_numbers(text)]))[0]
        return "".join(TAGS[tag] for tag in logits.argmax(-1))


def _numbers(text: str) -> list[int]:
    """1 + the position of each word in the vocabulary."""
    return [1 + VOCABULARY.index(word) for word in text.split()]
