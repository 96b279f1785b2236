"""The catalogue of codes: what each means and how to explain it.

Takes: the Markdown pages in `codes/`, one for each code (`codes/README.md` describes their form). Gives: `Code` by
number, and `Page`, the parsed page with its examples. Guarantees: a page that does not have the form raises ValueError,
with the file and what is missing; nothing is read before it is asked for.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

PAGES = Path(__file__).with_name("codes")

MAIN_FILE = "recipe.m3i"

_HEADING = re.compile(r"# (M3I\d{4}): ([a-z][a-z0-9-]*)\n\n([^\n]+)\n")
_SECTION = re.compile(r"^## (.+)\n", re.MULTILINE)
_FENCE = re.compile(r"^```m3i([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

MEANING = "What it means"
REASONS = ("Why it is an error", "Why it is reported")
FAILING = "Failing example"
FIXED = "Fixed example"


@dataclass(frozen=True, slots=True)
class Code:
    """One code: its name for filters and links, and what it says in one line."""

    code: str
    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Example:
    """The files of an example by name; `MAIN_FILE` is the recipe. `sets` are the `--set` arguments it needs."""

    files: Mapping[str, str]
    sets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """The page of one code. A code that no text can cause (an internal error) has no examples."""

    code: Code
    markdown: str
    failing: Example | None
    fixed: Example | None


@functools.cache
def codes() -> Mapping[str, Code]:
    """Every code, in order. Raises ValueError for a page whose head does not have the form."""
    return MappingProxyType({path.stem: _head(path) for path in sorted(PAGES.glob("M3I*.md"))})


def name_of(code: str) -> str:
    """The name of a code, or the code itself while it has no page."""
    known = codes().get(code)
    return known.name if known is not None else code


def page(code: str) -> Page:
    """Raises KeyError for an unknown code, ValueError for a page that does not have the form."""
    known = codes()[code]
    path = PAGES / f"{code}.md"
    text = path.read_text(encoding="utf-8")
    parts = _SECTION.split(text)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    if MEANING not in sections:
        raise ValueError(f"{path.name}: there is no section `{MEANING}`")
    if sum(reason in sections for reason in REASONS) != 1:
        raise ValueError(f"{path.name}: there must be one of the sections {', '.join(f'`{r}`' for r in REASONS)}")
    if (FAILING in sections) != (FIXED in sections):
        raise ValueError(f"{path.name}: a failing example needs a fixed one, and the other way round")
    return Page(known, text, _example(path, sections.get(FAILING)), _example(path, sections.get(FIXED)))


def _head(path: Path) -> Code:
    with path.open(encoding="utf-8") as stream:
        head = "".join(stream.readline() for _ in range(3))
    match = _HEADING.match(head)
    if match is None or match.group(1) != path.stem:
        raise ValueError(f"{path.name}: does not start with `# {path.stem}: name`, an empty line, and a one-line title")
    return Code(*match.groups())


def _example(path: Path, section: str | None) -> Example | None:
    if section is None:
        return None
    files: dict[str, str] = {}
    sets: tuple[str, ...] = ()
    for info, text in _FENCE.findall(section):
        words = info.split()
        if not files:
            sets = tuple(word for word in words if word != "--set")
            files[MAIN_FILE] = text
        elif len(words) == 1:
            files[words[0]] = text
        else:
            raise ValueError(f"{path.name}: a second example block needs the name of its file: ```m3i views.m3i")
    if not files:
        raise ValueError(f"{path.name}: an example has no ```m3i block")
    return Example(files, sets)
