"""A training whose controls may change between any two steps, and which can be replayed."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from rmlib.determinism import RNG_LOCK
from rmlib.errors import RmlibValueError
from rmlib.loss.objective import check_alpha
from rmlib.loss.rewards import find
from rmlib.models.encoder import freeze
from rmlib.training.config import Config
from rmlib.training.loop import Training


class Session:
    """A training, the moves made during it (`moves`) and what it recorded (`history`).

    It has no thread of its own: call `apply`, then `advance`. A move is
    {"step_index", "control", "value"}: it took effect before that step of the session, counted from
    0 and never reset. Controls are "alpha", "reward", "lr_factor", "freeze", "snapshot" and
    "back_to".

    Args:
        training: what is trained.
        evaluate: called after every `every` steps; its dict goes into the row of the history.
        every: steps, 1 or more.
    """

    def __init__(
        self, training: Training, evaluate: Callable[[], dict] | None = None, every: int = 20
    ):
        self.training = training
        self.evaluate = evaluate
        self.every = every
        self.history: list[dict] = []
        self.moves: list[dict] = []
        self.snapshots: dict[str, dict] = {}
        self._steps = iter(training)
        self._frozen = str(training.config.freeze)
        layers = [str(n) for n in range(training.classifier.model.config.num_hidden_layers + 1)]
        levels = ["none", "embeddings", *layers, "encoder"]
        self.freezes = levels[levels.index(self._frozen) :]  # what starts frozen stays frozen

    @property
    def active(self) -> dict:
        """The value of each control in the last step, and in the next one unless it is moved."""
        objective = self.training.objective
        return {
            "alpha": objective.alpha,
            "reward": objective.reward.name,
            "lr_factor": self.training.lr_factor,
            "freeze": self._frozen,
        }

    def check(self, control: str, value) -> None:
        """Check that the control can take the value.

        Raises:
            RmlibValueError, ValueError: it cannot; the message says what it expects.
        """
        if control == "alpha":
            check_alpha(value)
        elif control == "reward":
            find(value)
        elif control == "lr_factor":
            if not (isinstance(value, int | float) and 0 <= value < math.inf):
                raise RmlibValueError(f"lr_factor is {value!r}; expected a number of 0 or more")
        elif control == "freeze":
            if str(value) not in self.freezes:
                known = ", ".join(self.freezes)
                raise RmlibValueError(f"freeze is {value!r}; expected one of {known}")
        elif control == "back_to" and value not in self.snapshots:
            known = ", ".join(map(repr, self.snapshots)) or "none yet"
            raise RmlibValueError(f"there is no snapshot {value!r}; known: {known}")

    def apply(self, control: str, value) -> None:
        """Make a move before the next step. A move that changes nothing is not recorded."""
        active = self.active
        if control in active and active[control] == value:
            return
        self.check(control, value)
        if control in ("alpha", "reward"):
            setattr(self.training.objective, control, value)
        elif control == "lr_factor":
            self.training.lr_factor = value
        elif control == "freeze":
            freeze(self.training.classifier.model, value)
            self._frozen = value
        elif control == "snapshot":
            self.snapshots[value] = self.training.state()
        elif control == "back_to":
            self.training.restore(self.snapshots[value])
            self._steps = iter(self.training)
        self.moves.append({"step_index": len(self.history), "control": control, "value": value})

    def advance(self) -> dict | None:
        """Take one step; returns its row of the history, or None at the end of the run."""
        active = self.active
        with RNG_LOCK:  # two labs would draw from one generator in the middle of a step
            step = next(self._steps, None)
        if step is None:
            return None
        row = {"step_index": len(self.history), **step._asdict()}
        row.pop("scores")
        row |= {"lr_factor": active["lr_factor"], "freeze": active["freeze"]}
        if self.evaluate and (row["step_index"] + 1) % self.every == 0:
            row |= self.evaluate()
        self.history.append(row)
        return row


def replay(training: Training, moves: list[dict], steps: int) -> Session:
    """Make the same moves before the same steps: on a CPU the same weights, to the last bit.

    Args:
        training: a fresh one, with the same data, settings and seed.
        moves: of `Session.moves`, for example read back from JSON.
        steps: how many steps the session took.
    """
    session = Session(training)
    for step_index in range(steps + 1):
        for move in (move for move in moves if move["step_index"] == step_index):
            session.apply(move["control"], move["value"])
        if step_index < steps:
            session.advance()
    return session


def write_history(session: Session, path) -> Path:
    """Write the history as CSV, one row per step; scores are empty where nothing was evaluated."""
    pd.DataFrame(session.history.copy()).to_csv(path, index=False)
    return Path(path)


def write_moves(session: Session, path) -> Path:
    """Write the moves as JSON, with the number of steps and the settings at the start.

    JSON has no infinity: an infinite α is written as "inf".
    """
    steps = len(session.history)  # first: another move may come while this is written
    config = asdict(session.training.config)
    moves = [move | {"value": _to_json(move["value"])} for move in session.moves]
    log = {"steps": steps, "config": config | {"alpha": _to_json(config["alpha"])}, "moves": moves}
    Path(path).write_text(json.dumps(log, indent=1, allow_nan=False) + "\n", encoding="utf8")
    return Path(path)


def read_moves(path, config: Config) -> tuple[list[dict], int]:
    """Moves and steps of a log, for `replay(training, *read_moves(path, training.config))`.

    Raises:
        RmlibValueError: not a log of `write_moves`, or one of a run with other settings.
    """
    try:
        log = json.loads(Path(path).read_text(encoding="utf8"))
        names = ("step_index", "control", "value")
        moves = [{name: move[name] for name in names} for move in log["moves"]]
        for move in moves:
            if move["control"] == "alpha":
                move["value"] = float(move["value"])
        steps = int(log["steps"])
        stored = log["config"] | {"alpha": float(log["config"]["alpha"])}
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise RmlibValueError(f"{path} is not a log of moves ({reason})") from error
    for name, value in asdict(config).items():
        if stored.get(name) != value:
            raise RmlibValueError(
                f"{path} is of a run with {name}={stored.get(name)!r}; expected {value!r}, as here"
            )
    return moves, steps


def _to_json(value):
    return "inf" if value == math.inf else value
