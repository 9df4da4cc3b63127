"""Split typed text into words, as the newswire is split."""

import re

from rmlib.errors import RmlibValueError

# A letter, a digit, or any other character that is not punctuation.
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

# Thai, Lao, Tibetan, Myanmar, Khmer, kana and Han: no spaces stand between words.
_SPACELESS = (
    "\u0e00-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_RUN = re.compile(f"[{_SPACELESS}]+")
_SIGNS = "\u3001-\u3004\u3008-\u303f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
_CHARACTERS = re.compile(f"[{_SPACELESS}{_SIGNS}]|[^{_SPACELESS}{_SIGNS}]+")
MOSTLY = 0.98  # words of one character, where the rest are slips


def split_words(text: str, characters: bool = False) -> list[str]:
    """Split a sentence into words, for tagging text that somebody types.

    Punctuation, brackets, % and currency signs are words of their own, and so is 's. Hyphens, the
    apostrophe in don't or O'Farrelly and the signs in 11.2, 1,400 or km/h stay inside their word;
    so does the full stop of U.N., of an initial or of a number that opens a list. No character but
    spaces is lost. With `characters`, each character of a script that is written without spaces
    between words (Han, kana, Thai, Lao, Khmer, Myanmar, Tibetan) is a word of its own.
    """
    chunks = text.split()
    words = []
    for i, chunk in enumerate(chunks):
        last = i == len(chunks) - 1
        in_list = re.fullmatch(r"\d{1,2}\.", chunk) and not last and (i == 0 or "1." in chunks)
        if in_list:
            words.append(chunk)
        elif last and re.search(r"(?:^|\W)[^\W\d_]\.$", chunk) and not re.search(r"\.\w\.$", chunk):
            # "So do I." ends a sentence: "I" is not an initial
            words += [*_WORD.findall(chunk[:-1]), "."]
        else:
            words += _WORD.findall(chunk)
    if characters:
        return [part for word in words for part in _CHARACTERS.findall(word)]
    return words


def join_words(words, longest: int, run: int) -> str:
    """What `split_like` has split: spaces between words, but none between single characters."""
    if longest == 1:
        return "".join(words)
    text = " ".join(words)
    return re.sub(f"(?<=[{_SPACELESS}]) (?=[{_SPACELESS}])", "", text) if run == 1 else text


def longest_run(words) -> int:
    """The most characters in a row, in any of the words, of scripts without spaces; 0 if none."""
    return max((len(run) for word in words for run in _RUN.findall(word)), default=0)


def word_lengths(words) -> tuple[int, int]:
    """How the words of a training corpus are split, for `split_like`.

    Returns:
        (length of the longest word, `longest_run`); 1 where nearly all words, or nearly all runs of
        scripts without spaces, are one character.
    """
    words = list(words)
    lengths = [len(word) for word in words]
    runs = [len(run) for word in words for run in _RUN.findall(word)]
    return tuple(
        1 if values and values.count(1) >= MOSTLY * len(values) else max(values, default=0)
        for values in (lengths, runs)
    )


def split_like(text: str, longest: int, run: int) -> list[str]:
    """Split typed text as a training corpus is split, whose `word_lengths` are given.

    Raises:
        RmlibValueError: the text is in a script without spaces, the corpus has words of several
            characters or none of such a script, and the text has no spaces between words.
    """
    if longest == 1:
        return [c for c in text if not c.isspace()]
    words = split_words(text, characters=run == 1)
    found = longest_run(words)
    letters = sum(c.isalpha() for c in text)
    unspaced = sum(map(len, _RUN.findall(text)))
    if found > max(run, 1) and (run > 1 or 2 * unspaced > letters):
        word = next(word for word in words if longest_run([word]) == found)
        raise RmlibValueError(
            f"{word[:40]!r} in the text has no spaces between words; expected spaces, as in the "
            "text that this tagger was trained on"
        )
    return words
