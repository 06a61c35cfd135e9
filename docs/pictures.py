"""Draws the pictures of the reading room that the documentation shows (`python docs/pictures.py`).

A phantom is sent, drafted, read and signed in a real browser; nobody's images appear.
"""

import re
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.browser.serving import ARGUMENTS, CHROMIUM, phantom, send, serving

PICTURES = Path(__file__).with_name("pictures")
PATIENCE_MS = 180_000


def main() -> None:
    """Draw all."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder)
        with serving(home, "Dr Ada Example") as server:
            study = phantom(server, home)
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
            page = browser.new_page(viewport={"width": 1366, "height": 768}, color_scheme="light")
            page.set_default_timeout(PATIENCE_MS)
            draw(page, server.address, study)
            dark = browser.new_page(viewport={"width": 1920, "height": 1080}, color_scheme="dark")
            dark.set_default_timeout(PATIENCE_MS)
            dark.goto(server.address)
            dark.locator(".mo-link").first.click()
            settled(dark)
            take(dark, "dark")
            browser.close()


def draw(page: Page, address: str, study: Path) -> None:
    """Go the way of a person and take a picture at each step."""
    page.goto(address)
    page.wait_for_selector(".mo-empty")
    page.wait_for_timeout(800)
    take(page, "empty")
    send(page, study, "Chronic cough. Fever for 3 days. Pneumonia?")
    take(page, "worklist")
    page.locator(".mo-link").first.click()
    settled(page)
    page.locator(".mo-section.findings .mo-look").first.click()
    page.wait_for_timeout(2500)
    take(page, "reading")
    page.locator(".mo-section.impression .mo-text").first.dblclick()
    page.keyboard.press("End")
    page.keyboard.type(" Follow-up CT in six weeks is recommended.")
    page.wait_for_selector(".mo-saved.saved")
    take(page, "editing")
    page.keyboard.press("Enter")
    page.fill("#mo-dictation", "Add no pneumothorax. Remove the last sentence of the impression. Add possible emphysema.")
    page.get_by_role("button", name="Preview the change").click()
    page.wait_for_selector(".mo-understood button")
    take(page, "dictating")
    page.locator(".mo-understood").get_by_role("button", name="Cancel").click()
    page.locator(".mo-section.findings").get_by_role("button", name=re.compile("Add a sentence")).click()
    page.keyboard.type("Degenerative changes of the thoracic spine.")
    page.keyboard.press("Enter")
    page.wait_for_selector(".mo-saved.saved")
    page.get_by_role("button", name="Sign…").click()
    page.wait_for_selector("dialog[open]")
    page.wait_for_timeout(400)
    take(page, "signing")
    for box in page.locator("dialog[open] input[type=checkbox]").all():
        box.check()
    page.locator("dialog[open]").get_by_role("button", name=re.compile("Sign as")).click()
    page.wait_for_selector(".mo-state.final")
    page.get_by_role("button", name="Versions").click()
    page.wait_for_selector(".mo-diff")
    page.wait_for_timeout(600)
    take(page, "versions")
    page.keyboard.press("Escape")
    for name, words in {"adapters": "Load the runs", "audit": "Verify", "health": "Drafts waiting"}.items():
        page.goto(f"{address}/{name}")
        page.wait_for_selector(f"text={words}")
        if name == "audit":
            page.get_by_role("button", name="Verify the whole trail").click()
            page.wait_for_selector("text=nothing was changed")
        page.wait_for_timeout(6000)
        take(page, name)


def settled(page: Page) -> None:
    """Wait for the text, the images and the masks."""
    page.wait_for_selector(".mo-section.findings .mo-text")
    page.wait_for_selector(".medomni-viewer canvas")
    page.wait_for_timeout(9000)


def take(page: Page, name: str) -> None:
    """Keep a picture."""
    page.screenshot(path=PICTURES / f"{name}.jpg", type="jpeg", quality=82)


if __name__ == "__main__":
    main()
