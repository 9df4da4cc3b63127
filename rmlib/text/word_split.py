"""Splitting typed text into words, by the rules of the newswire."""

import re

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
