"""Labelled text by name: the newswire that comes with the kit, CoNLL-2003, your own files, and rated tweets."""

import html
import json
import re
import statistics
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from . import assets
from .conll import CONLL_TYPES, CorpusError, Sentence, entities, finish, read_conll, read_text, short
from .errors import nearest

__all__ = [
    "CONLL_TYPES",
    "Corpus",
    "CorpusError",
    "Sentence",
    "Tweet",
    "conll2003",
    "data_dir",
    "entities",
    "load",
    "newswire",
    "read_conll",
    "split_words",
    "tweets",
]
SPLITS = {"train": ["train"], "dev": ["dev", "valid", "testa"], "test": ["test", "testb"]}


@dataclass(frozen=True)
class Corpus:
    """Three lists of sentences: to train on, to choose settings on (dev), and to report on once (test)."""

    name: str
    train: list[Sentence]
    dev: list[Sentence]
    test: list[Sentence]

    @cached_property
    def tags(self) -> list[str]:
        """The tag set of all three splits, "O" first, then PER, ORG, LOC, MISC, then other types by alphabet; as it was
        when it was first asked for."""
        everything = (self.train, self.dev, self.test)
        found = {tag[2:] for split in everything for sentence in split for tag in sentence.tags if tag != "O"}
        types = [t for t in CONLL_TYPES if t in found] + sorted(found - set(CONLL_TYPES))
        return ["O"] + [f"{mark}-{t}" for t in types for mark in "BI"]


class Tweet(NamedTuple):
    """A tweet rated by 20 or more people, each from -4 (very negative) to 4 (very positive)."""

    id: int
    text: str
    mean: float
    sd: float
    ratings: tuple[int, ...]


def data_dir() -> Path:
    """The folder with the kit's own data: `data` in a checkout, or the copy inside an installed package."""
    checkout = Path(__file__).parent.parent / "data"
    return checkout if (checkout / "newswire").is_dir() else Path(__file__).parent / "data"


def newswire() -> Corpus:
    """The newswire written for this kit: about 2,900 sentences, split 70/10/20; data/README.md describes it."""
    return _from_folder(data_dir() / "newswire", "newswire", types=CONLL_TYPES)


def conll2003(path=None, accept_licence=False, limit=None, hub=None) -> Corpus:
    """CoNLL-2003 English: 14,041 / 3,250 / 3,453 sentences (Tjong Kim Sang and De Meulder, CoNLL 2003).

    Its Reuters text is licensed for research only; fetching it takes accept_licence=True.

    Args:
        path: a folder with your own copy; None takes the kit's asset.
        limit: keep only the first `limit` (1 or more) training sentences.
        hub: a data set on the model hub in the T-NER layout, such as "tner/conll2003".

    Raises:
        CorpusError: both path and hub are given, limit is not 1 or more, or a file cannot be used.
        AssetError: the licence is not accepted, or the files cannot be had.
    """
    if path is not None and hub is not None:
        raise CorpusError(f"conll2003 got both path {str(path)!r} and hub {hub!r}; expected one of them")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise CorpusError(f"limit is {limit!r}; expected a number of sentences, 1 or more, or None for all")
    if hub is not None:
        corpus = _from_hub(hub, "conll2003", accept_licence)
    else:
        folder = path if path is not None else assets.fetch("conll2003", accept_licence=accept_licence)
        corpus = _from_folder(folder, "conll2003", types=CONLL_TYPES)
    return Corpus(corpus.name, corpus.train[:limit], corpus.dev, corpus.test)


def load(name_or_folder, accept_licence=False) -> Corpus:
    """A corpus by name: "newswire", "conll2003", "hub:owner/name", or a folder with train, dev and test files.

    Raises:
        CorpusError: the name is not known, or a file is missing or cannot be used.
        AssetError: the files cannot be had.
    """
    name = str(name_or_folder)
    if not name:
        raise CorpusError("the name of the corpus is empty; expected newswire, conll2003, hub:owner/name or a folder")
    if name == "newswire":
        return newswire()
    if name == "conll2003":
        return conll2003(accept_licence=accept_licence)
    if name.startswith("hub:"):
        return _from_hub(name.removeprefix("hub:"), name, accept_licence)
    return _from_folder(name_or_folder, Path(name).name or name)


def _from_folder(folder, name: str, types=None) -> Corpus:
    try:
        here = {p.name for p in Path(folder).iterdir()}
    except NotADirectoryError:
        raise CorpusError(f"{folder} is a file; expected a folder with train, dev and test files") from None
    except (OSError, ValueError):
        raise CorpusError(
            f"corpus {str(folder)!r} is neither a known name nor a folder that can be read; "
            f"{nearest(folder, ['newswire', 'conll2003'])}, hub:owner/name, or a folder with train, dev and test files"
        ) from None
    parts = {}
    for split, stems in SPLITS.items():
        wanted = [stem + suffix for stem in stems for suffix in (".conll", ".txt")]
        found = [file for file in wanted if file in here]
        if len(found) != 1:
            got = " and ".join(found) or "none of them"
            raise CorpusError(f"{folder}: the {split} split should be one of {', '.join(wanted)}; found {got}")
        parts[split] = read_conll(Path(folder) / found[0], types=types)
    return Corpus(name, **parts)


def _from_hub(repo: str, name: str, accept_licence: bool) -> Corpus:
    """A data set of the hub in the T-NER layout: dataset/label.json maps tags to numbers, and each split is a file
    with a JSON object a line, {"tokens": [...], "tags": [numbers]}."""
    if "conll2003" in repo.lower() and not accept_licence:
        raise CorpusError(f"{repo!r} holds Reuters text licensed for research only; expected accept_licence=True")
    labels = assets.hub_file(repo, "dataset/label.json", repo_type="dataset")
    try:
        tag_of = {int(number): str(tag) for tag, number in json.loads(read_text(labels)).items()}
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError):
        raise CorpusError(f'{labels}: expected one JSON object of tags and their numbers, {{"O": 0, ...}}') from None
    parts = {}
    for split, files in {"train": ["train"], "dev": ["valid", "dev"], "test": ["test"]}.items():
        for file in files:
            try:
                path = assets.hub_file(repo, f"dataset/{file}.json", repo_type="dataset")
                break
            except assets.AssetError:
                if file == files[-1]:
                    raise
        parts[split] = _read_json_lines(path, tag_of)
    return Corpus(name, **parts)


def _read_json_lines(path, tag_of: dict[int, str]) -> list[Sentence]:
    sentences = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            words, tags = list(row["tokens"]), [tag_of[n] for n in row["tags"]]
            good = len(words) == len(tags) > 0 and all(isinstance(w, str) and w for w in words)
            good = good and all(re.fullmatch(r"O|[BIESLU]-\S+", tag) for tag in tags)
        except (ValueError, KeyError, TypeError, RecursionError):
            good = False
        if not good:
            raise CorpusError(
                f'{path}, line {number}: {short(line)} is not {{"tokens": [words], "tags": [numbers]}} '
                f"with as many of both and numbers from label.json ({', '.join(map(str, sorted(tag_of)[:12]))})"
            )
        sentences.append([(number, word, tag) for word, tag in zip(words, tags, strict=True)])
    if not sentences:
        raise CorpusError(f"{path} holds no sentence; expected a JSON object a line")
    return finish(path, sentences, "auto")


# --- Tweets and typed text ------------------------------------------------------------------------------------------


def tweets() -> list[Tweet]:
    """4,200 tweets with every single rating (Hutto and Gilbert, ICWSM 2014), in the order of the published files.

    `mean` and `sd` (of the population) are those of `ratings`. For 199 tweets the published file with the texts gives
    another mean, apparently of another round of rating: 30 tweets, and 169 rewordings of them (numbers 1424 and up)
    that the authors made to measure capitals, points and adverbs. Those means are left out. "&amp;" becomes "&".

    Raises:
        CorpusError: the two files do not belong together.
        AssetError: the files cannot be had.
    """
    folder = assets.fetch("tweets")
    texts = _columns(folder / "tweets_GroundTruth.txt", 3)
    ratings = _columns(folder / "tweets_anonDataRatings.txt", 4)
    if not len(texts) == len(ratings) == 4200:
        raise CorpusError(f"{folder}: {len(texts)} tweets and {len(ratings)} rows of ratings; expected 4200 of both")
    return [_tweet(folder, *pair) for pair in zip(texts, ratings, strict=True)]


def _tweet(folder, text_row, rating_row) -> Tweet:
    number, (text_id, _, text) = text_row
    _, (rating_id, mean, sd, single) = rating_row
    try:
        tweet = Tweet(int(text_id), html.unescape(text).strip(), float(mean), float(sd), tuple(json.loads(single)))
        good = text_id == rating_id and len(tweet.ratings) >= 20 and all(r in range(-4, 5) for r in tweet.ratings)
        good = good and abs(statistics.fmean(tweet.ratings) - tweet.mean) < 1e-6
        good = good and abs(statistics.pstdev(tweet.ratings) - tweet.sd) < 1e-4
    except (ValueError, TypeError, RecursionError):
        good = False
    if not good:
        raise CorpusError(
            f"{folder}, line {number}: tweet {short(text_id)} and ratings {short(rating_id)} do not belong together; "
            "expected one id, 20 or more ratings from -4 to 4, and their mean and sd"
        )
    return tweet


def _columns(path, count: int) -> list[tuple[int, list[str]]]:
    """The lines of a tab-separated file with their numbers."""
    rows = [(i, line.split("\t")) for i, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    for number, cells in rows:
        if len(cells) != count:
            raise CorpusError(f"{path}, line {number}: {len(cells)} columns; expected {count}, separated by tabs")
    return rows


# A letter, a figure, or any other sign that is no punctuation.
_W = r"[^\s!-/:-@\[-^`{-~“”‘’«»…–—£€¥]"
_WORD = re.compile(
    rf"""https?://\S*{_W}/?                              # a web address
    | (?:[^\W\d_]\.){{2,}}(?:-{_W}+)* | [A-Z]\.(?=$)     # U.N., p.m., U.S.-backed, an initial
    | (?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|No|vs|Inc|Ltd)\.(?=$)
    | ['’][sS](?!{_W})                                  # 's, after a word or alone
    | ['’]\d\d(?!{_W})                                  # '31
    | (?:[@\#]|[+-](?=\d))?{_W}+                        # a word, and what may stand inside it:
      (?:(?:[-./+&@–] | ['’](?![sS](?!{_W})) | (?<=\d)[,:](?=\d)) {_W}+)*
    | \.{{2,}} | [?!]+ | -{{2,}} | .                      # a sign, or the same one repeated""",
    re.VERBOSE,
)


def split_words(text: str) -> list[str]:
    """The words of a sentence as the newswire splits them, for tagging text that somebody types.

    Punctuation, brackets, % and money signs are words of their own, and so is 's. Hyphens, the apostrophe in don't or
    O'Farrelly and the signs in 11.2, 1,400 or km/h stay inside their word; so does the point of U.N., of an initial
    or of a number that opens a list. Nothing is lost: the words without spaces are the text without spaces.
    """
    chunks = text.split()
    words = []
    for i, chunk in enumerate(chunks):
        last = i == len(chunks) - 1
        in_list = re.fullmatch(r"\d{1,2}\.", chunk) and not last and (i == 0 or "1." in chunks)
        if in_list:
            words.append(chunk)
        elif last and re.search(r"(?:^|\W)[^\W\d_]\.$", chunk) and not re.search(r"\.\w\.$", chunk):
            words += [*_WORD.findall(chunk[:-1]), "."]  # "So do I." ends a sentence: no initial
        else:
            words += _WORD.findall(chunk)
    return words
