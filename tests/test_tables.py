"""The READMEs show the numbers of `data/results`, and every result file says what made it."""

import importlib.util
import re
import shutil

import pandas as pd
import pytest

from rmlib.studies.registry import find_study
from tests.benchmarks import tables

READMES = [tables.ROOT / name for name in tables.FILES]


def cell(name: str, row: str, column: int) -> str:
    """A cell of a generated table, of the one row that begins with `row`."""
    texts = [path.read_text(encoding="utf8") for path in READMES]
    block = next(m[0] for text in texts for m in tables.BLOCK.finditer(text) if m["name"] == name)
    (line,) = [line for line in block.split("\n") if line.removeprefix("| ").startswith(row)]
    return line.strip("|").split("|")[column].strip()


def stored(file: str, **where: str) -> pd.Series:
    """The one row of a result file with these values, all of them text."""
    rows = pd.read_csv(tables.RESULTS / file, comment="#", dtype=str, keep_default_na=False)
    for column, value in where.items():
        rows = rows[rows[column.replace("_", " ")] == value]
    (row,) = rows.to_dict("records")
    return row


def families(verdict: str) -> list[str]:
    lines = (tables.RESULTS / "encoders.csv").read_text("utf8").splitlines()
    return [line for line in lines if f",{verdict}," in line]


def quantity(file: str, loop: str, precision: str, name: str) -> float:
    return float(stored(file, what=loop, precision=precision, quantity=name)["value"])


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """The READMEs and the results, to be changed."""
    monkeypatch.setattr(tables, "RESULTS", shutil.copytree(tables.RESULTS, tmp_path / "results"))
    return [shutil.copyfile(path, tmp_path / f"{i}.md") for i, path in enumerate(READMES)]


def test_the_tables_are_those_of_the_results(capsys):
    assert tables.main(["--check"]) == 0, capsys.readouterr().out


def test_every_table_and_value_is_shown():
    names = [m["name"] for p in READMES for m in tables.BLOCK.finditer(p.read_text("utf8"))]
    assert set(names) == {*tables.TABLES, *tables.VALUES}
    blocks = [p.read_text("utf8").count("<!-- table:") for p in READMES]
    assert blocks[0] == 1 and sum(blocks) == len(tables.TABLES)  # the front page has one


# A few cells of every table, read from the files in another way than the tables are made.
SPOTS = [
    ("encoders", "is refused", 1, lambda: len(families("refused"))),
    ("encoders", "trains in packed", 1, lambda: len(families("works"))),
    ("speed", "**the kit**", 1, lambda: quantity("speed.csv", "the kit", "fp32", "tokens/s")),
    (
        "speed",
        "`Trainer`, shuffled (its default)",
        4,
        lambda: min(
            quantity("speed.csv", f"Trainer, batch {n}, shuffled", "bf16", tables.RATIO)
            for n in (16, 32, 64)
        ),
    ),
    (
        "speed_loops",
        "`Trainer`, grouped by length, batches of 64",
        5,
        lambda: quantity("speed.csv", "Trainer, batch 64", "fp32", "MFU (%)"),
    ),
    (
        "speed_machines",
        "AMD, AVX2 only",
        4,
        lambda: quantity("speed_avx2.csv", "Trainer, batch 16", "fp32", tables.RATIO),
    ),
    (
        "speed_profile",
        "dropout",
        2,
        lambda: quantity("speed.csv", "dropout", "bf16", "share (%)"),
    ),
    ("speed_epoch", "evaluation", 1, lambda: quantity("speed.csv", "evaluation", "", "seconds")),
    (
        "speed_objective",
        "`soft_f1`",
        4,
        lambda: quantity("speed.csv", "soft_f1", "bf16", "share (%)"),
    ),
    ("reward_cost", "`gce`", 1, lambda: stored("objective_cost.csv", reward="gce")["ms"]),
    (
        "partial",
        "the head alone (`--freeze encoder`)",
        1,
        lambda: stored("partial.csv", setting="frozen: encoder")["trainable parameters"],
    ),
    (
        "explorers",
        "`LossExplorer`",
        1,
        lambda: stored("explorer_latency.csv", explorer="LossExplorer")["median ms"],
    ),
    ("live_lab", "105 ms", 1, lambda: stored("live_latency.csv")["95 % ms"]),
    (
        "instant_head",
        "α, `dice`",
        1,
        lambda: round(float(stored("instant_head.csv", moves="dice")["median ms"])),
    ),
]


@pytest.mark.parametrize("name, row, column, expected", SPOTS, ids=[spot[0] for spot in SPOTS])
def test_a_cell_holds_the_stored_number(name, row, column, expected):
    number = re.search(r"[\d,]*\.?\d+", cell(name, row, column))[0].replace(",", "")
    assert float(number) == float(expected())


def mean(file: str, column: str, **where: str) -> float:
    """The mean over the rows of a result file with these values."""
    rows = pd.read_csv(tables.RESULTS / file, comment="#")
    for name, value in where.items():
        rows = rows[rows[name.replace("_", " ")] == value]
    assert len(rows) > 1
    return rows[column].sum() / len(rows)


def test_a_cell_holds_the_mean_over_the_seeds():
    kit = mean("quality.csv", "f1", corpus="newswire", loop="the kit")
    plain = mean("quality.csv", "f1", corpus="newswire", loop=tables.PLAIN)
    assert cell("quality", "newswire, 2,030 sentences", 2) == f"{plain:.3f}"
    assert cell("speed", "**the kit**", 5) == f"{kit:.3f}"
    assert cell("speed", "`Trainer`, grouped by length", 5) == f"{plain:.3f}"
    where = {"split": "random", "trained_on": "second volume", "tested_on": "first volume"}
    transfer = mean("transfer.csv", "f1", **where)
    assert cell("transfer", "at random | second volume", 2) == f"{transfer:.3f}"


def test_an_interval_is_that_of_the_differences():
    scores = pd.read_csv(tables.RESULTS / "quality.csv", comment="#")
    scores = scores[scores.corpus == "newswire"].pivot(index="seed", columns="loop", values="f1")
    difference = scores["the kit"] - scores[f"{tables.PLAIN}, shuffled"]
    half = 2.776 * difference.std(ddof=1) / len(difference) ** 0.5  # Student's t, 4 degrees
    text = cell("quality_pairs", "the kit − `Trainer`, shuffled", 1)
    numbers = [float(number) for number in re.findall(r"[+-][\d.]+", text)]
    expected = [difference.mean(), difference.mean() - half, difference.mean() + half]
    assert numbers == pytest.approx(expected, abs=0.0006)


def test_a_stale_number_is_found_and_mended(copies, capsys):
    front = copies[0]
    fresh = front.read_text(encoding="utf8")
    stale = fresh.replace("| 1,967 |", "| 1,968 |")
    assert stale != fresh
    front.write_text(stale, encoding="utf8")
    files = [str(path) for path in copies]
    assert tables.main(["--check", *files]) == 1
    diff = capsys.readouterr().out
    assert re.search(r"^-.*1,968", diff, re.MULTILINE) and re.search(r"^\+.*1,967", diff, re.M)
    assert front.read_text(encoding="utf8") == stale  # a check writes nothing
    assert tables.main(files) == 0
    assert front.read_text(encoding="utf8") == fresh
    assert tables.main(["--check", *files]) == 0


def test_another_result_makes_the_tables_stale(copies):
    path = tables.RESULTS / "speed.csv"
    text = path.read_text(encoding="utf8")
    assert "the kit,fp32,tokens/s,1967" in text
    path.write_text(text.replace("the kit,fp32,tokens/s,1967", "the kit,fp32,tokens/s,2967"))
    assert [tables.main(["--check", str(path)]) for path in copies] == [1, 0, 1]


def test_an_unknown_name_is_refused():
    with pytest.raises(KeyError, match="table 'sped' is unknown; expected one of .*speed"):
        tables.render("<!-- table: sped -->\n<!-- /table -->")


def test_every_result_is_described_with_its_command():
    sheet = (tables.ROOT / "data" / "README.md").read_text(encoding="utf8")
    items = {m[1]: m[0] for m in re.finditer(r"^- `([\w.]+)`: .*$", sheet, re.MULTILINE)}
    assert set(items) == {path.name for path in tables.RESULTS.iterdir()}
    for name, item in items.items():
        command = re.search(r"`(python -m [\w.]+|python data/\w+\.py|rmlib study \w+)", item)[1]
        if name.endswith(".csv"):  # the file says the same
            first = (tables.RESULTS / name).read_text(encoding="utf8").split("\n")[0]
            assert re.match(rf"# {re.escape(command)}\b", first), name
        *_, what = command.split()
        if command.startswith("python -m"):
            assert importlib.util.find_spec(what), command
        elif command.startswith("python"):
            assert (tables.ROOT / what).is_file(), command
        else:
            assert find_study(what), command
