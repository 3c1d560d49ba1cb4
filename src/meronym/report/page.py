"""The page itself: what is known of a run in, one HTML file out, without scripts and without a network."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from meronym.collections.base import counted
from meronym.evaluation.steadiness import SHAKY
from meronym.report.markup import Html, clean, join, tag

STARVED = 0.01
"""A part with less of the object than this is too small to mean anything."""
RARE = 0.1
"""So is one that fewer of the photos have."""
GREEDY = 0.6
"""A part with more of the object than this has swallowed the others."""
MOST_LISTED = 200

ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath fill='%231796ff' d='M8 8V0a8 8 0 1 1-8 8z'/%3E"
    "%3Cpath fill='%23d75f07' d='M7 7H0a7 7 0 0 1 7-7z'/%3E%3C/svg%3E"
)


@dataclass(frozen=True)
class Tile:
    """One photo of the gallery. src: relative to the page. overlay: an <svg>. aspect: width over height."""

    id: str
    src: str
    overlay: str
    aspect: float


@dataclass(frozen=True)
class PartRow:
    """One part. share: of the object, 0 to 1. present: in how many photos. sure: mean confidence, or NaN.

    steady: how far two halves of the photos agree on it, 0 to 1, or NaN.

    crops: (picture relative to the page, id of its photo); none where no photo has the part, and then there
    is no picture of `where` it lies either.
    """

    name: str
    share: float
    present: int
    sure: float
    crops: Sequence[tuple[str, str]] = ()
    where: str | None = None
    steady: float = math.nan


@dataclass(frozen=True)
class Page:
    """All that a report shows. surveyed: how many photos the figures of the parts come from.

    thing: what the shares are of, "object" or "photo". settings: text, shown as it is. charts: <svg> each.
    landings: pictures relative to the page of what lies on which part.
    """

    collection: str
    lead: str
    facts: Sequence[tuple[str, str]]
    scores: Sequence[tuple[str, str]]
    skipped: Sequence[tuple[str, str]]
    settings: str
    tiles: Sequence[Tile]
    sheet: str | None
    parts: Sequence[PartRow]
    colours: np.ndarray
    surveyed: int
    thing: str
    charts: Sequence[str]
    landings: Sequence[str]
    version: str

    def html(self) -> str:
        """The whole file."""
        title = f"{counted(len(self.parts), 'part')} in {self.collection}"
        sections = (_header(self, title), _gallery(self), _parts(self), _landings(self), _charts(self))
        body = join(*sections, tag("footer", f"Made by Meronym {self.version}".rstrip(), "."))
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<title>{clean(title)}</title>\n<link rel="icon" href="{ICON}">\n'
            f"<style>\n{_style(self.colours)}</style>\n</head>\n<body>\n{tag('main', body)}</body>\n</html>\n"
        )


def percent(share: float) -> str:
    """ "12 %", "3.4 %", "0.42 %", "0 %"."""
    if share == 0:
        return "0 %"
    return f"{100 * share:.{0 if share >= 0.1 else 1 if share >= 0.01 else 2}f} %"


def self_check(parts: Sequence[PartRow], surveyed: int, thing: str) -> tuple[bool, str]:
    """Whether all parts are in good use, and one plain line that says so, or which are not."""
    if not surveyed:
        return False, "No photo could be looked at, so there is nothing to show of the parts."
    starved = [p for p in parts if p.share < STARVED]
    rare = [p for p in parts if p.present < RARE * surveyed and p not in starved]
    greedy = [p for p in parts if p.share > GREEDY and len(parts) > 2]
    loose = [p for p in parts if p.steady < SHAKY]
    said = []
    if starved:
        said.append(f"{_listed(starved, 'holds', 'hold')} less than 1 % of the {thing}")
    if rare:
        said.append(f"{_listed(rare, 'is', 'are')} in fewer than 1 of 10 photos")
    said += [f"{part.name} covers {percent(part.share)} of the {thing}" for part in greedy]
    if loose:
        said.append(f"{_listed(loose, 'is', 'are')} shaky: otherwise in half of the photos")
    if said:
        advice = "Fewer parts, or another seed, may suit these photos better"
        return False, f"Look closer: {'; '.join(said)}. {advice}."
    least = min(parts, key=lambda p: p.share)
    return True, (
        f"All {len(parts)} parts are in use: even the smallest, {least.name}, holds {percent(least.share)} "
        f"of the {thing}, and is in {least.present:,} of {counted(surveyed, 'photo')}."
    )


def _listed(parts: Sequence[PartRow], one: str, more: str) -> str:
    """ "head is", "head and tail are", "head, tail and 5 more are"."""
    names = [part.name for part in parts[:6]]
    if len(parts) > 6:
        names.append(f"{len(parts) - 6} more")
    if len(names) == 1:
        return f"{names[0]} {one}"
    return f"{', '.join(names[:-1])} and {names[-1]} {more}"


def facts_of(about: Mapping[str, object], used: int, skipped: int) -> list[tuple[str, str]]:
    """What a header shows first: photos, time, memory."""
    facts = [("photos", f"{used:,}")]
    facts += [("skipped", f"{skipped:,}")] * bool(skipped)
    seconds, megabytes = about.get("train_seconds"), about.get("peak_mb")
    if isinstance(seconds, int | float):
        facts.append(("training", _duration(seconds)))
    if isinstance(megabytes, int | float):
        facts.append(("memory", f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"))
    return facts


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 1 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def _style(colours: np.ndarray) -> str:
    """The style sheet, and for each part its colour and the rule that singles it out among the others."""
    rules = [Path(__file__).with_name("page.css").read_text(encoding="utf-8")]
    for k, colour in enumerate(colours, start=1):
        code = f"#{bytes(colour).hex()}"
        alone = f".seen:has(.only.c{k}:checked) .tile .p{k}, .seen:has(.chip.c{k}:hover) .tile .p{k}"
        rules.append(f".p{k} {{ fill: {code}; background: {code}; }}\n")
        rules.append(f"{alone} {{ fill: {code}; fill-opacity: .56; stroke: #fff; }}\n")
    return "".join(rules)


def _header(page: Page, title: str) -> Html:
    fine, line = self_check(page.parts, page.surveyed, page.thing)
    facts = [tag("div", tag("dt", k), tag("dd", v)) for k, v in page.facts]
    facts += [tag("div", tag("dt", k), tag("dd", v), class_="score") for k, v in page.scores]
    folded = []
    if page.settings:
        folded.append(tag("details", tag("summary", "Settings"), tag("pre", page.settings)))
    if page.skipped:
        rows = [tag("li", path, " ", tag("span", why)) for path, why in page.skipped[:MOST_LISTED]]
        if (more := len(page.skipped) - MOST_LISTED) > 0:
            rows.append(tag("li", tag("span", f"and {more:,} more")))
        summary = tag("summary", f"{counted(len(page.skipped), 'photo')} skipped")
        folded.append(tag("details", summary, tag("ul", *rows, class_="list")))
    return tag(
        "header",
        tag("h1", title),
        tag("p", page.lead, class_="lead"),
        tag("dl", *facts, class_="facts"),
        tag("p", line, class_="check" if fine else "check warn"),
        tag("div", *folded, class_="folded"),
    )


def _gallery(page: Page) -> Html:
    if not page.tiles:
        return Html()
    sheet = join(" All of them ", tag("a", "on one picture", href=page.sheet), ".") if page.sheet else ""
    how = (
        "Point at a photo, or tap it, to see it without its parts. "
        "Point at a part below to see it alone, or choose several."
    )
    chips = [_chip(k, part.name) for k, part in enumerate(page.parts, start=1)]
    plain = tag("label", tag("input", type="checkbox", class_="plain"), "photos only", class_="chip photo")
    return tag(
        "section",
        tag("h2", "Photos"),
        tag("p", how, sheet, class_="hint"),
        tag("div", *chips, plain, class_="chips"),
        tag("div", *map(_tile, page.tiles), class_="tiles"),
        class_="seen",
    )


def _chip(k: int, name: str) -> Html:
    box = tag("input", type="checkbox", class_=f"only c{k}")
    return tag("label", box, tag("i", class_=f"dot p{k}"), name, class_=f"chip one c{k}")


def _tile(tile: Tile) -> Html:
    return tag(
        "label",
        tag("input", type="checkbox", class_="peek", aria_label=f"{tile.id} without its parts"),
        tag("img", src=tile.src, alt="", loading="lazy"),
        Html(tile.overlay),
        tag("b", PurePath(tile.id).name),
        class_="tile",
        style=f"--a:{min(max(tile.aspect, 0.45), 4):.3f}",
    )


def _parts(page: Page) -> Html:
    if not page.surveyed:
        return Html()
    box = "the box around the object" if page.thing == "object" else "the photo"
    how = (
        f"Measured on {counted(page.surveyed, 'photo')} spread over the collection. The square shows where "
        f"in {box} a part lies; beside it, the photos that show it best."
    )
    rows = [_part(k, part, page) for k, part in enumerate(page.parts, start=1)]
    return tag("section", tag("h2", "Parts"), tag("p", how, class_="hint"), tag("div", *rows, class_="parts"))


def _part(k: int, part: PartRow, page: Page) -> Html:
    figures = [
        f"{percent(part.share)} of the {page.thing}",
        tag("br"),
        f"in {part.present:,} of {counted(page.surveyed, 'photo')}",
    ]
    if not math.isnan(part.sure):
        figures += [tag("br"), f"confidence {part.sure:.2f}"]
    if not math.isnan(part.steady):
        figures += [tag("br"), f"steadiness {part.steady:.2f}"]
    bar = tag("i", class_=f"p{k}", style=f"width:{100 * min(part.share, 1):.1f}%")
    name = tag("h3", tag("i", class_=f"dot p{k}"), part.name)
    head = tag("div", name, tag("div", bar, class_="bar"), tag("p", *figures))
    if part.where is None:
        return tag("article", head, tag("p", "No photo shows it.", class_="none"), class_="part")
    crops = [tag("img", src=src, alt=f"{part.name} in {id_}", title=id_, loading="lazy") for src, id_ in part.crops]
    alt = f"where {part.name} lies in the {page.thing}"
    where = tag("img", class_="where", src=part.where, alt=alt, loading="lazy")
    return tag("article", head, where, tag("div", *crops, class_="crops"), class_="part")


def _landings(page: Page) -> Html:
    if not page.landings:
        return Html()
    how = "What the annotations of the scored photos say: of each kind, in percent, how much lies on which part."
    pictures = [tag("img", src=src, alt="which part is where", style="max-width:100%") for src in page.landings]
    return tag("section", tag("h2", "Which part is where"), tag("p", how, class_="hint"), *pictures)


def _charts(page: Page) -> Html:
    if not page.charts:
        return Html()
    how = "The loss and its terms: as logged, and their running mean."
    charts = tag("div", *map(Html, page.charts), class_="charts")
    return tag("section", tag("h2", "Training"), tag("p", how, class_="hint"), charts)
