"""From logits to tags: the most probable tag sequence that is well formed."""

from functools import lru_cache

import torch
from torch import Tensor


def decode(logits: Tensor, tags: list[str]) -> list[int]:
    """The most probable well-formed tag sequence: an I- tag only after B- or I- of the same type (Viterbi 1967).

    Args:
        logits: (words, tags).

    Returns:
        one index into `tags` a word.
    """
    greedy = logits.argmax(-1).tolist()
    allowed = _may_follow(tuple(tags))
    if all(allowed[a][b] for a, b in zip([tags.index("O"), *greedy], greedy, strict=False)):
        return greedy  # the best tag of each word is already well formed, so no other sequence beats it
    step = torch.where(torch.tensor(allowed), 0.0, -torch.inf)
    scores = logits.log_softmax(-1)
    best, back = scores[0] + step[tags.index("O")], []
    for score in scores[1:]:
        best, came_from = (best[:, None] + step).max(0)
        best = best + score
        back.append(came_from)
    path = [int(best.argmax())]
    for came_from in reversed(back):
        path.append(int(came_from[path[-1]]))
    return path[::-1]


def well_formed(logits: Tensor, lengths: list[int], tags: list[str]) -> Tensor:
    """What `decode` gives for each sentence, for all of them at once: (words,) indices into `tags`.

    logits: (words, tags), sentence after sentence.
    """
    step = torch.where(torch.tensor(_may_follow(tuple(tags))), 0.0, -torch.inf).to(logits.dtype)
    sizes = torch.tensor(lengths)
    there = torch.arange(max(lengths, default=0)) < sizes[:, None]  # (sentences, longest)
    scores = logits.new_zeros(*there.shape, len(tags))  # after the end all tags are as good
    scores[there] = logits.log_softmax(-1)
    best, back = step[tags.index("O")].expand(len(lengths), -1), []
    for k in range(there.shape[1]):
        came = best[:, :, None] + step
        longer, came_from = came.max(1)
        ended = ~there[:, k, None]  # stay on the tag of the last word
        came_from = torch.where(ended, torch.arange(len(tags)), came_from) if k else came_from
        first = step[tags.index("O")] if k == 0 else longer
        best = torch.where(ended, best, first + scores[:, k])
        back.append(came_from)
    found = torch.zeros(there.shape, dtype=torch.long)
    at = best.argmax(-1)
    for k in reversed(range(there.shape[1])):
        found[:, k] = at
        at = back[k].gather(1, at[:, None])[:, 0]
    return found[there]


@lru_cache
def _may_follow(tags: tuple[str, ...]) -> list[list[bool]]:
    """[a][b]: whether tag b may come after tag a."""
    return [[not b.startswith("I-") or a[1:] == b[1:] for b in tags] for a in tags]
