"""What people hand to the objective: outputs of models, labels of all kinds, masks, other tags."""

import math
from collections import OrderedDict, namedtuple
from itertools import permutations

import pytest
import torch
from torch.nn.functional import cross_entropy

from rmlib.loss.objective import RewardObjective
from rmlib.loss.rewards import REWARDS

EVERY = pytest.mark.parametrize("name", sorted(REWARDS))
TAGS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
Output = namedtuple("Output", "loss logits")


def batch(*shape, classes=5, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(*shape, classes, generator=random, dtype=dtype)
    return z.requires_grad_(), torch.randint(classes, shape, generator=random)


def gradient(value, z):
    return torch.autograd.grad(value, z, retain_graph=True)[0]


class Attributes:
    def __init__(self, logits):
        self.logits = logits


@pytest.mark.parametrize(
    "wrap",
    [
        lambda z: {"logits": z},
        lambda z: OrderedDict(loss=torch.tensor(1.0), logits=z),
        lambda z: (z,),  # return_dict=False
        lambda z: (z, (z, z)),  # hidden states behind
        lambda z: (torch.tensor(0.5), z),  # a loss before
        lambda z: [z],
        lambda z: Output(None, z),
        Attributes,
    ],
)
def test_an_output_with_logits(wrap):
    z, y = batch(3, 4)
    total = RewardObjective(2.0)(wrap(z), y)
    torch.testing.assert_close(total, RewardObjective(2.0)(z, y).total, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ({"output": torch.zeros(2, 3)}, "dict with 'output'"),
        ({"logits": None}, "dict with 'logits'"),
        ({}, "dict"),
        ((), "a tuple"),
        ((torch.tensor(1.0),), "a tuple"),
        (None, "a NoneType"),
        ("logits", "a str"),
        (3.0, "a float"),
        (torch.zeros(2, 3).numpy(), "a ndarray"),
    ],
)
def test_an_output_without_logits_is_named(output, told):
    with pytest.raises(ValueError, match=f"the model's output is .*{told}.*expected logits"):
        RewardObjective()(output, torch.zeros(2, dtype=torch.long))


@pytest.mark.parametrize(
    "convert",
    [
        lambda y: y.tolist(),
        lambda y: y.numpy(),
        lambda y: y.numpy().astype("int32"),
        lambda y: y.numpy().astype("uint8"),
        lambda y: tuple(map(tuple, y.tolist())),
        lambda y: y.to(torch.int16),
        lambda y: y.double(),
    ],
)
def test_labels_of_all_kinds(convert):
    z, y = batch(3, 4)
    loss = RewardObjective(2.0)(z, convert(y))
    torch.testing.assert_close(torch.stack(loss), torch.stack(RewardObjective(2.0)(z, y)))


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (None, "labels are NoneType.*column 'labels'"),
        ([[0], [1, 2]], "labels are list"),
        ([["O", "B-PER"]], "labels are list"),
        ({"a": 1}, "labels are dict"),
        ([[0.5, 1.0]], "not all integers"),
        ([[0, 5]], "label 5; expected 0 to 4"),
        ([0, 1, 2], "logits have shape"),
        ([], "logits have shape"),
    ],
)
@pytest.mark.parametrize("from_trainer", [True, False])
def test_labels_that_are_none(labels, told, from_trainer):
    z, _ = batch(1, 2)
    with pytest.raises(ValueError, match=told):
        RewardObjective()({"logits": z} if from_trainer else z, labels)


@EVERY
@pytest.mark.parametrize("count", [None, 0, 0.0, torch.tensor(0), torch.tensor(0.0), 7])
def test_a_batch_without_a_labelled_item_is_0(name, count):
    """trl#6668: 0 items to divide by."""
    z, y = batch(2, 3)
    total = RewardObjective(1.0, name)({"logits": z}, torch.full_like(y, -100), count)
    assert float(total.detach()) == 0 and not gradient(total, z).any()


def test_trainer_counts_by_its_own_mark():
    z, y = batch(2, 3)
    with pytest.raises(ValueError, match="ignore_index is -1; with Trainer expected -100"):
        RewardObjective(ignore_index=-1)({"logits": z}, y, num_items_in_batch=6)


@EVERY
@pytest.mark.parametrize("alpha", [0, 1.0, math.inf])
@pytest.mark.parametrize("masked", [[4], [3, 4]])
def test_a_masked_class_is_as_if_its_logit_were_very_small(name, alpha, masked):
    z, y = batch(3, 6)
    y = y % 3
    mask = torch.zeros(5, dtype=z.dtype)
    mask[masked] = -math.inf
    objective = RewardObjective(alpha, name)
    torch.manual_seed(0)
    loss = objective(z + mask, y)
    torch.manual_seed(0)
    expected = objective(z + mask.clamp_min(-500), y)
    torch.testing.assert_close(torch.stack(loss), torch.stack(expected), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradient(loss.total, z), gradient(expected.total, z))


def test_a_gold_label_that_is_masked_stays_infinite():
    z = torch.tensor([[0.0, 1.0, -math.inf]])
    assert RewardObjective()(z, torch.tensor([2])).prediction == math.inf


@EVERY
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(name, dtype):
    z, y = batch(4, 5, dtype=torch.float32)
    half = (200 * z.detach()).to(dtype).requires_grad_()
    torch.manual_seed(0)
    loss = RewardObjective(1.0, name)(half, y)
    torch.manual_seed(0)
    expected = RewardObjective(1.0, name)(half.detach().float(), y)
    torch.testing.assert_close(torch.stack(loss), torch.stack(expected))
    assert loss.total.dtype == torch.float32 and gradient(loss.total, half).isfinite().all()


# --- The order of the tags ------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [1, 2, 4, 6])
def test_classes_that_cannot_be_iob2(classes):
    z, y = batch(1, 6, classes=classes)
    with pytest.raises(ValueError, match="entity_f1 has .* classes without names; expected O, B-X"):
        RewardObjective(1.0, "entity_f1")(z, y.clamp_max(max(classes - 1, 1)))


# Those with LOC before PER: the same draws then give the same samples.
ORDERS = [p for p in permutations(TAGS) if p.index("B-LOC") < p.index("B-PER")]


@pytest.mark.parametrize("names", [sorted(TAGS), *ORDERS[7::15]])
@pytest.mark.parametrize("as_dict", [False, True])
def test_the_order_of_the_tags_changes_nothing(names, as_dict):
    """transformers' scripts sort their labels: B-LOC, B-PER, I-LOC, I-PER, O."""
    z, y = batch(3, 7, seed=3)
    order = [TAGS.index(name) for name in names]
    given = {str(k): name for k, name in enumerate(names)} if as_dict else list(names)
    for reward in ("entity_f1", "soft_f1", "tversky", "smooth_ap"):
        torch.manual_seed(0)
        expected = RewardObjective(1.0, reward)(z, y)
        torch.manual_seed(0)
        objective = RewardObjective(1.0, reward, labels=given)
        assert objective.background == names.index("O")
        loss = objective(z[..., order], torch.tensor([order.index(k) for k in range(5)])[y])
        torch.testing.assert_close(torch.stack(loss), torch.stack(expected))
        torch.testing.assert_close(gradient(loss.total, z), gradient(expected.total, z))


def test_a_type_without_an_inside_tag():
    """seqeval#60 and the like: a small corpus has no I-LOC."""
    z, y = batch(3, 7, classes=4)
    whole = torch.full((3, 7, 5), -500.0, dtype=z.dtype)
    whole[..., [0, 1, 3, 4]] = z
    torch.manual_seed(0)
    expected = RewardObjective(1.0, "entity_f1")(whole, torch.tensor([0, 1, 3, 4])[y])
    torch.manual_seed(0)
    names = ["O", "B-LOC", "B-PER", "I-PER"]
    loss = RewardObjective(1.0, "entity_f1", labels=names)(z, y)
    torch.testing.assert_close(torch.stack(loss), torch.stack(expected))


@pytest.mark.parametrize(
    "names",
    [
        {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2", 3: "LABEL_3", 4: "LABEL_4"},  # transformers#2488
        ["O", "B-PER", "I-PER", "E-PER", "S-PER"],  # BIOES
        ["O", "PER-B", "PER-I", "LOC-B", "LOC-I"],
        ["O", "I-PER", "I-LOC", "I-ORG", "I-MISC"],  # IOB1
        ["o", "B-PER", "I-PER", "B-LOC", "I-LOC"],
        ["O", "B-PER", "I-PER"],  # three names, five classes
    ],
)
def test_names_that_are_no_iob2_tags(names):
    z, y = batch(1, 6)
    assert RewardObjective(1.0, "soft_f1", labels=names)(z, y).total.isfinite()
    with pytest.raises(ValueError, match="entity_f1 has 5 classes named .*; expected O, B-X"):
        RewardObjective(1.0, "entity_f1", labels=names)(z, y)


@pytest.mark.parametrize(
    "names", [["O", "O"], {0: "O", 2: "B-PER"}, {1: "O", 2: "B-PER"}, ["O", ""]]
)
def test_names_that_cannot_be_told_apart(names):
    with pytest.raises(ValueError, match="expected a name of its own for each class"):
        RewardObjective(labels=names)


def test_a_background_of_ones_own_holds():
    assert RewardObjective(background=2, labels=TAGS).background == 2
    assert RewardObjective().background == 0
    z, y = batch(8)
    torch.testing.assert_close(
        RewardObjective(0, labels=TAGS)(z, y).total, cross_entropy(z, y), rtol=0, atol=0
    )
