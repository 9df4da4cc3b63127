"""Running a study: interrupted anywhere, it resumes and gives the same table."""

import math
import subprocess
import sys
import time

import pytest

from rmlib.errors import RmlibError
from rmlib.studies.registry import STUDIES, find_study
from rmlib.studies.table import Study, fill, origin, read

RUNS = [{"seed": seed, "alpha": alpha} for seed in range(3) for alpha in (0.0, 0.1, math.inf)]


def one_run(seed, alpha):
    return {"value": math.sin(seed + min(alpha, 9)), "word": f"a,{seed}"}


SMALL = Study("small", "rmlib study small", RUNS, one_run)


def test_a_study_fills_its_table_in_order(tmp_path):
    table = fill(SMALL, tmp_path / "new" / "t.csv", progress=False)
    assert list(table.columns) == ["seed", "alpha", "value", "word"] and len(table) == 9
    assert table["alpha"].tolist()[:3] == [0, 0.1, math.inf] and table["word"][8] == "a,2"
    assert table["value"][1] == pytest.approx(math.sin(0.1), abs=1e-6)
    head = origin(tmp_path / "new" / "t.csv")
    assert head.startswith("rmlib study small; python 3") and "torch" in head
    assert read(tmp_path / "new" / "t.csv").equals(table)


def test_a_file_truncated_after_any_byte_gives_the_same_table(tmp_path):
    path = tmp_path / "t.csv"
    fill(SMALL, path, progress=False)
    whole = path.read_bytes()
    for cut in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:cut])
        fill(SMALL, path, progress=False)
        assert path.read_bytes() == whole, cut


def test_a_finished_run_is_not_repeated(tmp_path):
    path = tmp_path / "t.csv"
    calls = []

    def one(seed, alpha):
        calls.append((seed, alpha))
        return {"value": 0.5}

    fill(Study("s", "c", RUNS[:4], one), path, progress=False)
    fill(Study("s", "c", RUNS, one), path, progress=False)
    assert calls == [(run["seed"], run["alpha"]) for run in RUNS]
    table = fill(Study("s", "c", RUNS[::-1], one), path, progress=False)
    assert len(calls) == 9  # another order of the runs: only the order of the rows changes
    assert table["seed"].tolist() == [run["seed"] for run in RUNS[::-1]]


def several(seed, alpha):
    import torch

    torch.rand(3)  # a row depends on its own settings alone, whatever a run draws
    return {"value": math.sin(seed + min(alpha, 9)), "threads": torch.get_num_threads()}


@pytest.mark.long
def test_with_several_workers_the_table_is_the_same(tmp_path):
    one, two = (tmp_path / name for name in ("one.csv", "two.csv"))
    fill(Study("s", "c", RUNS, several), one, progress=False)
    table = fill(Study("s", "c", RUNS, several), two, progress=False, workers=2)
    assert set(table["threads"]) == {1}  # each on one thread of its own
    assert read(one).drop(columns="threads").equals(table.drop(columns="threads"))
    two.write_bytes(two.read_bytes()[:-200])  # interrupted
    assert fill(Study("s", "c", RUNS, several), two, progress=False, workers=2).equals(table)


SLOW = """
import sys, time
from rmlib.studies.table import Study, fill
def one(seed):
    time.sleep(0.03)
    return {"square": seed * seed, "long": "x" * 500}
fill(Study("s", "c", [{"seed": i} for i in range(40)], one), sys.argv[1], progress=False)
"""


@pytest.mark.long
def test_killed_at_any_moment_and_started_again_it_gives_the_same_table(tmp_path):
    path = tmp_path / "t.csv"
    for wait in (0.2, 0.35, 0.15):
        process = subprocess.Popen([sys.executable, "-c", SLOW, str(path)])
        while not path.exists():
            time.sleep(0.01)
        time.sleep(wait)
        process.kill()
        process.wait()
    subprocess.run([sys.executable, "-c", SLOW, str(path)], check=True)
    subprocess.run([sys.executable, "-c", SLOW, str(tmp_path / "whole.csv")], check=True)
    assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_file_of_another_study_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "t.csv"
    fill(SMALL, path, progress=False)
    before = path.read_bytes()
    with pytest.raises(RmlibError, match="not of this study"):
        fill(Study("s", "c", RUNS[:2], one_run), path, progress=False)
    with pytest.raises(
        RmlibError, match="has the columns seed, alpha, value, word; this study makes"
    ):
        more = [*RUNS, {"seed": 9, "alpha": 1.0}]
        fill(Study("s", "c", more, lambda seed, alpha: {"other": 1}), path, progress=False)
    assert path.read_bytes() == before


def test_an_unknown_study_is_named():
    with pytest.raises(RmlibError, match="'sentimant'.*did you mean 'sentiment'"):
        find_study("sentimant", 1)


def test_the_studies_have_runs_all_different():
    for name in STUDIES:
        runs = find_study(name, 2).runs
        assert len({tuple(run.values()) for run in runs}) == len(runs)
        assert {run["seed"] for run in runs} == {0, 1}


# --- A table that another program has saved -------------------------------------------------------


def semicolons(text):
    """As a spreadsheet with decimal commas saves it, its first line cut into cells."""
    head, *rows = text.replace('"a,', '"a\x00').splitlines()
    rows = [row.replace(",", ";").replace(".", ",").replace("\x00", ",") for row in rows]
    return "\ufeff" + "\r\n".join([f"{head};;", *rows]) + "\r\n"


RESAVED = {
    "a byte-order mark": lambda text: "\ufeff" + text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "old Mac": lambda text: text.replace("\n", "\r"),
    "semicolons and decimal commas": semicolons,
    "sorted": lambda text: "".join(
        [*text.splitlines(True)[:2], *sorted(text.splitlines(True)[2:], reverse=True)]
    ),
    "empty rows": lambda text: text.replace("\n", "\n\n") + ",,,\n,,,\n",
    "empty columns": lambda text: text.replace("\n", ",,\n"),
    "no first line": lambda text: text.split("\n", 1)[1],
    "other zeros": lambda text: text.replace("\n1,0.1,", "\n1,1.00E-01,"),
    "the first line quoted": lambda text: '"' + text.replace("\n", '",,,\n', 1),
    "no end of the last line": lambda text: text[:-1],
}


@pytest.mark.parametrize("how", RESAVED)
@pytest.mark.parametrize("done", [5, 9])
def test_a_table_saved_by_another_program_goes_on(tmp_path, how, done):
    path, runs = tmp_path / "t.csv", []

    def one(seed, alpha):
        runs.append((seed, alpha))
        return one_run(seed, alpha)

    whole = fill(SMALL, tmp_path / "whole.csv", progress=False)
    fill(Study("small", "rmlib study small", RUNS[:done], one_run), path, progress=False)
    path.write_bytes(RESAVED[how](path.read_text(encoding="utf8")).encode())
    table = fill(Study("small", "rmlib study small", RUNS, one), path, progress=False)
    assert table.equals(whole) and len(runs) == 9 - done + (how == "no end of the last line")
    assert b"\r" not in path.read_bytes() and not path.read_bytes().startswith(b"\xef")
    assert read(path).sort_values(["seed", "alpha"]).reset_index(drop=True).equals(whole)
    if how != "no first line":
        assert origin(path) == origin(tmp_path / "whole.csv")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text + text.splitlines()[2] + "\n", "twice; expected it once"),
        (lambda text: text.replace("seed,", "Seed,"), "not of this study"),
        (lambda text: text.replace("\n0,0,", "\n0,"), "line 3: 3 cells; expected 4"),
        (lambda text: text.replace("\n1,0,", "\n1,,"), "not of this study"),
        (lambda text: text.replace("a,1", "caf\xe9"), "not UTF-8 text"),
        (lambda text: text.replace("\n0,0,", "\nzero,0,"), "not of this study"),
    ],
)
def test_a_table_that_cannot_be_taken_is_one_sentence_and_left_alone(tmp_path, change, told):
    path = tmp_path / "t.csv"
    fill(SMALL, path, progress=False)
    path.write_bytes(change(path.read_text(encoding="utf8")).encode("latin-1"))
    before = path.read_bytes()
    with pytest.raises(RmlibError, match=told):
        fill(SMALL, path, progress=False)
    assert path.read_bytes() == before and sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("value", ["1.02030E+57", "102", "12", "1,02E+57", "00ab "])
def test_digits_that_a_spreadsheet_took_for_a_number(tmp_path, value):
    path = tmp_path / "t.csv"
    path.write_text(f'# c\nseed,gold\n0,0102aa00\n1,"{value}"\n')
    with pytest.raises(RmlibError, match="column gold: .* took the digits for a number"):
        read(path)
    path.write_text("# c\nseed,gold\n0,0102aa00\n1,00000000\n")
    assert read(path)["gold"].tolist() == ["0102aa00", "00000000"]


def test_a_table_that_another_process_fills_is_refused(tmp_path):
    from rmlib.training.locks import held

    path = tmp_path / "t.csv"
    with (
        held(tmp_path, "t.csv"),
        pytest.raises(RmlibError, match="process .* is at work here"),
    ):
        fill(SMALL, path, progress=False)
    fill(SMALL, tmp_path / "other.csv", progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["other.csv"]
