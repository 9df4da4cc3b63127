"""The entity viewer: a sentence with the entities of several taggings, and their errors."""

import html
import threading

import ipywidgets

from rmlib.errors import RmlibValueError
from rmlib.plots.figures import Picture
from rmlib.studies.ner_errors import Mark, compare

# Dark text on a light background in either theme. The type is always written out, so that no
# information is in the colour alone.
BACKGROUNDS = {"PER": "#CFE8F7", "ORG": "#FBE3B0", "LOC": "#C5EBDD", "MISC": "#F3D9E8"}
OTHER_BACKGROUND = "#E4E4E4"
# By verdict: the words after the type, and the border. Right entities have a solid border and no
# words.
LOOKS = {
    "right": ("", "2px solid #333333"),
    "type": ("✗ wrong type", "2px dashed #B03A00"),
    "boundary": ("✗ wrong boundary", "2px dashed #B03A00"),
    "spurious": ("✗ spurious", "3px double #B03A00"),
    "missing": ("✗ missing", "2px dotted #B03A00"),
}

# inline-block: a line break does not cut the box
BOX = "color:#111111;border-radius:4px;padding:0 4px;line-height:1.5;display:inline-block"
LINE = "text-decoration:underline;text-decoration-thickness:2px;"


def render(words: list[str], taggings: dict[str, list[str]]) -> str:
    """HTML of one sentence, one row per tagging. Needs no widget; all text is escaped.

    Args:
        words: of the sentence.
        taggings: by name, one IOB2 tag per word; the first is gold.

    Raises:
        RmlibValueError: no tagging, or one that does not have one tag per word.
    """
    _check([words], {name: [tags] for name, tags in taggings.items()})
    rows = "".join(_row(words, *row) for row in _rows(taggings))
    return f'<div style="line-height:2.4">{rows}</div>'


def in_words(words: list[str], taggings: dict[str, list[str]]) -> str:
    """The same as `render` in plain text, one line per tagging."""
    lines = []
    for name, marks in _rows(taggings):
        entities = [
            f"{m.type} {' '.join(words[m.start : m.end])}{_remark(m, ' (', ')')}" for m in marks
        ]
        lines.append(f"{name}: {'; '.join(entities) or 'no name'}")
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
    parts = []
    end = 0
    for mark in marks:
        parts += [html.escape(word) for word in words[end : mark.start]]
        parts.append(_box(words[mark.start : mark.end], mark))
        end = mark.end
    parts += [html.escape(word) for word in words[end:]]
    return (
        f'<div style="margin:2px 0"><strong>{html.escape(name)}:</strong> {" ".join(parts)}</div>'
    )


def _box(words: list[str], mark: Mark) -> str:
    """The words of an entity in a box, with the type and the verdict after them."""
    line = "" if mark.verdict == "right" else LINE
    if mark.verdict == "missing":
        background = "#FFFFFF"
    else:
        background = BACKGROUNDS.get(mark.type, OTHER_BACKGROUND)
    box = f"border:{LOOKS[mark.verdict][1]};background-color:{background};{BOX}"
    inside = html.escape(" ".join(words))
    label = html.escape(mark.type + _remark(mark))
    return (
        f'<span style="{box}"><span style="{line}">{inside}</span> '
        f'<span style="font-size:80%;font-weight:bold">{label}</span></span>'
    )


def _check(sentences: list[list[str]], taggings: dict[str, list[list[str]]]) -> None:
    if not sentences or not taggings:
        raise RmlibValueError(
            f"{len(sentences)} sentences and {len(taggings)} taggings; expected at least 1 of each"
        )
    for name, tagging in taggings.items():
        if len(tagging) != len(sentences):
            raise RmlibValueError(
                f"tagging {name!r} has {len(tagging)} sentences; expected {len(sentences)}"
            )
        for number, (words, tags) in enumerate(zip(sentences, tagging, strict=True)):
            if len(words) != len(tags):
                raise RmlibValueError(
                    f"tagging {name!r}, sentence {number}: {len(tags)} tags; "
                    f"expected {len(words)}, one per word"
                )


class EntityViewer:
    """One sentence at a time, as several taggings see it.

    Show `viewer.widget`, or set `index` and `only_changed` from Python. A sentence differs when the
    taggings after gold do not all agree, or, if there is only one, when it does not agree with
    gold.

    Args:
        sentences: lists of words.
        taggings: by name, a list of IOB2 tags for each sentence; the first is gold.

    Raises:
        RmlibValueError: numbers of sentences or words that do not match.
    """

    def __init__(self, sentences: list[list[str]], taggings: dict[str, list[list[str]]]):
        _check(sentences, taggings)
        self.sentences = sentences
        self.taggings = taggings
        compared = list(taggings.values())
        if len(compared) > 2:
            compared = compared[1:]
        self.differing = [
            i
            for i in range(len(sentences))
            if any(list(t[i]) != list(compared[0][i]) for t in compared)
        ]
        self._lock = threading.RLock()
        wide = {"width": "440px", "max_width": "100%"}
        self._slider = ipywidgets.IntSlider(
            0,
            0,
            len(sentences) - 1,
            description="sentence",
            style={"description_width": "70px"},
            layout=wide,
        )
        fixed = {"width": "200px", "flex": "0 0 auto"}
        self._only = ipywidgets.Checkbox(
            False, description="only those that differ", indent=False, layout=fixed
        )
        self._next = ipywidgets.Button(
            description="next that differs", icon="arrow-right", layout=fixed
        )
        self._page = ipywidgets.HTML(layout={"max_width": "100%"})
        self._next.disabled = not self.differing
        self._only.disabled = not self.differing
        self._slider.observe(self._draw, "value")
        self._only.observe(self._draw, "value")
        self._next.on_click(lambda button: self.next_difference())
        self._draw()
        row = ipywidgets.HBox([self._next, self._only], layout={"flex_flow": "row wrap"})
        self.widget = ipywidgets.VBox([self._slider, row, self._page])

    @property
    def index(self) -> int:
        """The index of the sentence that is shown, from 0.

        With `only_changed`, the slider's sentence or the next one that differs.
        """
        return self._resolve(self._slider.value)

    @index.setter
    def index(self, value: int):
        if not 0 <= value < len(self.sentences):
            raise RmlibValueError(f"index is {value}; expected 0 to {len(self.sentences) - 1}")
        self._slider.value = value

    @property
    def only_changed(self) -> bool:
        """Whether sentences on which the taggings agree are skipped."""
        return self._only.value

    @only_changed.setter
    def only_changed(self, value: bool):
        if value and not self.differing:
            raise RmlibValueError("only_changed is True, but no sentence differs")
        self._only.value = bool(value)

    def next_difference(self) -> int:
        """Go to the next sentence that differs, or from the last to the first; returns its index.

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
        taggings = {name: tagging[index] for name, tagging in self.taggings.items()}
        return self.sentences[index], taggings

    def _draw(self, change=None) -> None:
        """Draw the state of this moment, so that the last call always shows the newest."""
        with self._lock:
            head = (
                f"Sentence {self.index} of 0 to {len(self.sentences) - 1}; "
                f"{len(self.differing)} differ."
            )
            label = html.escape(f"{head} {self.text}", quote=True)
            self._page.value = (
                f'<div role="group" aria-label="{label}"><p>{head}</p>{self.html}</div>'
            )
