"""The decoder: against enumeration, sentence by sentence and all at once."""

import itertools

import pytest
import torch

from rmlib.text.viterbi import decode, is_scheme, to_iob2

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


@pytest.mark.parametrize(
    "tags, expected",
    [
        ("O B-PER I-PER O", "O B-PER I-PER O"),
        ("I-PER I-PER O I-LOC", "B-PER I-PER O B-LOC"),  # IOB1
        ("I-PER B-PER I-PER", "B-PER B-PER I-PER"),  # touching entities in IOB1
        ("B-PER I-LOC", "B-PER B-LOC"),
        ("S-PER S-PER O", "B-PER B-PER O"),
        ("B-PER I-PER E-PER S-LOC", "B-PER I-PER I-PER B-LOC"),
        ("B-PER E-PER I-PER", "B-PER I-PER B-PER"),  # the entity before it has ended
        ("U-PER B-LOC L-LOC L-LOC", "B-PER B-LOC I-LOC B-LOC"),
        ("B-NAME M-NAME E-NAME", "B-NAME I-NAME I-NAME"),
        ("PER PER LOC O LOC", "B-PER I-PER B-LOC O B-LOC"),
        ("E-PER O", "B-PER O"),
        ("B-B-x I-B-x", "B-B-x I-B-x"),
        ("", ""),
    ],
)
def test_predicted_tags_become_iob2(tags, expected):
    assert to_iob2(tags.split()) == expected.split()
    assert well_formed(to_iob2(tags.split()))


@pytest.mark.parametrize(
    "names, known",
    [
        ("O B-PER I-PER", True),
        ("B-LOC B-PER I-LOC I-PER O", True),
        ("O S-A B-A I-A E-A", True),
        ("O U-A B-A I-A L-A", True),
        ("O PER LOC", True),
        ("O", True),
        ("B-PER I-PER", False),
        ("LABEL_0 LABEL_1", False),
        ("O B-PER LOC", False),
        ("o b-per", False),
    ],
)
def test_names_of_tags(names, known):
    assert is_scheme(names.split()) is known
