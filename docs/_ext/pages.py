"""What pages have on the site and not in the repository: pictures of the gallery, a page of `explain`, other links."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

from steepest.explain import demo_page

EXTRA = Path(__file__).resolve().parents[1] / "generated" / "extra"  # conf.py has its files copied to the site

# The picture stands before the line of the page that begins like this.
PICTURES = {
    "how-a-network-learns": {
        "## 3. ": ("contributions", "Where a gradient points: derivatives by the points of the picture, and by layer."),
        "## 6. ": ("one_weight", "The cost along this weight, before training and after."),
        "## 10. ": ("landscape", "The landscape of a smaller network on the same digits, with the path that it took."),
    },
    "tables-as-well-as-trees": {"## A pack": ("waves", "Waves along one column, with embeddings and without.")},
    "many-networks": {"## Folds": ("many_networks", "Forty networks of `fit_many` that differ in their seeds alone.")},
    "streaming": {"## Rows held out": ("drift", "The law changes half-way; `partial_fit` follows.")},
}
EXPLAINED = """
<p><a href="explain-demo.html">A page that <code>steepest explain --demo</code> wrote</a> shows two small networks
learn, to be read from top to bottom.</p>
"""
ENDS = {"how-a-network-learns": EXPLAINED, "command-line": EXPLAINED}
LINKS = {"(../bench/README.md)": "(measurements.md)"}


def add(app: Sphinx, page: str, source: list[str]) -> None:
    """Put pictures into a page, and let links to files of the repository lead to the pages that hold them."""
    text = source[0]
    for line, (script, caption) in PICTURES.get(page, {}).items():
        if text.count(f"\n{line}") != 1:
            raise ValueError(
                f"docs/{page}.md has no line {line!r}, or several: docs/_ext/pages.py puts a picture there"
            )
        image = f"generated/gallery/images/sphx_glr_{script}_001.png"
        figure = f"```{{figure}} {image}\n:alt: {caption}\n:target: generated/gallery/{script}.html\n\n{caption}\n```\n"
        text = text.replace(f"\n{line}", f"\n{figure}\n{line}")
    for old, new in LINKS.items():
        text = text.replace(old, new)
    source[0] = text + ENDS.get(page, "")


def write_demo(app: Sphinx) -> None:
    """Write the page of `steepest explain --demo`, unless an earlier build has done so."""
    path = EXTRA / "explain-demo.html"
    if not path.exists():
        path.write_text(demo_page(seed=0))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register it."""
    EXTRA.mkdir(parents=True, exist_ok=True)
    app.connect("builder-inited", write_demo)
    app.connect("source-read", add)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
