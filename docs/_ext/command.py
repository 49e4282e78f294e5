"""A directive that writes the options of the `steepest` command down, as the command itself knows them."""

from __future__ import annotations

from typing import Any

import typer.main
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from steepest.cli.commands import app as command


def cell(*parts: nodes.Node) -> nodes.entry:
    """Return a cell of a table."""
    return nodes.entry("", nodes.paragraph("", "", *parts))


def table(rows: list[list[nodes.entry]], heads: list[str]) -> nodes.table:
    """Return a table with a line of heads."""
    group = nodes.tgroup("", cols=len(heads))
    group += [nodes.colspec(colwidth=width) for width in (30, 50, 20)[: len(heads)]]
    group += nodes.thead("", nodes.row("", *(cell(nodes.Text(head)) for head in heads)))
    group += nodes.tbody("", *(nodes.row("", *row) for row in rows))
    return nodes.table("", group, classes=["command-options"])


def option(parameter: Any) -> list[nodes.entry]:
    """Return the row of an option or argument."""
    names = [*parameter.opts, *parameter.secondary_opts]
    if parameter.param_type_name == "argument":
        names = [(parameter.name or "").upper()]
    shown: list[nodes.Node] = []
    for name in names:
        shown += [nodes.Text(", ")] if shown else []
        shown.append(nodes.literal(name, name))
    default = parameter.default
    given = (
        []
        if default is None or default is False or default in ((), []) or callable(default)
        else [nodes.literal("", str(default))]
    )
    if parameter.required:
        given = [nodes.emphasis("", "required")]
    return [cell(*shown), cell(nodes.Text(" ".join((parameter.help or "").split()))), cell(*given)]


class Command(Directive):
    """`command-options`: a section for each subcommand, with what it does and its options."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        group: Any = typer.main.get_command(command)
        sections: list[nodes.Node] = []
        for name, one in group.commands.items():
            title = nodes.title("", "", nodes.literal("", f"steepest {name}"))
            section = nodes.section("", title, ids=[f"command-{name}"])
            self.state.document.note_implicit_target(section, section)
            for paragraph in (one.help or "").split("\n\n"):
                section += nodes.paragraph("", " ".join(paragraph.split()))
            rows = [option(parameter) for parameter in one.params if parameter.name != "help" and not parameter.hidden]
            section += table(rows, ["option", "what it does", "default"])
            sections.append(section)
        return sections


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-options", Command)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
