"""One sentence at a time, with the names that several taggings find in it, and what is wrong with them."""

import html
import threading

import ipywidgets

from rmlib.errors import RmlibValueError
from rmlib.plots.figures import Picture
from rmlib.text.ner_errors import Mark, compare

# Dark text on a light ground in either theme. The type is always written out too, so no colour has to be read.
GROUND = {"PER": "#CFE8F7", "ORG": "#FBE3B0", "LOC": "#C5EBDD", "MISC": "#F3D9E8"}
OTHER_GROUND = "#E4E4E4"
# verdict -> (sign and words after the type, border). Right entities have a plain border and no words.
LOOKS = {
    "right": ("", "2px solid #333333"),
    "type": ("✗ wrong type", "2px dashed #B03A00"),
    "boundary": ("✗ wrong boundary", "2px dashed #B03A00"),
    "invented": ("✗ invented", "3px double #B03A00"),
    "missed": ("✗ missed", "2px dotted #B03A00"),
}


def render(words: list[str], taggings: dict[str, list[str]]) -> str:
    """HTML of one sentence: a row a tagging, the first of them gold. Needs no widget; all text is escaped.

    Args:
        words: of the sentence.
        taggings: by name, one IOB2 tag a word.

    Raises:
        RmlibValueError: no tagging, or one that has not one tag a word.
    """
    _check([words], {name: [tags] for name, tags in taggings.items()})
    return '<div style="line-height:2.4">' + "".join(_row(words, *row) for row in _rows(taggings)) + "</div>"


def in_words(words: list[str], taggings: dict[str, list[str]]) -> str:
    """The same as `render` in plain text, a line a tagging."""
    lines = []
    for name, marks in _rows(taggings):
        found = [f"{m.type} {' '.join(words[m.start : m.end])}{_remark(m, ' (', ')')}" for m in marks]
        lines.append(f"{name}: {'; '.join(found) or 'no name'}")
    return "\n".join([" ".join(words), *lines])


def _rows(taggings: dict[str, list[str]]) -> list[tuple[str, list[Mark]]]:
    names = list(taggings)
    gold = taggings[names[0]]
    before = {name: taggings[names[i - 1]] if i > 1 else None for i, name in enumerate(names)}
    return [(name, compare(gold, taggings[name], before[name])) for name in names]


def _remark(mark: Mark, opening: str = " ", closing: str = "") -> str:
    words = [LOOKS[mark.verdict][0], "● changed" if mark.new else ""]
    text = ", ".join(filter(None, words))
    return f"{opening}{text}{closing}" if text else ""


def _row(words: list[str], name: str, marks: list[Mark]) -> str:
    pieces, at = [], 0
    for mark in marks:
        pieces += [html.escape(word) for word in words[at : mark.start]]
        line = "" if mark.verdict == "right" else "text-decoration:underline;text-decoration-thickness:2px;"
        ground = "#FFFFFF" if mark.verdict == "missed" else GROUND.get(mark.type, OTHER_GROUND)
        box = f"border:{LOOKS[mark.verdict][1]};background-color:{ground};color:#111111;border-radius:4px;"
        box += "padding:0 4px;line-height:1.5;display:inline-block"  # inline-block: not cut at the end of a line
        inside = html.escape(" ".join(words[mark.start : mark.end]))
        label = html.escape(mark.type + _remark(mark))
        pieces.append(
            f'<span style="{box}"><span style="{line}">{inside}</span> '
            f'<span style="font-size:80%;font-weight:bold">{label}</span></span>'
        )
        at = mark.end
    pieces += [html.escape(word) for word in words[at:]]
    return f'<div style="margin:2px 0"><strong>{html.escape(name)}:</strong> {" ".join(pieces)}</div>'


def _check(sentences: list[list[str]], taggings: dict[str, list[list[str]]]) -> None:
    if not sentences or not taggings:
        raise RmlibValueError(f"{len(sentences)} sentences and {len(taggings)} taggings; expected at least 1 of each")
    for name, tagging in taggings.items():
        if len(tagging) != len(sentences):
            raise RmlibValueError(f"tagging {name!r} has {len(tagging)} sentences; expected {len(sentences)}")
        for number, (words, tags) in enumerate(zip(sentences, tagging, strict=True)):
            if len(words) != len(tags):
                raise RmlibValueError(
                    f"tagging {name!r}, sentence {number}: {len(tags)} tags; expected {len(words)}, one a word"
                )


class EntityViewer:
    """The entity viewer. Show `viewer.widget`, or set `index` and `only_changed` from Python.

    A sentence differs when its taggings do not all agree: the ones after gold with each other, or, if there is only
    one, that one with gold.

    Args:
        sentences: lists of words.
        taggings: by name, a list of IOB2 tags for each sentence; the first is gold.

    Raises:
        RmlibValueError: numbers of sentences or words that do not fit.
    """

    def __init__(self, sentences: list[list[str]], taggings: dict[str, list[list[str]]]):
        _check(sentences, taggings)
        self.sentences, self.taggings = sentences, taggings
        compared = list(taggings.values())[1:] if len(taggings) > 2 else list(taggings.values())
        self.differing = [i for i in range(len(sentences)) if any(list(t[i]) != list(compared[0][i]) for t in compared)]
        self._lock = threading.RLock()
        wide = {"width": "440px", "max_width": "100%"}
        self._slider = ipywidgets.IntSlider(
            0, 0, len(sentences) - 1, description="sentence", style={"description_width": "70px"}, layout=wide
        )
        fixed = {"width": "200px", "flex": "0 0 auto"}
        self._only = ipywidgets.Checkbox(False, description="only those that differ", indent=False, layout=fixed)
        self._next = ipywidgets.Button(description="next that differs", icon="arrow-right", layout=fixed)
        self._page = ipywidgets.HTML(layout={"max_width": "100%"})
        self._next.disabled = self._only.disabled = not self.differing
        self._slider.observe(self._draw, "value")
        self._only.observe(self._draw, "value")
        self._next.on_click(lambda button: self.next_difference())
        self._draw()
        row = ipywidgets.HBox([self._next, self._only], layout={"flex_flow": "row wrap"})
        self.widget = ipywidgets.VBox([self._slider, row, self._page])

    @property
    def index(self) -> int:
        """Which sentence is shown, from 0; with `only_changed`, the nearest one at or after it that differs."""
        return self._resolve(self._slider.value)

    @index.setter
    def index(self, value: int):
        if not 0 <= value < len(self.sentences):
            raise RmlibValueError(f"index is {value}; expected 0 to {len(self.sentences) - 1}")
        self._slider.value = value

    @property
    def only_changed(self) -> bool:
        """Whether sentences on which the taggings agree are passed over."""
        return self._only.value

    @only_changed.setter
    def only_changed(self, value: bool):
        if value and not self.differing:
            raise RmlibValueError("only_changed is True, but no sentence differs")
        self._only.value = bool(value)

    def next_difference(self) -> int:
        """Go to the next sentence that differs, from the last one on to the first again; returns its index.

        Raises:
            RmlibValueError: no sentence differs.
        """
        if not self.differing:
            raise RmlibValueError("no sentence differs")
        self.index = next((i for i in self.differing if i > self.index), self.differing[0])
        return self.index

    @property
    def html(self) -> str:
        """The HTML of the sentence that is shown."""
        return render(*self._shown())

    @property
    def text(self) -> str:
        """The same in plain text."""
        return in_words(*self._shown())

    @property
    def picture(self) -> Picture:
        """The same as a still picture, for the last line of a cell."""
        return Picture(self.html, self.text)

    def _resolve(self, index: int) -> int:
        if not self.only_changed or index in self.differing:
            return index
        return next((i for i in self.differing if i > index), self.differing[-1])

    def _shown(self) -> tuple[list[str], dict[str, list[str]]]:
        index = self.index
        return self.sentences[index], {name: tagging[index] for name, tagging in self.taggings.items()}

    def _draw(self, change=None) -> None:
        """The only place that draws. It looks up the state itself, so the last call always shows the newest."""
        with self._lock:
            head = f"Sentence {self.index} of 0 to {len(self.sentences) - 1}; {len(self.differing)} differ."
            label = html.escape(f"{head} {self.text}", quote=True)
            self._page.value = f'<div role="group" aria-label="{label}"><p>{head}</p>{self.html}</div>'
