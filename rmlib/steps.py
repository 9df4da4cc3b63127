"""What a step of a training says of itself."""

from typing import NamedTuple

import torch


class Step(NamedTuple):
    """What one step did. `pieces` are word pieces without padding, `seconds` the time since the run began;
    `scores` is what `score()` returned where an epoch ended, else None."""

    step: int
    epoch: int
    alpha: float
    reward_type: str
    total: float
    prediction: float
    reward: float
    lr: float
    grad_norm: float
    pieces: int
    seconds: float
    scores: dict | None = None


NUMBERS = ("total", "prediction", "reward", "grad_norm")  # of a Step: what the device has computed


def read(steps: list[Step]) -> list[Step]:
    """The same steps with floats in the place of numbers that are still on the device, fetched all at once."""
    if not steps:
        return []
    rows = torch.stack([torch.stack([torch.as_tensor(getattr(s, n)) for n in NUMBERS]) for s in steps]).tolist()
    return [step._replace(**dict(zip(NUMBERS, row, strict=True))) for step, row in zip(steps, rows, strict=True)]
