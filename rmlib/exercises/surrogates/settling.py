"""The exercise on where a loss leads: train groups of items that share a logit."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from rmlib.exercises.framework import sandbox
from rmlib.exercises.framework.compare import explain, same
from rmlib.exercises.framework.exercise import (
    NO_CODE,
    Exercise,
    Misconception,
    NotAttempted,
    NotYet,
    is_stub,
)

NEAR = 0.02
SHARES = torch.tensor([0.1, 0.4, 0.8], dtype=torch.float64)
LABELS = (torch.arange(10) < 10 * SHARES[:, None] - 1e-9).long()  # (groups, items)


def cross_entropy(z, y):
    return binary_cross_entropy_with_logits(z, y.to(z))


def dice_loss(z, y):
    y_hat = z.sigmoid()
    return 1 - 2 * (y_hat * y).sum() / ((y_hat**2).sum() + y.sum())


LOSSES = {"cross-entropy": cross_entropy, "Dice with squares": dice_loss}


def settled_in_theory():
    """ŷ (groups,) per loss: ρ for cross-entropy; ρ/D, at most 1, for Dice with squares."""
    shares = LABELS.double().mean(1)
    dice = 1.0
    for _ in range(1000):  # D depends on ŷ, and ŷ on D
        y_hat = (shares / dice).clamp(max=1)
        dice = float(2 * (shares * y_hat).sum() / ((y_hat**2).sum() + shares.sum()))
    return {"cross-entropy": shares, "Dice with squares": y_hat}


def trained(loss, y, sign=1, zero=True, kind=torch.optim.Adam):
    """The logits after the learner's loop, with a mistake."""
    z = torch.zeros(len(y), dtype=torch.float64, requires_grad=True)
    optimizer = kind([z], lr=0.1)
    for _ in range(400):
        if zero:
            optimizer.zero_grad()
        (sign * loss(z[:, None].expand(y.shape), y)).backward()
        optimizer.step()
    return z.detach()


def _judge_settled(answer, spec):
    """Train with both losses; ŷ may be a little away from where it settles in the end."""
    if is_stub(answer):
        raise NotAttempted(NO_CODE)
    if not callable(answer):
        raise NotYet("not-a-function", "expected the function itself: write `settled`")
    torch.optim.Adam([torch.zeros(1)])  # the first takes seconds: outside of the time limit
    for name, expected in spec().items():
        result = sandbox.call(answer, LOSSES[name], LABELS.clone())
        if same(result, expected, NEAR):
            continue
        for misconception in SETTLED.misconceptions:
            if same(result, misconception.wrong()(LOSSES[name], LABELS), 1e-4):
                raise NotYet(misconception.id, misconception.message)
        difference = explain(result, expected, NEAR)
        raise NotYet(difference.id, f"with {name}: {difference.message}")
    return spec()


def settled(loss, y):
    """ŷ (groups,) after training on loss(z, y); y (groups, items): labels."""
    z = torch.zeros(len(y), requires_grad=True)
    optimizer = torch.optim.Adam([z], lr=0.1)
    for _ in range(400):
        optimizer.zero_grad()
        loss(z[:, None].expand(y.shape), y).backward()
        optimizer.step()
    return z.sigmoid().detach()


SETTLED = Exercise(
    id="surrogates.settled",
    title="train the groups",
    spec=settled_in_theory,
    misconceptions=(
        Misconception(
            "nothing-moves",
            "every ŷ is 1/2, as at the start: is there an `optimizer.step()` in the loop?",
            lambda: lambda loss, y: torch.full((len(y),), 0.5, dtype=torch.float64),
        ),
        Misconception(
            "returns-logits",
            "you return the logits; the exercise wants ŷ",
            lambda: trained,
        ),
        Misconception(
            "gradients-accumulate",
            "the gradients of earlier steps are still in `z.grad`: `optimizer.zero_grad()` first",
            lambda: lambda loss, y: trained(loss, y, zero=False).sigmoid(),
        ),
        Misconception(
            "climbs",
            "the loss rises: an optimizer goes down by itself, so leave the sign alone",
            lambda: lambda loss, y: trained(loss, y, sign=-1).sigmoid(),
        ),
        Misconception(
            "plain-gradient-descent",
            "this is SGD, which is far from the end after 400 steps of 0.1: use `torch.optim.Adam`",
            lambda: lambda loss, y: trained(loss, y, kind=torch.optim.SGD).sigmoid(),
        ),
        Misconception(
            "one-logit-per-item",
            "every item has a logit of its own here and can memorise its label. The items of a "
            "group look the same: they share one logit",
            lambda: (
                lambda loss, y: trained(loss, y.reshape(-1, 1)).sigmoid().reshape(y.shape).mean(1)
            ),
        ),
    ),
    more=_judge_settled,
    hints=(
        "One logit per group: `z = torch.zeros(len(y), requires_grad=True)`. Its items share it: "
        "`z[:, None].expand(y.shape)` has the shape of y.",
        "Give `[z]` to `torch.optim.Adam`. In each step: `zero_grad()`, `loss(…).backward()`, "
        "`step()`. At the end `z.sigmoid().detach()`.",
    ),
    solution=settled,
    tolerance=NEAR,
)
