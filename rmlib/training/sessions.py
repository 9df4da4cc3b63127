"""A training whose controls may change between any two steps, and which can be played again from its moves."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from rmlib.determinism import DICE
from rmlib.errors import RmlibValueError
from rmlib.loss.objective import check_alpha
from rmlib.loss.rewards import find
from rmlib.models.encoder import freeze

from .config import Config
from .loop import Training


class Session:
    """A training, what was done to it (`moves`), and what came of it (`history`). No thread: `apply`, then `advance`.

    A move is {"tick", "control", "value"}: it came into force before step number `tick` of the session, counted from 0
    and never turned back. Controls are "alpha", "reward", "lr_factor", "freeze", "snapshot" and "back_to".
    """

    def __init__(self, training: Training, evaluate: Callable[[], dict] | None = None, every: int = 20):
        self.training, self.evaluate, self.every = training, evaluate, every
        self.history: list[dict] = []
        self.moves: list[dict] = []
        self.snapshots: dict[str, dict] = {}
        self._steps = iter(training)
        objective = training.objective
        self.in_force = {"alpha": objective.alpha, "reward": objective.reward.name, "lr_factor": 1.0}
        self.in_force["freeze"] = str(training.config.freeze)
        layers = [str(n) for n in range(training.classifier.model.config.num_hidden_layers + 1)]
        levels = ["none", "embeddings", *layers, "encoder"]
        self.freezes = levels[levels.index(self.in_force["freeze"]) :]  # what is frozen at the start stays frozen

    def check(self, control: str, value) -> None:
        """
        Raises:
            RmlibValueError, ValueError: a value that the control cannot take.
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
                raise RmlibValueError(f"freeze is {value!r}; expected one of {', '.join(self.freezes)}")
        elif control == "back_to" and value not in self.snapshots:
            known = ", ".join(map(repr, self.snapshots)) or "none yet"
            raise RmlibValueError(f"there is no snapshot {value!r}; known: {known}")

    def apply(self, control: str, value) -> None:
        """Bring a move into force before the next step. Nothing is written down where nothing changes."""
        if control in self.in_force and self.in_force[control] == value:
            return
        self.check(control, value)
        if control in ("alpha", "reward"):
            setattr(self.training.objective, control, value)
        elif control == "lr_factor":
            self.training.lr_factor = value
        elif control == "freeze":
            freeze(self.training.classifier.model, value)
        elif control == "snapshot":
            self.snapshots[value] = {"training": self.training.state(), "in_force": dict(self.in_force)}
        elif control == "back_to":
            then = self.snapshots[value]
            self.training.restore(then["training"])
            self._steps = iter(self.training)
        if control in self.in_force:
            self.in_force[control] = value
        self.moves.append({"tick": len(self.history), "control": control, "value": value})

    def advance(self) -> dict | None:
        """One step; its row of the history, or None where the run has reached its end."""
        with DICE:  # two labs would share the random numbers in the middle of a step
            step = next(self._steps, None)
        if step is None:
            return None
        row = {"tick": len(self.history), **step._asdict(), **{k: self.in_force[k] for k in ("lr_factor", "freeze")}}
        row.pop("scores")
        if self.evaluate and (row["tick"] + 1) % self.every == 0:
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
    for tick in range(steps + 1):
        for move in (move for move in moves if move["tick"] == tick):
            session.apply(move["control"], move["value"])
        if tick < steps:
            session.advance()
    return session


def write_history(session: Session, path) -> Path:
    """The history as CSV, a row a step; empty where nothing was evaluated."""
    pd.DataFrame(session.history.copy()).to_csv(path, index=False)
    return Path(path)


def write_moves(session: Session, path) -> Path:
    """The moves as JSON, with the number of steps and the settings that the run began with; an infinite α is "inf"."""
    spelled = lambda value: "inf" if value == math.inf else value  # noqa: E731
    config, steps = asdict(session.training.config), len(session.history)  # first: a move may come while this is read
    moves = [move | {"value": spelled(move["value"])} for move in session.moves]
    log = {"steps": steps, "config": config | {"alpha": spelled(config["alpha"])}, "moves": moves}
    Path(path).write_text(json.dumps(log, indent=1, allow_nan=False) + "\n", encoding="utf8")
    return Path(path)


def read_moves(path, config: Config) -> tuple[list[dict], int]:
    """Moves and steps of a log, for `replay(training, *read_moves(path, training.config))`.

    Raises:
        RmlibValueError: no log that `write_moves` wrote, or one of a run with other settings than `config`.
    """
    try:
        log = json.loads(Path(path).read_text(encoding="utf8"))
        moves = [{key: move[key] for key in ("tick", "control", "value")} for move in log["moves"]]
        for move in moves:
            move["value"] = float(move["value"]) if move["control"] == "alpha" else move["value"]
        steps, then = int(log["steps"]), log["config"] | {"alpha": float(log["config"]["alpha"])}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RmlibValueError(f"{path} is not a log of moves ({type(error).__name__}: {error})") from error
    for name, value in asdict(config).items():
        if then.get(name) != value:
            raise RmlibValueError(f"{path} is of a run with {name}={then.get(name)!r}; expected {value!r}, as here")
    return moves, steps
