"""Small random batches for the checks."""

import torch
from torch import Tensor

F64 = torch.float64


def logits(seed: int, largest: float = 4.0) -> tuple[Tensor, Tensor]:
    """Logits from -largest to largest and labels, (items,) both.

    Some seeds have one item, no positive, or nothing but positives.
    """
    random = torch.Generator().manual_seed(seed)
    items = 1 if seed == 1 else int(torch.randint(2, 7, (), generator=random))
    z = largest * (2 * torch.rand(items, generator=random, dtype=F64) - 1)
    y = torch.randint(0, 2, (items,), generator=random)
    return z, {2: 0 * y, 3: 0 * y + 1}.get(seed, y)


def probabilities(seed: int) -> tuple[Tensor, Tensor]:
    """ŷ and y, (items,) both; some seeds have confident answers, 0 or 1."""
    z, y = logits(seed)
    return (z > 0).to(F64) if seed in (4, 5) else z.sigmoid(), y
