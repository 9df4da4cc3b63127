"""The decoder: against enumeration, sentence by sentence and all at once."""

import itertools

import pytest
import torch

from rmlib.text.viterbi import decode

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def well_formed(tags) -> bool:
    return all(
        not b.startswith("I-") or a in ("B" + b[1:], b) for a, b in itertools.pairwise(["O", *tags])
    )


@pytest.mark.parametrize("tags", [TAGS, ["B-LOC", "I-PER", "O", "I-LOC", "B-PER"]])
def test_decode_against_enumeration(tags):
    generator = torch.Generator().manual_seed(0)
    repaired = 0
    for words in (1, 2, 3, 4):
        legal = [
            path
            for path in itertools.product(range(5), repeat=words)
            if well_formed([tags[k] for k in path])
        ]
        for _ in range(60):
            z = 2 * torch.randn(words, 5, generator=generator)
            p = z.log_softmax(-1)
            best = max(legal, key=lambda path: float(sum(p[i, k] for i, k in enumerate(path))))
            assert decode(z, [words], tags).tolist() == list(best)
            repaired += list(best) != z.argmax(-1).tolist()
    assert repaired > 30


def test_many_sentences_at_once_are_each_decoded_alone():
    lengths = [3, 1, 0, 7, 2, 5]
    z = 2 * torch.randn(sum(lengths), 5, generator=torch.Generator().manual_seed(2))
    alone = [tag for part in z.split(lengths) for tag in decode(part, [len(part)], TAGS).tolist()]
    assert decode(z, lengths, TAGS).tolist() == alone
    assert alone != z.argmax(-1).tolist()


def test_a_long_sentence_is_well_formed():
    z = torch.randn(400, 5, generator=torch.Generator().manual_seed(1))
    assert well_formed([TAGS[k] for k in decode(z, [400], TAGS)])


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_without_words_there_are_no_tags(lengths):
    assert decode(torch.zeros(0, 5), lengths, TAGS).tolist() == []
