"""The watch: its scores are seqeval's, and it keeps the tags of the sentences it shows."""

import pytest
import torch
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

from rmlib.models.encoder import new_tagger
from rmlib.text.conll import Sentence
from rmlib.widgets.live.dev_monitor import DevMonitor, several_types


@pytest.fixture
def tagger(tiny, small):
    return new_tagger(small.tags, str(tiny), dropout=0.0)


def test_scores_and_tags(tagger, small, monkeypatch):
    monkeypatch.setattr(
        "rmlib.widgets.live.dev_monitor.pick_precision", lambda wish, device: "fp32"
    )
    monitor = DevMonitor(tagger, small.dev)
    assert monitor.tags is None and len(monitor.shown) == 3
    scores = monitor()
    found = tagger.tag([one.words for one in small.dev])
    gold = [list(one.tags) for one in small.dev]
    assert scores["f1"] == pytest.approx(f1_score(gold, found, mode="strict", scheme=IOB2))
    assert set(scores) == {"f1", "precision", "recall"}
    assert monitor.tags == tagger.tag([one.words for one in monitor.shown])
    first = monitor.tags
    with torch.no_grad():
        tagger.model.classifier.bias[1] += 100  # everything is a B- now
    monitor()
    assert monitor.before == first and monitor.tags != first


def test_what_is_shown():
    plain = Sentence(("a", "b"), ("O", "O"))
    long = Sentence(("x",) * 40, ("B-PER", "B-LOC", "B-ORG") + ("O",) * 37)
    rich = Sentence(("Rose", "Paris"), ("B-PER", "B-LOC"))
    poor = Sentence(("Rose", "sings"), ("B-PER", "O"))
    assert several_types([plain, long, poor, rich], 2) == [rich, poor]
    assert several_types([long], 2) == [long]
    own = [plain]
    assert DevMonitor(None, [rich], own).shown is own
