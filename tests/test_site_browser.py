"""The site as a person meets it, in headless Chromium; skipped where there is none."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from reproduction.checkout import REPOSITORY
from reproduction.evidence import figures
from reproduction.evidence.site.places import profiles

FIRST = profiles(REPOSITORY)[0]
RUNS = pd.read_csv(REPOSITORY / "outputs" / FIRST / "tables" / "runs.csv")
SHOWN = [name for name in figures.variants_with(biases=False) if name in set(RUNS["variant"])]
DOTS = ".interactive .mark-symbol path"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no Chromium on the PATH (looked for {', '.join(BROWSERS)})")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has none for root
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@pytest.fixture
def page(browser):
    """A page of 1,280 px with a list of what went wrong in it: errors, warnings, and requests to anywhere else."""
    own, wrong = watched(browser.new_page())
    yield own
    own.close()
    assert not wrong


def watched(page):
    wrong = []
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: wrong.append(asked.url) if asked.url.startswith(("http", "ws")) else None)
    page.set_default_timeout(10_000)
    return page, wrong


def representatives(folder: Path) -> list[str]:
    """One page of each kind."""
    first = f"{FIRST}/notebooks/{SHOWN[0]}_p{RUNS['p'].min():02d}.html"
    names = ["index.html", f"{FIRST}/appendix.html", f"{FIRST}/runs/index.html", f"{FIRST}/tables/claims.html", first]
    names += ["studies/index.html"]
    names += [
        f"source/{path.relative_to(folder / 'source')}" for path in sorted(folder.glob("source/**/*.py.html"))[:1]
    ]
    return [name for name in names if (folder / name).is_file()]


def opened(page, folder: Path, name: str = "index.html"):
    page.goto((folder / name).as_uri())
    if name == "index.html":
        page.wait_for_selector(DOTS)
    return page


def test_each_run_is_a_dot(page, built_site):
    dots = opened(page, built_site).locator(DOTS)
    assert dots.count() == RUNS["variant"].isin(SHOWN).sum()


def test_switches_take_a_curve_away_and_bring_it_back_by_keyboard(page, built_site):
    dots = opened(page, built_site).locator(DOTS)
    whole, own = dots.count(), (RUNS["variant"] == SHOWN[0]).sum()
    switch = page.locator(f"input[name=show_{SHOWN[0]}]").first
    switch.focus()
    page.keyboard.press("Space")
    page.wait_for_function(f"document.querySelectorAll('{DOTS}').length == {whole - own}")
    page.keyboard.press("Space")
    page.wait_for_function(f"document.querySelectorAll('{DOTS}').length == {whole}")


def test_published_curves_can_be_shown(page, built_site):
    opened(page, built_site)
    switches = page.locator("input[name^=show_paper_], input[name^=show_report_]")
    if not switches.count():
        pytest.skip("nothing was published of these runs")
    lines = page.locator(".interactive .mark-line path").count()
    switches.first.check()
    page.wait_for_function(f"document.querySelectorAll('.interactive .mark-line path').length > {lines}")


def test_a_dot_says_what_it_is_and_leads_to_its_notebook(page, built_site):
    opened(page, built_site)
    run = RUNS[(RUNS["variant"] == SHOWN[-1]) & (RUNS["fate"] == "trained")].iloc[0]
    dot = page.locator(f'{DOTS}[aria-label*="p = {run["p"]}, seed {run["seed"]}: {100 * run["test_accuracy"]:.2f} %"]')
    dot.first.hover(force=True)  # another dot may lie on it
    said = page.locator("#vg-tooltip-element.visible").inner_text()
    for words in ("variant", "p", "seed", "test accuracy", "learning rate", "precision", "seconds"):
        assert words in said
    dot.first.click(force=True)
    page.wait_for_url(f"**/{FIRST}/notebooks/*_p*.html")


def test_without_a_script_the_figure_is_a_picture(browser, built_site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((built_site / "index.html").as_uri())
    assert page.locator(".interactive img").first.is_visible()
    assert not page.locator(".interactive .chart").first.is_visible()
    context.close()


@pytest.mark.parametrize("width", [390, 1600])
def test_no_page_is_wider_than_the_window(page, built_site, width):
    page.set_viewport_size({"width": width, "height": 900})
    for name in representatives(built_site):
        opened(page, built_site, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(page, built_site, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    page.emulate_media(color_scheme=theme)
    options = {"preload": False, "resultTypes": ["violations"]}  # it would fetch the style sheet, which file: forbids
    for name in representatives(built_site):
        found = axe.run(opened(page, built_site, name), options=options).response["violations"]
        serious = [
            (violation["id"], violation["nodes"][0]["html"][:200])
            for violation in found
            if violation["impact"] in ("serious", "critical")
        ]
        assert not serious, name
