"""Autograd, the kit's gradients and ready-made losses are refused, whatever the way to them."""

import sys

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import grad as imported_grad
from torch.func import grad as imported_func_grad

from rmlib import RewardObjective
from rmlib.classroom import mine
from rmlib.exercises.framework.exercise import NotYet
from rmlib.exercises.framework.forbidden_calls import (
    AUTOGRAD,
    KIT,
    LOSS,
    MINE,
    READY_MADE,
    THE_KIT,
    calls,
    refuse,
)
from rmlib.loss import gradients

Z = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
Y = torch.tensor([1, 0, 1])
MADE_BEFORE = torch.func.grad(lambda z: (z**2).sum())


def value(z):
    return (z.sigmoid() ** 2).sum()


def leaf_of(z):
    return z.clone().requires_grad_()


def by_backward(z):
    leaf = leaf_of(z)
    value(leaf).backward()
    return leaf.grad


def by_autograd_backward(z):
    leaf = leaf_of(z)
    torch.autograd.backward(value(leaf))
    return leaf.grad


def by_imported_grad(z):
    leaf = leaf_of(z)
    return imported_grad(value(leaf), leaf)[0]


def by_grad_that_hides_errors(z):
    try:
        return by_backward(z)
    except Exception:
        return by_backward(z)


def by_func_vjp(z):
    out, back = torch.func.vjp(value, z)
    return back(torch.ones_like(out))[0]


def by_func_jvp(z):
    return torch.stack([torch.func.jvp(value, (z,), (e,))[1] for e in torch.eye(3).to(z)])


def by_forward_ad(z):
    import torch.autograd.forward_ad as forward

    with forward.dual_level():
        return forward.unpack_dual(value(forward.make_dual(z, torch.ones_like(z)))).tangent


def by_vmap(z):
    return torch.vmap(lambda one: one.sigmoid())(z)


def by_the_engine(z):
    leaf, one = leaf_of(z), torch.ones((), dtype=z.dtype)
    engine = torch.autograd.variable.Variable._execution_engine
    engine.run_backward((value(leaf),), (one,), False, False, (leaf,), True, True)
    return leaf.grad


@pytest.mark.parametrize(
    "way",
    [
        by_backward,
        by_autograd_backward,
        by_imported_grad,
        by_grad_that_hides_errors,
        by_func_vjp,
        by_func_jvp,
        by_forward_ad,
        by_the_engine,
        torch.func.grad(value),
        imported_func_grad(value),
        MADE_BEFORE,
        torch.func.grad_and_value(value),
        torch.func.jacrev(value),
        torch.func.jacfwd(value),
        torch.func.hessian(value),
        lambda z: torch.func.grad(value)(z),
        lambda z: torch.func.vmap(torch.func.grad(lambda one: one.sigmoid()))(z),
        lambda z: torch.autograd.functional.jacobian(value, z),
        lambda z: torch.autograd.functional.vjp(value, z)[1],
        lambda z: torch.autograd.functional.hessian(value, z),
    ],
)
def test_every_way_to_autograd_is_seen(way):
    assert AUTOGRAD in calls(way, Z)
    with pytest.raises(NotYet, match="no autograd"):
        refuse(way, (Z,), AUTOGRAD)


@pytest.mark.parametrize(
    "way",
    [
        lambda z: gradients.CLOSED_FORMS["soft_f1"](torch.stack([0 * z, z], -1), Y),
        lambda z: gradients.closed_form("soft_f1", torch.stack([0 * z, z], -1), Y),
        lambda z: gradients.objective_gradient(3, "soft_f1", torch.stack([0 * z, z], -1), Y),
        lambda z: gradients.autograd("soft_f1", torch.stack([0 * z, z], -1), Y),
        lambda z: gradients.cross_entropy_gradient(torch.stack([0 * z, z], -1), Y),
        lambda z: gradients.central_differences(value, z),
        lambda z: RewardObjective(3, "soft_f1")(z, Y).total,
        lambda z: RewardObjective(3, "soft_f1")(leaf_of(z), Y).total.backward(),
    ],
)
def test_the_losses_and_gradients_of_the_kit_are_seen(way):
    assert THE_KIT in calls(way, Z)
    with pytest.raises(NotYet, match="this calls the kit's `") as caught:
        refuse(way, (Z,), AUTOGRAD)
    assert caught.value.id == "uses-the-kit"


def no_graph(z):
    with torch.no_grad():
        return value(z)


@pytest.mark.parametrize(
    "way",
    [
        value,
        no_graph,
        by_vmap,
        lambda z: gradients.through_softmax(z, z),
        lambda z: torch.nn.functional.binary_cross_entropy_with_logits(z, Y.to(z)),
        lambda z: torch.inference_mode()(value)(z),
    ],
)
def test_formulas_are_left_alone(way):
    assert not {AUTOGRAD, THE_KIT} & calls(way, Z).keys()
    refuse(way, (Z,), AUTOGRAD)


def helper(z):
    return 2 * z


def test_functions_can_be_refused_by_name_except_to_themselves():
    assert calls(lambda z: helper(z), Z, refused=(helper,)) == {THE_KIT: "helper"}
    assert calls(helper, Z, refused=(helper,)) == {}


def test_a_gradient_of_the_kit_handed_over_itself_is_seen():
    found = calls(gradients.cross_entropy_gradient, torch.stack([0 * Z, Z], -1), Y)
    assert found[THE_KIT] == "cross_entropy_gradient"


def test_the_profile_function_of_others_is_put_back():
    def other(*args):
        return None

    sys.setprofile(other)
    try:
        calls(by_backward, Z)
        assert sys.getprofile() is other
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize(
    "way",
    [
        lambda z: F.binary_cross_entropy_with_logits(z, Y.to(z)),
        lambda z: torch.nn.BCEWithLogitsLoss()(z, Y.to(z)),
        lambda z: F.cross_entropy(torch.stack([0 * z, z], -1), Y),
        lambda z: torch.nn.CrossEntropyLoss()(torch.stack([0 * z, z], -1), Y),
        lambda z: F.nll_loss(torch.stack([0 * z, z], -1).log_softmax(-1), Y),
        lambda z: F.soft_margin_loss(z, 2 * Y - 1),
    ],
)
def test_ready_made_cross_entropies_are_refused_where_the_exercise_says_so(way):
    refuse(way, (Z,))
    with pytest.raises(NotYet) as caught:
        refuse(way, (Z,), READY_MADE)
    assert caught.value.id == "uses-ready-made"


def test_what_hands_out_the_kits_pieces_is_refused_where_the_exercise_says_so():
    def by_mine(z):
        return mine.soft_f1(z.sigmoid(), Y)

    _ = mine.soft_f1  # its module is imported
    assert THE_KIT not in calls(by_mine, Z)
    assert THE_KIT in calls(by_mine, Z, packages=(*LOSS, MINE))
    assert THE_KIT in calls(by_mine, Z, packages=KIT)


def test_the_argument_of_the_call_stays_as_it_was():
    def careless(z):
        z += 1

    before = Z.clone()
    refuse(careless, (Z,))
    assert torch.equal(Z, before)
