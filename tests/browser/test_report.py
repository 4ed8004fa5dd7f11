"""The report in a real browser: what is seen, clicked, sorted, printed, and what is not sent."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from isolate.compare.render.html import html
from tests.support.comparisons import BACKENDS, HOSTILE, PROBES, comparison, document

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser.conftest import Browser

pytestmark = pytest.mark.needs("chromium", "chromedriver")


@pytest.fixture
def report(browser: Browser, tmp_path: Path) -> Browser:
    """The report of a made-up comparison, opened."""
    path = tmp_path / "report.html"
    path.write_text(html(comparison()), encoding="utf-8")
    browser.open(path)
    return browser


def test_it_is_whole_quiet_and_asks_for_nothing(report: Browser) -> None:
    assert report.driver.title.startswith("What isolates")
    headings = [one.text for one in report.driver.find_elements(By.CSS_SELECTOR, "#matrix th")]
    assert {"fs", "kernel", "life", *BACKENDS} <= {text.split()[0] for text in headings if text}
    assert len(report.driver.find_elements(By.CSS_SELECTOR, "svg.chart circle")) > len(BACKENDS)
    report.script("document.querySelectorAll('button').forEach((one) => one.click())")
    assert report.console() == []
    assert {url.partition(":")[0] for url in report.requests()} <= {"file", "data"}


def test_a_cell_opens_its_evidence(report: Browser) -> None:
    cell = report.driver.find_element(By.CSS_SELECTOR, '[data-group="fs"][data-backend="chroot"]')
    assert cell.text == "✗ 2 of 3 exposed"
    cell.click()
    dialog = report.driver.find_element(By.ID, "evidence")
    assert dialog.get_attribute("open") is not None
    assert "fs.double_chroot was tried: ENOENT" in dialog.text
    assert "Give it a root of its own." in dialog.text
    assert dialog.text.count("fs.") >= 3
    report.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert dialog.get_attribute("open") is None


def test_a_group_unfolds_to_its_probes(report: Browser) -> None:
    rows = report.driver.find_elements(By.CSS_SELECTOR, "tr.one")
    assert len(rows) == len(PROBES)
    assert not any(row.is_displayed() for row in rows)
    fold = report.driver.find_element(By.CSS_SELECTOR, ".fold")
    fold.click()
    assert fold.get_attribute("aria-expanded") == "true"
    assert sum(row.is_displayed() for row in rows) == 3
    report.driver.find_element(By.ID, "unfold").click()
    assert all(row.is_displayed() for row in rows)


def test_it_works_by_the_keyboard_alone(report: Browser) -> None:
    cell = report.driver.find_element(By.CSS_SELECTOR, ".matrix button.cell")
    report.script("arguments[0].focus()", cell)
    report.driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    report.driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    active = report.driver.switch_to.active_element
    place = (active.get_attribute("data-group"), active.get_attribute("data-backend"))
    assert place == ("kernel", "namespaces")
    active.send_keys(Keys.ENTER)
    title = report.driver.find_element(By.ID, "evidence-title")
    assert title.text == "kernel on namespaces"


def test_columns_sort_and_the_unmeasured_stands_last(browser: Browser, tmp_path: Path) -> None:
    made = document()
    made["metrics"][2] |= {"median": None, "samples": [], "blocks": []}  # chroot's
    path = tmp_path / "report.html"
    path.write_text(html(comparison(metrics=made["metrics"])), encoding="utf-8")
    browser.open(path)

    def names() -> list[str]:
        cells = browser.driver.find_elements(By.CSS_SELECTOR, "details:first-of-type tbody th")
        return [cell.text for cell in cells]

    heading = browser.driver.find_element(
        By.CSS_SELECTOR, "details:first-of-type th:nth-child(2) button"
    )
    heading.click()
    assert names()[-2:] == ["runc", "chroot"]
    heading.click()
    assert (names()[0], names()[-1]) == ("runc", "chroot")


def test_hostile_text_stays_text(browser: Browser, tmp_path: Path) -> None:
    made = document()
    made["backends"][0]["name"] = HOSTILE
    for row in (*made["probes"], *made["metrics"]):
        if row["backend"] == "chroot":
            row["backend"] = HOSTILE
    made["probes"][0] |= {"evidence": HOSTILE, "meaning": HOSTILE, "control": HOSTILE}
    path = tmp_path / "report.html"
    path.write_text(html(comparison(**made, warnings=[HOSTILE])), encoding="utf-8")
    browser.open(path)
    browser.driver.find_element(By.CSS_SELECTOR, ".matrix button.cell").click()
    assert browser.driver.find_element(By.ID, "evidence").text.count("<script>alert(1)") >= 4
    assert len(browser.driver.find_elements(By.TAG_NAME, "script")) == 2
    assert browser.console() == []


def test_a_script_from_elsewhere_would_not_run(report: Browser) -> None:
    report.script(
        "const made = document.createElement('script');"
        "made.textContent = 'window.owned = true'; document.body.append(made)"
    )
    assert report.script("return window.owned === undefined")
    assert any("Content Security Policy" in message for message in report.console())


def test_dark_mode_and_print(report: Browser) -> None:
    def paper() -> str:
        return str(report.script("return getComputedStyle(document.body).backgroundColor"))

    light = paper()
    report.command(
        "Emulation.setEmulatedMedia",
        features=[{"name": "prefers-color-scheme", "value": "dark"}],
    )
    assert paper() != light
    report.command("Emulation.setEmulatedMedia", media="print")
    assert paper() == "rgb(255, 255, 255)"
    printed = base64.b64decode(report.command("Page.printToPDF")["data"])
    assert printed.startswith(b"%PDF")
    assert len(printed) > 20_000
