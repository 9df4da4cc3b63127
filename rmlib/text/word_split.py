"""Split typed text into words, as the newswire is split."""

import re

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


def split_words(text: str) -> list[str]:
    """Split a sentence into words, for tagging text that somebody types.

    Punctuation, brackets, % and currency signs are words of their own, and so is 's. Hyphens, the
    apostrophe in don't or O'Farrelly and the signs in 11.2, 1,400 or km/h stay inside their word;
    so does the full stop of U.N., of an initial or of a number that opens a list. No character but
    spaces is lost.
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
    return words
