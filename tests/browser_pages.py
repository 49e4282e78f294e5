"""Pages in headless Chromium: what they complain about, whether they fit their width and can be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

NARROW, WIDE = 400, 1400


class OpenedPage:
    """A page in the browser, and everything that it complained about or asked for."""

    def __init__(self, browser: Any, path: Path, width: int, **options: Any) -> None:
        self.width = width
        self.context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.clock.install()
        self.page.goto(path.as_uri())

    def close(self) -> None:
        """Close it, without a complaint or a request but for the page itself."""
        assert self.complaints == []
        assert len(self.requests) == 1, self.requests
        self.context.close()

    def fits_its_width(self) -> None:
        """Assert that nothing is wider than the page, also where all is unfolded."""
        root = self.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert root[0] <= root[1] == self.width
        for details in self.page.locator("details").all():
            details.evaluate("element => (element.open = true)")
        assert self.page.evaluate("document.documentElement.scrollWidth") <= self.width
        wide = self.page.evaluate(
            """width => [...document.querySelectorAll('p, h1, h2, h3, h4, figure, button, dl, .said')]
            .filter(e => e.getBoundingClientRect().right > width).map(e => e.textContent.slice(0, 40))""",
            self.width,
        )
        assert wide == []

    def shows(self, drawings: Sequence[str]) -> None:
        """Assert that each of these drawings, by id, is seen once: the wide or the narrow one."""
        for name in drawings:
            boxes = [self.page.locator(f"#{ident}").bounding_box() for ident in (name, f"{name}-narrow")
                     if self.page.locator(f"#{ident}").count()]  # fmt: skip
            seen = [box for box in boxes if box is not None]
            assert len(seen) == 1, name
            assert seen[0]["width"] > 120 and seen[0]["height"] > 60, name

    def has_large_letters(self) -> None:
        """Assert that the letters of text and charts are large enough to read."""
        sizes = self.page.evaluate("""() => [...document.querySelectorAll('svg.chart text')].map(text => {
            const scale = text.getScreenCTM();
            return scale && text.getBoundingClientRect().width ?
                parseFloat(getComputedStyle(text).fontSize) * Math.hypot(scale.a, scale.b) : 99;
        })""")
        assert len(sizes) > 50 and min(sizes) >= 10
        assert self.page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") >= 16
