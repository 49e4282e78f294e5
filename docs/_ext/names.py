"""Links to public names: `Trainer` in a docstring and `st.Trainer` on a page lead to the reference.

A name is a link where the package offers it, else plain code; so none can lead nowhere.
"""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

MODULES = (
    "steepest", "steepest.callbacks", "steepest.descent", "steepest.distributed", "steepest.explain", "steepest.files",
    "steepest.schedules", "steepest.tables", "steepest.training",
)  # fmt: skip
BASES = ("Schedule", "FitState", "PrintEpochs", "Histories")  # documented where they are, not in `steepest` itself
WRITTEN = re.compile(r"(?:st|steepest)\.([A-Za-z_][\w.]*)(?:\(.*\))?", re.DOTALL)
CAPITAL = re.compile(r"((?:[a-z]+\.)?[A-Z][\w.]*)(?:\(.*\))?", re.DOTALL)
OTHERS_TOO = {"coming-from", "numerics"}  # pages on which a bare name may be another library's
# What the layers, optimizers and schedules offer to the package itself, not to its users.
INNER = {
    "add_to", "buffer_shapes", "check_output_size", "embedded", "lay_out", "observe", "offer", "output_size",
    "own_rate", "parameter_shapes", "put_back", "settings", "to_core", "on_fit_begin", "on_fit_end", "wake",
    "from_dict", "encode_target", "decode_target", "encode_training", "encode", "with_columns", "with_target",
    "transform_one", "empty", "set", "use_fallback_for", "blocks", "with_targets", "read_ahead",
}  # fmt: skip


def hidden(name: str, member: Any) -> bool:
    """Tell whether a member of a class has no place in the reference."""
    text = inspect.getdoc(member) or ""
    function = inspect.unwrap(member.fget) if isinstance(member, property) and member.fget else member
    origin = getattr(function, "__module__", None) or "steepest"
    if not (inspect.isroutine(member) or inspect.isdatadescriptor(member)):
        return True
    return (
        name.startswith("_") or name in INNER or not text or text.startswith("Alias for field")
        or not origin.startswith("steepest")
    )  # fmt: skip


def public_names() -> dict[str, str]:
    """Return where each name of the package is documented, by the ways in which it is written."""
    found: dict[str, str] = {}
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            value = getattr(module, name)
            if not callable(value) or (module_name == "steepest.callbacks" and name not in BASES):
                continue
            own = getattr(value, "__name__", name)  # of an older name, the new one
            whole = f"{module_name}.{own if getattr(module, own, None) is value else name}"
            written = f"{module_name}.{name}"
            ways = {written, written.removeprefix("steepest.")}
            if name[0].isupper() or module_name == "steepest":
                ways.add(name)
            for way in ways:
                found.setdefault(way, whole)
            if inspect.isclass(value):
                for member, what in inspect.getmembers(value):
                    if not hidden(member, what):
                        for way in ways:
                            found.setdefault(f"{way}.{member}", f"{whole}.{member}")
    return found


NAMES = public_names()


def link(target: str, text: str) -> nodes.Node:
    """Return a link to a name's place in the reference."""
    node = addnodes.pending_xref(
        "", nodes.literal(text, text), refdomain="py", reftype="obj", reftarget=target, refexplicit=True
    )
    node["py:module"] = node["py:class"] = None
    return node


def name_role(role: str, raw: str, text: str, *rest: Any, **more: Any) -> tuple[list[nodes.Node], list[Any]]:
    """Show what stands in single backticks of a docstring."""
    context = rest[1].document.settings.env.ref_context  # of the class and module whose docstring it is
    places = [
        f"{context.get('py:module')}.{context.get('py:class')}.{text}",
        f"{context.get('py:module')}.{text}",
        text,
    ]
    target = next((NAMES[name] for name in [*places, text.removeprefix("st.")] if name in NAMES), None)
    return [link(target, text) if target else nodes.literal(raw, text)], []


class LinkWritten(SphinxTransform):
    """Make links of code such as `st.search` in the pages."""

    default_priority = 700

    def apply(self, **options: Any) -> None:
        """Replace the code of a page that names something public."""
        here = self.env.docname not in OTHERS_TOO
        for node in list(self.document.findall(nodes.literal)):
            text = node.astext()
            written = WRITTEN.fullmatch(text) or (here and CAPITAL.fullmatch(text))
            parent: Any = node.parent
            inside = False
            while parent is not None and not inside:
                inside = isinstance(parent, (nodes.reference, nodes.title, addnodes.pending_xref))
                parent = parent.parent
            if written and written[1] in NAMES and not inside:
                node.parent.replace(node, link(NAMES[written[1]], text))


def skip(app: Sphinx, what: str, name: str, member: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out what is not for users."""
    return True if what == "class" and hidden(name, member) else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register all of it."""
    app.add_role("name", name_role)
    app.add_transform(LinkWritten)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
