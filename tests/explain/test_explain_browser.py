"""The page of `steepest explain` in headless Chromium: no error, every figure seen, the animation, both widths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from explain_pages import FIGURES, written

from browser_pages import NARROW, WIDE, OpenedPage

pytest.importorskip("matplotlib", reason="the page's charts need matplotlib")

KINDS = ("demo", "table", "model")
STEPS = {"demo": 8, "table": 10, "model": 8}  # of the first animation: 4, and 2 for each layer


class Opened(OpenedPage):
    """A page of a kind, and its animation."""

    def __init__(self, browser: Any, kind: str, path: Path, width: int, **options: Any) -> None:
        self.kind = kind
        super().__init__(browser, path, width, **options)

    def box(self) -> Any:
        """The first animation."""
        return self.page.locator(".stepper").first

    def press(self, action: str) -> None:
        """Press a button of the first animation."""
        self.box().locator(f'[data-do="{action}"]').click()

    def count(self) -> str:
        """Which step it says that it shows."""
        return str(self.box().locator(".count").inner_text())


@pytest.fixture(params=[(kind, width) for kind in KINDS for width in (NARROW, WIDE)], ids=str)
def opened(request: pytest.FixtureRequest, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Each page at each width."""
    kind, width = request.param
    page = Opened(browser, kind, written(kind, tmp_path_factory), width)
    yield page
    page.close()


@pytest.fixture
def demo(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """The demonstration at 1400 pixels."""
    page = Opened(browser, "demo", written("demo", tmp_path_factory), WIDE)
    yield page
    page.close()


def test_page_fits_its_width(opened: Opened) -> None:
    opened.fits_its_width()


def test_every_figure_is_seen(opened: Opened) -> None:
    opened.shows(FIGURES[opened.kind])


def test_letters_are_large_enough(opened: Opened) -> None:
    opened.has_large_letters()


def test_animation_steps_from_the_output_to_the_input_and_on(opened: Opened) -> None:
    box, last = opened.box(), STEPS[opened.kind]
    assert opened.count() == f"Step 1 of {last}"
    lit: list[float] = []
    texts = [box.locator(".said").inner_text()]
    for step in range(2, last + 1):
        opened.press("step")
        assert opened.count() == f"Step {step} of {last}"
        texts.append(box.locator(".said").inner_text())
        units = box.evaluate(
            """box => [...box.querySelectorAll('circle.now')].map(c => Number(c.getAttribute('cx')))"""
        )
        lit += sorted(set(units))
    # The units lit by one step after the other lie ever further to the left, down to the input's.
    assert len(lit) == (last - 2) // 2 and lit == sorted(lit, reverse=True)
    assert lit[-1] == box.evaluate(
        "box => Math.min(...[...box.querySelectorAll('circle')].map(c => c.cx.baseVal.value))"
    )
    assert texts[-2].startswith("The input is reached") and len(set(texts)) == last
    assert [text.strip() for text in box.locator(".steps li").all_text_contents()] == texts
    assert box.locator('[data-do="step"]').get_attribute("aria-disabled") == "true"
    opened.press("back")
    assert opened.count() == f"Step {last - 1} of {last}"
    opened.press("reset")
    assert opened.count() == f"Step 1 of {last}"
    assert box.locator(".number.slope:visible").count() == 0
    assert box.locator(".number.weight:visible").count() > 2


def test_what_a_step_is_about_is_in_view(opened: Opened) -> None:
    """The inputs of the first step; and of a later one, whatever it lights, if that is not wider than the page."""
    for step in range(STEPS[opened.kind]):
        if step:
            opened.press("step")
        outside = opened.box().evaluate("""box => {
            const view = box.querySelector('svg.net').parentElement.getBoundingClientRect();
            const lit = [...box.querySelectorAll('circle.now')].map(c => c.getBoundingClientRect());
            const first = Math.min(...lit.map(r => r.left));
            return lit.filter(r => r.left === first && (r.left < view.left || r.right > view.right)).length;
        }""")
        assert outside == 0, step


def test_numbers_take_turns_on_the_edges(demo: Opened) -> None:
    def seen(kind: str) -> int:
        return int(
            demo.box().evaluate(f"""box => [...box.querySelectorAll('.number.{kind}')]
            .filter(text => getComputedStyle(text).visibility === 'visible').length""")
        )

    found = []
    for _ in range(STEPS["demo"]):
        found.append((seen("weight"), seen("slope")))
        if len(found) < STEPS["demo"]:
            demo.press("step")
    # Six weights into the layer of three units, three into the output.
    assert found == [(9, 0), (9, 0), (9, 0), (6, 3), (6, 3), (0, 9), (0, 9), (9, 0)]


def test_keyboard_is_enough(demo: Opened) -> None:
    box = demo.box()
    box.locator('[data-do="step"]').focus()
    demo.page.keyboard.press("Enter")
    demo.page.keyboard.press("Space")
    assert demo.count() == "Step 3 of 8"
    demo.page.keyboard.press("ArrowRight")
    demo.page.keyboard.press("ArrowRight")
    demo.page.keyboard.press("ArrowLeft")
    assert demo.count() == "Step 4 of 8"
    demo.page.keyboard.press("Home")
    assert demo.count() == "Step 1 of 8"
    demo.page.locator("body").evaluate("() => document.activeElement.blur()")
    demo.page.keyboard.press("Tab")
    assert demo.page.evaluate("document.activeElement.textContent") != ""


def test_it_plays_to_the_end_and_pauses(demo: Opened) -> None:
    play = demo.box().locator('[data-do="play"]')
    demo.press("play")
    assert play.inner_text() == "Pause" and play.get_attribute("aria-label") == "Pause the animation"
    demo.page.clock.run_for(10_000)
    assert demo.count() == "Step 3 of 8"
    demo.press("play")
    demo.page.clock.run_for(10_000)
    assert demo.count() == "Step 3 of 8" and play.inner_text() == "Play"
    demo.press("play")
    demo.page.clock.run_for(60_000)
    assert demo.count() == "Step 8 of 8" and play.inner_text() == "Play"
    demo.press("play")
    assert demo.count() == "Step 1 of 8"
    demo.press("reset")
    demo.page.clock.run_for(10_000)
    assert demo.count() == "Step 1 of 8"


@pytest.mark.parametrize("still", [True, False], ids=["reduced", "moving"])
def test_motion_is_left_out_where_it_is_not_wanted(
    still: bool, browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    motion = "reduce" if still else "no-preference"
    page = Opened(browser, "demo", written("demo", tmp_path_factory), WIDE, reduced_motion=motion)
    for _ in range(3):
        page.press("step")
    moving = page.box().evaluate("box => getComputedStyle(box.querySelector('.edge.now')).animationName")
    assert (moving == "none") == still
    page.context.close()


CONTRAST = """role => {
  const value = name => {
    const probe = document.createElement('canvas').getContext('2d');
    probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name);
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...probe.getImageData(0, 0, 1, 1).data].map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [light, dark] = [value(role[0]), value(role[1])].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes_are_readable(scheme: str, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    page = Opened(browser, "demo", written("demo", tmp_path_factory), WIDE, color_scheme=scheme)
    background = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, background.removeprefix("rgb(").removesuffix(")").split(",")))
    assert (brightness < 150) == (scheme == "dark")
    for ground in ("--paper", "--card"):
        # By WCAG 2.2: 4.5 for text.
        for role in ("--ink", "--muted", "--one", "--two", "--three", "--four"):
            assert page.page.evaluate(CONTRAST, [role, ground]) >= 4.5, (role, ground)
    page.context.close()


def test_names_stay_text(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    page = Opened(browser, "table", written("table", tmp_path_factory), WIDE)
    assert page.page.locator("main b").count() == 0 and page.page.locator("script").count() == 1
    assert "<b>sheep</b> & lamb" in page.page.locator("#table-net").text_content()
    page.context.close()
