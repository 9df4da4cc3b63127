"""`mine`: what passes its check is kept as source, used by later lessons, and never lost."""

import math
import re
import textwrap

import pytest
import torch
from torch.nn.functional import one_hot

from rmlib import RewardObjective
from rmlib.exercises.framework import pieces
from rmlib.exercises.framework.exercise import Check, judge
from rmlib.exercises.framework.own_pieces import PIECES, LearnersObjective, Mine, exercise_of

RIGHT = {
    "bce_from_logits": """
        def bce_from_logits(z, y):
            return F.softplus(z).mean() - (y * z).mean()
        """,
    "soft_f1": """
        def soft_f1(y_hat, y):
            return 2 * (y_hat * y).sum() / (y_hat.sum() + y.sum())
        """,
    "token_loss": """
        def token_loss(z, y, alpha):
            z, y = z[y != IGNORE], y[y != IGNORE]
            p, labels = z.softmax(-1)[:, 1:], F.one_hot(y, z.shape[-1])[:, 1:]
            L_r = 1 - 2 * (p * labels).sum() / (p.sum() + labels.sum())
            return L_r if alpha == math.inf else F.cross_entropy(z, y) + alpha * L_r
        """,
}


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    """An empty workbook that the kernel runs in."""
    (tmp_path / ".rmlib").mkdir()
    (tmp_path / ".rmlib" / "manifest.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    return tmp_path


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder that is no workbook; nothing is kept before and after."""
    monkeypatch.chdir(tmp_path)
    pieces.forget()
    yield tmp_path
    pieces.forget()


def write(folder, *names, **sources):
    """A `mine.py` with the pieces, as if their checks had passed, or with other sources."""
    parts = [textwrap.dedent(RIGHT[name]).strip() for name in names]
    parts += [textwrap.dedent(source).strip() for source in sources.values()]
    (folder / "mine.py").write_text(pieces.HEADER + "\n\n" + "\n\n\n".join(parts) + "\n")


def from_notebook(source, name, **more):
    """The function as a notebook's cell defines it: its globals are the notebook's."""
    source = textwrap.dedent(source).strip() + "\n"
    file = f"<cell {name} {hash(source)}>"
    import linecache

    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    notebook = {"__name__": "__main__", **pieces.IN_HEADER, **more}
    exec(compile(source, file, "exec"), notebook)
    return notebook[name]


def passed(name, source=None, keep=False, **more):
    """The outcome of the check of a piece."""
    function = from_notebook(source or RIGHT[name], name, **more)
    return Check(exercise_of(name), "q1")(function, keep=keep)


# --- What is kept ---------------------------------------------------------------------------------


def test_a_piece_that_passes_is_kept_as_source(workbook):
    outcome = passed("soft_f1")
    assert (outcome.outcome, outcome.message) == ("correct", "kept as mine.soft_f1 in mine.py")
    text = (workbook / "mine.py").read_text()
    assert "def soft_f1(y_hat, y):\n    return 2 * " in text
    assert "two_part_loss.soft_f1" in text  # the check that it passed
    own = {}
    exec(text, own)  # importable by itself
    assert own["soft_f1"](torch.tensor([1.0, 0.0]), torch.tensor([1, 0])) == 1
    assert Mine().whose()["soft_f1"] == "yours"


def test_several_pieces_stand_in_one_readable_file(workbook):
    for name in RIGHT:
        passed(name)
    text = (workbook / "mine.py").read_text()
    assert re.findall(r"^def (\w+)", text, re.M) == list(RIGHT)
    passed("soft_f1", RIGHT["soft_f1"].replace("2 *", "2.0 *"))
    again = (workbook / "mine.py").read_text()
    assert re.findall(r"^def (\w+)", again, re.M) == list(RIGHT) and "2.0 *" in again
    assert again.count("# soft F1: passed") == 1


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_wrong_is_refused_and_changes_nothing(workbook, name):
    passed(name)
    before = (workbook / "mine.py").read_text()
    source = RIGHT[name].replace("return", "return 1 +", 1) if name != "soft_f1" else WRONG_F1
    outcome = passed(name, source)
    assert outcome.outcome == "not yet" and outcome.misconception
    assert (workbook / "mine.py").read_text() == before


WRONG_F1 = """
def soft_f1(y_hat, y):
    return (2 * y_hat * y / (2 * y_hat + y + (1 - y_hat) * (1 - y))).mean()
"""


def test_a_wrong_piece_is_refused_by_the_name_of_its_misconception(workbook):
    assert passed("soft_f1", WRONG_F1).misconception == "as-printed"
    assert not (workbook / "mine.py").exists()


def test_an_edit_by_hand_is_not_overwritten_without_being_asked(workbook):
    passed("soft_f1")
    file = workbook / "mine.py"
    file.write_text(file.read_text().replace("    return 2 *", "    # my note\n    return 2 *"))
    edited = file.read_text()
    outcome = passed("soft_f1", RIGHT["soft_f1"].replace("2 *", "2.0 *"))
    assert outcome.outcome == "correct" and "keep=True" in outcome.message
    assert file.read_text() == edited and Mine().whose()["soft_f1"] == "yours"
    assert "kept" in passed("soft_f1", keep=True).message
    assert "my note" not in file.read_text()


def test_imports_come_along(workbook):
    source = """
    def token_loss(z, y, alpha):
        z, y = z[y != -100], y[y != -100]
        p, labels = z.softmax(-1)[:, 1:], one_hot(y, z.shape[-1])[:, 1:]
        L_r = 1 - 2 * (p * labels).sum() / (p.sum() + labels.sum())
        return L_r if alpha == m.inf else ce(z, y) + alpha * L_r
    """
    outcome = passed(
        "token_loss",
        source.replace("ce(z", "torch.nn.functional.cross_entropy(z"),
        one_hot=one_hot,
        m=math,
    )
    assert outcome.message == "kept as mine.token_loss in mine.py"
    text = (workbook / "mine.py").read_text()
    assert "import math as m\n" in text and "import one_hot\n" in text


@pytest.mark.parametrize("value", [2.0, torch.tensor(2.0), lambda: 2])
def test_a_piece_that_leans_on_the_notebook_is_told_so(workbook, value):
    source = RIGHT["soft_f1"].replace("2 *", "(two() if callable(two) else two) *")
    outcome = passed("soft_f1", source, two=value)
    assert outcome.outcome == "correct"
    assert "not kept" in outcome.message and "it uses two, which only this notebook has" in (
        outcome.message
    )
    assert not (workbook / "mine.py").exists()


def test_a_piece_that_passes_only_in_the_notebook_is_not_kept(workbook):
    """It calls another piece, and the one in the file is a wrong one."""
    write(workbook, "bce_from_logits", f1=WRONG_F1)
    source = """
    def total_loss(z, y, alpha):
        L_r = 1 - soft_f1(z.sigmoid(), y)
        return L_r if alpha == math.inf else bce_from_logits(z, y) + alpha * L_r
    """
    right = {name: from_notebook(RIGHT[name], name) for name in ("soft_f1", "bce_from_logits")}
    outcome = passed("total_loss", source, **right)
    assert outcome.outcome == "correct" and "alone in mine.py it doesn't pass" in outcome.message
    assert "total_loss" not in (workbook / "mine.py").read_text()


def test_another_name_is_told_so(workbook):
    function = from_notebook(RIGHT["soft_f1"].replace("soft_f1", "f"), "f")
    outcome = Check(exercise_of("soft_f1"), "q1")(function)
    assert outcome.outcome == "correct" and "name it soft_f1" in outcome.message


def test_the_authors_markers_are_left_out(elsewhere):
    source = """
    def soft_f1(y_hat, y):
        ### BEGIN SOLUTION
        return 2 * (y_hat * y).sum() / (y_hat.sum() + y.sum())
        ### END SOLUTION
    """
    assert passed("soft_f1", source).message == "kept as mine.soft_f1"
    assert "###" not in pieces.read() and list(elsewhere.iterdir()) == []


def test_nbgrader_writes_nothing(workbook, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert passed("soft_f1").outcome == "correct"
    assert not (workbook / "mine.py").exists()
    pieces.forget()


def test_a_full_disk_loses_nothing(workbook, monkeypatch):
    passed("soft_f1")
    before = (workbook / "mine.py").read_text()

    def full(path, content):
        raise OSError("No space left on device")

    monkeypatch.setattr(pieces, "write_atomically", full)
    outcome = passed("bce_from_logits")
    assert outcome.outcome == "correct" and "No space left" in outcome.message
    assert (workbook / "mine.py").read_text() == before


# --- What later lessons get -----------------------------------------------------------------------


def test_without_a_piece_the_kits_stands_in_and_one_line_says_so(workbook, capsys):
    mine = Mine()
    for _ in range(2):
        assert mine.soft_f1 is exercise_of("soft_f1").solution
    said = capsys.readouterr().out
    assert said == "mine.soft_f1: the kit's stands in; you build yours in lesson 01\n"


def test_every_second_piece_missing(workbook, capsys):
    write(workbook, "bce_from_logits", "token_loss")
    mine = Mine()
    assert mine.bce_from_logits.__module__ == "mine"
    assert mine.token_loss.__module__ == "mine"
    assert capsys.readouterr().out == ""
    assert mine.soft_f1 is exercise_of("soft_f1").solution
    whose = mine.whose()
    assert [name for name in PIECES if whose[name] == "yours"] == ["bce_from_logits", "token_loss"]


def test_a_piece_may_call_another_that_is_missing(workbook):
    write(
        workbook,
        bce="def bce_from_logits(z, y):\n    return F.softplus(z).mean() - (y * z).mean()",
        use="def helper(z, y):\n    return soft_f1(z.sigmoid(), y)",
    )
    own = pieces.functions_in(pieces.read(), {"soft_f1": exercise_of("soft_f1").solution})
    assert own["helper"](torch.tensor([9.0, -9.0]), torch.tensor([1, 0])) > 0.99


def test_a_piece_that_was_spoilt_by_hand_is_named_and_not_used(workbook, capsys):
    write(workbook, "bce_from_logits", f1=WRONG_F1)
    mine = Mine()
    assert mine.soft_f1 is exercise_of("soft_f1").solution
    said = capsys.readouterr().out
    assert "yours in mine.py is not right" in said and "this is E2 as printed" in said
    assert mine.whose()["bce_from_logits"] == "yours"
    assert "soft_f1: this is E2" in repr(mine)


def test_a_piece_that_calls_itself_through_mine(workbook, capsys):
    source = "def soft_f1(y_hat, y):\n    return mine.soft_f1(y_hat, y)"
    write(workbook, imported="from rmlib.classroom import mine", f1=source)
    assert Mine().soft_f1 is exercise_of("soft_f1").solution
    assert "it calls mine.soft_f1, which is itself" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def soft_f1(:\n", r"mine.py, line 1: "),
        ("import nowhere_at_all\n", r"mine.py, line 1: ModuleNotFoundError"),
        ("def f():\n    pass\n\n1 / 0\n", r"mine.py, line 4: ZeroDivisionError"),
    ],
)
def test_a_broken_file_is_named_and_kept(workbook, capsys, text, message):
    (workbook / "mine.py").write_text(text)
    assert Mine().soft_f1 is exercise_of("soft_f1").solution
    assert re.search(message, capsys.readouterr().out)
    if "(:" in text:
        outcome = passed("soft_f1")
        assert outcome.outcome == "correct" and re.search(message, outcome.message)
        assert (workbook / "mine.py").read_text() == text


@pytest.mark.parametrize(
    "saved",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),  # Windows' Notepad
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: (text + "\n\n\n").encode(),
        lambda text: text.rstrip("\n").encode(),
        lambda text: (text + "\n# für α\n").encode(),
    ],
)
def test_a_file_saved_by_another_editor_is_the_same(workbook, saved):
    write(workbook, "soft_f1")
    text = (workbook / "mine.py").read_text(encoding="utf8")
    (workbook / "mine.py").write_bytes(saved(text))
    assert Mine().whose()["soft_f1"] == "yours"
    assert passed("token_loss").outcome == "correct"
    mine = Mine().whose()
    assert mine["soft_f1"] == mine["token_loss"] == "yours"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("# für\n".encode("latin-1"), "it isn't UTF-8"),
        ("# für\n".encode("utf-16"), "it isn't UTF-8"),
        (b"\x80\x81", "it isn't UTF-8"),
        (None, "directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_kept(workbook, capsys, content, message):
    if content is None:
        (workbook / "mine.py").mkdir()
    else:
        (workbook / "mine.py").write_bytes(content)
    assert Mine().soft_f1 is exercise_of("soft_f1").solution
    assert re.search(f"mine.py can't be read: .*{message}", capsys.readouterr().out)
    outcome = passed("soft_f1")
    assert outcome.outcome == "correct" and message in outcome.message
    assert content is None or (workbook / "mine.py").read_bytes() == content


@pytest.mark.parametrize(
    "content", ["", "[]", "null", '{"p": 3}', '\ufeff{"p": null}', '{"p": []}']
)
def test_notes_that_somebody_else_wrote(workbook, content):
    from rmlib.widgets.prediction import came_true, forget_predictions, happened, predict

    (workbook / ".rmlib" / "predictions.json").write_text(content, encoding="utf8")
    (workbook / ".rmlib" / "pieces.json").write_text(content, encoding="utf8")
    question = predict("p", "Which?", "a", "b")
    assert question.said is None
    question.answer("a")
    assert happened("p", "a").true and came_true() == "1 of your 1 predictions came true"
    assert passed("soft_f1").outcome == "correct" and Mine().whose()["soft_f1"] == "yours"
    forget_predictions()


def test_an_edit_is_seen_at_once(workbook):
    mine = Mine()
    assert mine.whose()["soft_f1"] == "the kit's"
    write(workbook, "soft_f1")
    assert mine.whose()["soft_f1"] == "yours"
    write(workbook, f1=WRONG_F1)
    assert mine.whose()["soft_f1"] == "the kit's"


def test_an_unknown_piece():
    with pytest.raises(AttributeError, match="'soft_f2'; did you mean 'soft_f1'"):
        Mine().soft_f2  # noqa: B018


def test_the_table(elsewhere):
    table = Mine()._repr_markdown_()
    assert all(f"| `{name}` | {home.lesson} | the kit's" in table for name, home in PIECES.items())


@pytest.mark.parametrize("name", PIECES)
def test_the_kits_own_piece_passes_its_check_under_that_name(name):
    exercise = exercise_of(name)
    assert exercise.piece == name == exercise.solution.__name__
    assert judge(exercise, exercise.solution).outcome == "correct"


# --- The objective --------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 1.0, 10.0, math.inf])
def test_the_learners_objective_has_the_kits_losses(elsewhere, alpha):
    random = torch.Generator().manual_seed(0)
    z = torch.randn(3, 8, 5, generator=random, requires_grad=True)
    y = torch.randint(-1, 5, (3, 8), generator=random).where(torch.rand(3, 8) < 2, -100)
    y = y.masked_fill(y == -1, -100)
    theirs = LearnersObjective(exercise_of("token_loss").solution, alpha)
    kits = RewardObjective(alpha, "soft_f1")
    ours, expected = theirs(z, y), kits(z, y)
    torch.testing.assert_close(torch.stack(ours), torch.stack(expected))
    (one,) = torch.autograd.grad(ours.total, z, retain_graph=True)
    (other,) = torch.autograd.grad(expected.total, z)
    torch.testing.assert_close(one, other)
    theirs.alpha = 3.0
    assert theirs(z, y).total > theirs(z, y).prediction
