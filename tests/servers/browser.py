"""Debian's Chromium, headless, for tests of pages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1"),
)


class Page:
    """A browser window."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get("about:blank")  # two addresses that differ after # are one page
        self.driver.get(url)

    @property
    def text(self) -> str:
        try:
            return str(self.driver.find_element(By.TAG_NAME, "body").text)
        except WebDriverException:
            return ""  # between two pages

    def shows(self, *texts: str, seconds: float = 90) -> None:
        """Wait until all of these can be read on the page."""
        deadline = time.monotonic() + seconds
        while missing := [text for text in texts if text not in self.text]:
            assert time.monotonic() < deadline, f"{missing} not on the page:\n{self.text}"
            time.sleep(0.2)

    def count(self, selector: str) -> int:
        return len(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def click(self, text: str) -> None:
        """On the first element that itself, not by what is in it, has this text."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for element in self.driver.find_elements(By.XPATH, f"//*[contains(text(), '{text}')]"):
                try:
                    if element.is_displayed():
                        element.click()
                        return
                except WebDriverException:
                    continue  # drawn anew meanwhile
            time.sleep(0.2)
        raise AssertionError(f"{text!r} is not on the page:\n{self.text}")

    def dismiss_assistant(self) -> None:
        """MLflow's panel for questions to a language model, which takes a quarter of the page."""
        close = "[data-component-id='mlflow.assistant.chat_panel.close']"
        for element in self.driver.find_elements(By.CSS_SELECTOR, close):
            element.click()

    def picture(self, path: Path) -> None:
        time.sleep(1.5)  # charts glide into their places
        path.parent.mkdir(parents=True, exist_ok=True)
        assert self.driver.save_screenshot(str(path))


@contextmanager
def chromium(profile: Path, width: int = 1280, height: int = 800) -> Iterator[Page]:
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in (*QUIET, f"--window-size={width},{height}", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    driver.set_page_load_timeout(120)
    try:
        yield Page(driver)
    finally:
        driver.quit()
