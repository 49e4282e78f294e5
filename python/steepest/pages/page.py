"""The frame of the page: one file with its style and script inside, which asks for nothing from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from .html import Child, Markup, join, tag


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    id : str
        Unique on the page.
    heading : str
        Its heading.
    content : sequence
        Text, markup and further sections, in order.
    label : str
        Its name in the table of contents; "" takes the heading.
    listed : bool, default=True
        Whether it stands in the table of contents.
    look : str
        Its CSS classes.
    """

    id: str
    heading: str
    content: Sequence[Child | Section] = field(default_factory=tuple)
    label: str = ""
    listed: bool = True
    look: str = ""


def page_html(title: str, lead: Child, sections: Sequence[Section], foot: Child) -> str:
    """Return the whole page.

    Parameters
    ----------
    title : str
        Its title and main heading.
    lead : str or Markup
        The first paragraph.
    sections : sequence of Section
        In order; they and their sections are listed in the table of contents.
    foot : str or Markup
        The last line.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        # No name in a table can make the browser fetch anything.
        tag(
            "meta", http_equiv="Content-Security-Policy",
            content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:",
        ),
        tag("title", title),
        tag("style", Markup(_resource("page.css"))),
    )  # fmt: skip
    body = tag(
        "body",
        tag("a", "Skip to the text", class_="skip", href="#text"),
        tag("header", tag("h1", title), tag("p", lead, class_="lead")),
        tag("nav", tag("h2", "On this page", id="contents"), _contents(sections), aria_labelledby="contents"),
        tag("main", [_section(section, 2) for section in sections], id="text", tabindex="-1"),
        tag("footer", tag("p", foot)),
        tag("script", Markup(_resource("page.js"))),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def paragraph(*children: Child) -> Markup:
    """Return a paragraph."""
    return tag("p", *children)


def figure(drawing: Markup, caption: Child, numbers: Markup | None = None) -> Markup:
    """Return a figure with its caption and, folded up, the numbers behind it.

    Parameters
    ----------
    drawing : Markup
        The SVG.
    caption : str or Markup
        The caption.
    numbers : Markup, optional
        A table.
    """
    return tag("figure", drawing, tag("figcaption", caption), None if numbers is None else numbers_behind(numbers))


def numbers_behind(numbers: Markup) -> Markup:
    """Return the table behind a figure, folded up."""
    return folded("The numbers behind it", scrollable(numbers, "Numbers behind the figure"))


def scrollable(content: Child, label: str) -> Markup:
    """Return content that scrolls sideways by itself, with the keyboard too."""
    return tag("div", content, class_="scroll", tabindex="0", role="group", aria_label=label)


def folded(summary: str, *content: Child) -> Markup:
    """Return content that is shown when asked for."""
    return tag("details", tag("summary", summary), content)


def facts(pairs: Sequence[tuple[str, str]]) -> Markup:
    """Return a few numbers with their names, side by side."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs], class_="facts")


def stepper(svg: Markup, steps: Sequence[str], caption: Child, name: str) -> Markup:
    """Return an animation with its buttons, what happens now in words, and all steps in words."""

    def button(action: str, label: str, long: str) -> Markup:
        return tag("button", label, type="button", data_do=action, aria_label=long, aria_controls=name)

    controls = tag(
        "div",
        button("play", "Play", "Play the animation"),
        button("back", "Back", "One step back"),
        button("step", "Step", "One step on"),
        button("reset", "Reset", "Back to the first step"),
        tag("output", f"Step 1 of {len(steps)}", class_="count"),
        class_="controls", role="group", aria_label="Animation",
    )  # fmt: skip
    said = tag("p", steps[0], class_="said", aria_live="polite")
    words = folded("All steps in words", tag("ol", [tag("li", step) for step in steps], class_="steps"))
    without = tag("noscript", tag("p", "The buttons need JavaScript; the steps in words below do not."))
    drawn = scrollable(svg, "Drawing of the network")
    return tag("figure", controls, without, said, drawn, tag("figcaption", caption), words, class_="stepper")


def side_by_side(*drawings: Markup) -> Markup:
    """Return small drawings beside each other, as many as fit."""
    return tag("div", *drawings, class_="columns")


def _section(section: Section, level: int) -> Markup:
    content = [_section(part, level + 1) if isinstance(part, Section) else join(part) for part in section.content]
    heading = tag(f"h{level}", section.heading, id=section.id)
    # A landmark to jump to for the main parts alone: more would be a crowd.
    name = section.id if level == 2 else None
    return tag("section", heading, content, class_=section.look or None, aria_labelledby=name)


def _contents(sections: Sequence[Section]) -> Markup:
    items = []
    for section in sections:
        inner = [part for part in section.content if isinstance(part, Section) and part.listed]
        link = tag("a", section.label or section.heading, href=f"#{section.id}")
        items.append(tag("li", link, _contents(inner) if inner else None))
    return tag("ol", items)


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")
