"""Look at every link and picture of the built site: `python docs/check_site.py build/site`.

It ends with 1 if a link leads nowhere, or a page would load something from outside.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links of a page, the places that can be linked to, and what it would load from outside."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = set()
        self.loads: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in the start of an element."""
        found = {name: value or "" for name, value in attrs}
        self.places |= {found.get("id", ""), found.get("name", "") if tag == "a" else ""}
        source = found.get("src", "") or (found.get("href", "") if tag == "link" else "")
        self.links |= {found.get("href", ""), source} - {""}
        if source.startswith(("http:", "https:", "//")):
            self.loads.add(source)


def wrong(site: Path) -> list[str]:
    """Return what is wrong with the links of a site, a line each."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
    lines = [f"{path}: loads {one}" for path, page in pages.items() for one in sorted(page.loads)]
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                lines.append(f"{path.relative_to(site.resolve())}: {link} is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].places:
                lines.append(f"{path.relative_to(site.resolve())}: {link} has no such place")
    return lines


if __name__ == "__main__":
    found = wrong(Path(sys.argv[1]))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found) or not any(Path(sys.argv[1]).glob("*.html")))
