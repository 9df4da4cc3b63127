"""The command line: rmlib lab | workbook | fetch | train | predict | study.

What a command needs is imported inside it, so that help is quick.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from rmlib.errors import RmlibError

LESSON_ASSETS = ("minilm", "tweets")
LOOPBACK = ("localhost", "127.0.0.1", "::1")

# What the error of a process contains when another process of its launch has ended.
LOST_PROCESS = ("Connection closed", "Connection reset", "Broken pipe", "gloo", "NCCL", "c10d")

MOST_CHARACTERS = 500  # of an error that is not the kit's own

app = typer.Typer(
    help="Train on the metric you care about: L = L_p + alpha * L_r.",
    epilog="With --debug, or RMLIB_DEBUG=1, an error comes with its traceback.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Solutions = Annotated[
    bool, typer.Option("--solutions", help="Keep the solutions; the copies go to solutions/.")
]
Folder = Annotated[
    Path | None, typer.Option("--workbook", help="Where the workbook goes.", show_default=False)
]
Lessons = Annotated[Path | None, typer.Option("--notebooks", hidden=True)]  # for tests


def main() -> None:
    """The console script: an error is one line and exit code 1, Ctrl-C is exit code 130."""
    for stream in (sys.stdout, sys.stderr):  # a console without a character shows "?" instead
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    debug = "--debug" in sys.argv or os.environ.get("RMLIB_DEBUG", "0") not in ("", "0")
    try:
        app([argument for argument in sys.argv[1:] if argument != "--debug"])
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        print("rmlib:", _one_line(error), file=sys.stderr)
        sys.exit(1)


def _one_line(error: Exception) -> str:
    """The message of an error; one that nobody foresaw comes with its type."""
    text = " ".join(str(error).split())
    if isinstance(error, RmlibError):
        return text
    text = text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + " …"
    return f"{type(error).__name__}: {text} (--debug shows where)"


@app.command()
def lab(
    solutions: Solutions = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Serve, but open no browser.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="The next free port if it is taken.")
    ] = 8888,
    ip: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0 lets other machines in.")
    ] = "localhost",
    allow_root: Annotated[
        bool, typer.Option("--allow-root", help="Let root serve other machines too.")
    ] = False,
    workbook: Folder = None,
    notebooks: Lessons = None,
) -> None:
    """Update the workbook, fetch what the lessons need, and open them in JupyterLab."""
    # JupyterLab's slowest import, made first: from as deep in the stack as `serve`, Python 3.11 is
    # slower at it (its memory for frames then grows and shrinks at every call).
    import nbformat  # noqa: F401

    from rmlib.classroom.jupyter import FIRST_LESSON, serve
    from rmlib.text.downloads import AssetError, fetch

    folder = _make_workbook(notebooks, workbook, solutions)  # first: its errors show at once
    for name in LESSON_ASSETS:
        try:
            fetch(name)
        except AssetError as error:  # the first lessons work without
            print("rmlib:", error, file=sys.stderr)
    serve(
        folder,
        f"solutions/{FIRST_LESSON}" if solutions else FIRST_LESSON,
        browser=not no_browser,
        port=port,
        ip=ip,
        allow_root=allow_root or ip in LOOPBACK,
    )


@app.command("workbook")
def workbook_command(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Where the workbook goes.", show_default=False),
    ] = None,
    solutions: Solutions = False,
    nbgrader: Annotated[
        Path | None,
        typer.Option(
            metavar="COURSE_DIR", help="Lay out an nbgrader course there.", show_default=False
        ),
    ] = None,
    notebooks: Lessons = None,
) -> None:
    """Make or update the workbook without opening it. Your edits are never overwritten."""
    if nbgrader is None:
        _make_workbook(notebooks, folder, solutions)
        return
    from rmlib.classroom.nbgrader_course import make_course, next_steps
    from rmlib.classroom.workbook import default_folders

    if folder or solutions:
        raise RmlibError("--nbgrader makes a course, not a workbook; leave DIR and --solutions out")
    course = nbgrader.resolve()
    lessons = notebooks or default_folders()[0]
    print(f"{course}: {make_course(lessons, course)}\n{next_steps(course)}")


@app.command("fetch")
def fetch_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="What to fetch; all that the lessons need if left out."),
    ] = None,
    accept_licence: Annotated[
        list[str] | None,
        typer.Option("--accept-licence", help="Accept the licence of this one, such as conll2003."),
    ] = None,
) -> None:
    """Fetch the models and texts into the cache, once; afterwards everything works offline."""
    from rmlib.text.downloads import ASSETS, fetch, fetch_all

    accepted = accept_licence or []
    if not names:
        fetch_all(accepted)
    for name in names or []:
        home = fetch(name, accept_licence=name in accepted)
        print(f"{name}: {ASSETS[name].megabytes} MB, licence: {ASSETS[name].licence}, in {home}")


@app.command("train")
def train_command(  # noqa: PLR0913 (one per option)
    corpus: Annotated[
        str,
        typer.Option(
            help="newswire, conll2003, a folder with train/dev/test files, or hub:owner/name."
        ),
    ] = "newswire",
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="word=N,tag=N",
            help="The columns of your own files, from 1, or their names; found if left out.",
            show_default=False,
        ),
    ] = None,
    encoder: Annotated[
        str, typer.Option(help="minilm, a local folder, or a name on the model hub.")
    ] = "minilm",
    reward: Annotated[
        str, typer.Option(help="The reward type in L = L_p + alpha * L_r.")
    ] = "soft_f1",
    alpha: Annotated[
        float, typer.Option(help="The weight of the reward loss; inf means the reward alone.")
    ] = 1.0,
    epochs: Annotated[int, typer.Option(help="Passes over the training sentences.")] = 8,
    lr: Annotated[float, typer.Option(help="The highest learning rate.")] = 5e-4,
    max_tokens: Annotated[int, typer.Option(help="Maximum tokens per batch, with padding.")] = 1024,
    accumulate: Annotated[
        int, typer.Option(help="Batches per step; the reward is that of all together.")
    ] = 1,
    optimizer: Annotated[str, typer.Option(help="adamw or sgd.")] = "adamw",
    weight_decay: Annotated[float, typer.Option(help="On matrices only.")] = 0.01,
    dropout: Annotated[float, typer.Option(help="Of the encoder and the head.")] = 0.1,
    freeze: Annotated[
        str, typer.Option(help="none, embeddings, encoder, or a number of layers.")
    ] = "embeddings",
    lora: Annotated[
        int, typer.Option(help="Train adapters of this rank beside the weights; 0: the weights.")
    ] = 0,
    layer_decay: Annotated[
        float, typer.Option(help="A layer's learning rate as a share of the next one's.")
    ] = 1.0,
    patience: Annotated[
        int, typer.Option(help="Stop after this many epochs without a gain; 0: never.")
    ] = 3,
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    packed: Annotated[
        str, typer.Option(help="Rows without padding: auto (where possible), yes or no.")
    ] = "auto",
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the encoder (takes a minute).")
    ] = False,
    checkpoint_every: Annotated[int, typer.Option(help="Steps between two checkpoints.")] = 50,
    limit: Annotated[
        int | None, typer.Option(help="Train on the first sentences only, this many.")
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of the new weights, the order of the batches and dropout.")
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder for the results; runs/... if left out.", show_default=False),
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the corpus's licence.")
    ] = False,
) -> None:
    """Fine-tune a BERT to find names. The same command resumes an interrupted run."""
    from dataclasses import replace

    from rmlib.text.files import check_output
    from rmlib.training.config import Config

    config = Config(  # checked before anything slow begins
        alpha=alpha,
        reward=reward,
        epochs=epochs,
        lr=lr,
        max_tokens=max_tokens,
        accumulate=accumulate,
        optimizer=optimizer,
        weight_decay=weight_decay,
        freeze=freeze,
        lora=lora,
        layer_decay=layer_decay,
        patience=patience,
        precision=precision,
        packed=packed,
        compile=compile,
        seed=seed,
        checkpoint_every=checkpoint_every,
    )
    from accelerate import PartialState

    from rmlib.text.corpora import load
    from rmlib.training.runs import run_name, train_tagger
    from rmlib.training.setup import launched_processes

    if limit is not None and limit < 1:
        raise RmlibError(f"limit is {limit}; expected 1 or more")
    check_output(out or Path("runs"))
    data = load(corpus, accept_licence, columns)
    data = replace(data, train=data.train[:limit])
    if os.environ.get("RANK", "0") == "0":
        print(f"corpus: {data.layout}", flush=True)
        for warning in data.check():
            print("warning:", warning, file=sys.stderr)
    out = out or Path("runs") / run_name(data, config, encoder, dropout)
    try:
        _, _, metrics = train_tagger(data, config, encoder, dropout, out)
    except RuntimeError as error:
        several = launched_processes() > 1
        if not (several and any(sign in str(error) for sign in LOST_PROCESS)):
            raise
        raise RmlibError(
            f"another process of this launch has ended ({error}); give the same command again, and "
            f"the run resumes from its last checkpoint in {out}"
        ) from error
    if PartialState().is_main_process:
        test = metrics["test"]
        for part, cut in metrics["cut"].items():
            if cut["in_windows"] or cut["words"]:
                long = f"{cut['in_windows']} sentences longer than the encoder reads"
                print(f"{part}: {long}, in overlapping windows; {cut['words']} words not whole")
        scores = ", ".join(f"{name} {test[name]:.3f}" for name in ("f1", "precision", "recall"))
        speed = f"{metrics['tokens_per_second']:.0f} tokens/s, {metrics['seconds']:.0f} s"
        print(f"test: {scores.replace('f1', 'F1')}; {speed}; in {out}")


@app.command("predict")
def predict_command(
    text: Annotated[str, typer.Argument(help="The text to find names in.")],
    model: Annotated[Path, typer.Option(help="A folder that rmlib train wrote.")],
) -> None:
    """Find names in a text with a trained tagger: one entity per line, its type and its words."""
    from rmlib.models.encoder import load_tagger
    from rmlib.text.conll import entities
    from rmlib.text.word_split import join_words, split_like

    if not text.split():
        raise RmlibError("the text has no words; expected a sentence")
    tagger = load_tagger(model)
    lengths = getattr(tagger.model.config, "word_lengths", (0, 0))
    words = split_like(text, *lengths)
    for kind, start, end in entities(tagger.tag([words])[0]):
        print(f"{kind}\t{join_words(words[start:end], *lengths)}")


@app.command("study")
def study_command(
    name: Annotated[str, typer.Argument(help="sentiment, ner or sweep.")],
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Seeds, from 0 up; as many as the course shows if left out."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Runs side by side, each on one core.")] = 1,
    corpus: Annotated[str, typer.Option(help="For ner: newswire or conll2003.")] = "newswire",
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the corpus's licence.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="The table; data/results/NAME.csv if left out.", show_default=False),
    ] = None,
) -> None:
    """Fill the table of a study. The same command resumes an interrupted study."""
    from rmlib.studies.registry import find_study
    from rmlib.studies.table import fill
    from rmlib.text.corpora import data_dir, load
    from rmlib.text.files import check_output

    if int(os.environ.get("WORLD_SIZE") or 1) > 1:
        raise RmlibError("a study runs in one process; leave the launcher out, and give --workers")
    options = {"corpus": corpus} if name == "ner" else {}
    if not options and corpus != "newswire":
        raise RmlibError(f"study {name!r} has one corpus of its own; leave --corpus out")
    study = find_study(name, seeds, **options)
    path = out or data_dir() / "results" / f"{study.name}.csv"
    check_output(path, folder=False)
    if options:
        load(corpus, accept_licence)  # before anything slow begins
    print(f"{path}: {len(fill(study, path, workers=workers))} runs")


def _make_workbook(notebooks: Path | None, workbook: Path | None, solutions: bool) -> Path:
    from rmlib.classroom.workbook import default_folders, make_workbook

    if notebooks is None or workbook is None:
        lessons, copies = default_folders()
        notebooks = notebooks or lessons
        workbook = workbook or copies
    workbook = workbook.resolve()
    print(f"{workbook}: {make_workbook(notebooks, workbook, solutions)}", flush=True)
    return workbook
