"""A headless Chromium, and the dashboard as a viewer sees it."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from werkzeug.serving import make_server

AXE = Path(__file__).parent / "axe.min.js"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium(profile: Path, *flags: str) -> Chrome:
    """A browser with a new profile in this folder, and with further flags."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return Chrome(options, Service(shutil.which("chromedriver")))


def until(condition: Callable[[], Any], timeout_s: float = 15.0, what: str = "") -> Any:
    """Wait for a condition and return what it returned; the page may be redrawn meanwhile."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            found = condition()
        except WebDriverException:
            found = None
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what or condition}"
        time.sleep(0.1)


class Serving:
    """A WSGI application on a port of this machine, 0: a free one."""

    def __init__(self, server: Any, port: int = 0) -> None:
        self._server = make_server("127.0.0.1", port, server, threaded=True)
        self.port = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Page:
    """One open page."""

    def __init__(self, driver: Chrome, url: str, *, width: int = 1360, dark: bool = False) -> None:
        self.driver = driver
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        driver.get("about:blank")  # the page before asks a server that may have gone by now
        driver.get_log("browser")
        driver.get(url)
        until(lambda: self.text("chip-state") not in ("Starting", ""), 20, "the first answer")

    def text(self, element: str) -> str:
        """The text of an element by id."""
        return self.driver.find_element(By.ID, element).text

    def kpis(self) -> tuple[str, str, str]:
        """Page views, sales and users as shown."""
        return self.text("kpi-pageviews"), self.text("kpi-sales"), self.text("kpi-users")

    def click(self, element: str) -> None:
        """Click an element by id."""
        self.driver.find_element(By.ID, element).click()

    def choose(self, dropdown: str, *names: str) -> None:
        """Tick options of a dropdown."""
        self.driver.find_element(By.CSS_SELECTOR, f"#control-{dropdown} summary").click()
        for name in names:
            option = f"//*[@id='control-{dropdown}']//label[normalize-space()='{name}']"
            until(lambda option=option: self.driver.find_element(By.XPATH, option)).click()
        ActionChains(self.driver).send_keys(Keys.ESCAPE).perform()

    def pick(self, control: str, label: str) -> None:
        """Choose one of a row of choices by its label."""
        option = f"//*[@id='control-{control}']//label[normalize-space()='{label}']"
        self.driver.find_element(By.XPATH, option).click()

    def violations(self) -> list[str]:
        """What axe-core finds, WCAG 2.2 AA and best practices alike."""
        self.driver.execute_script(AXE.read_text("utf-8"))
        script = """
            const done = arguments[arguments.length - 1];
            axe.run().then(found => done(found.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' '))));
        """
        return [str(found) for found in self.driver.execute_async_script(script)]

    def figure(self, panel: str) -> Any:
        """Data and layout of a chart as Plotly holds them."""
        script = """
            const plot = document.querySelector(`#figure-${arguments[0]} .js-plotly-plot`);
            return plot && plot.data && {data: plot.data, layout: plot.layout};
        """
        return until(lambda: self.driver.execute_script(script, panel), what=f"chart {panel}")

    def requests(self) -> list[str]:
        """Addresses of everything that the page has asked for."""
        script = "return performance.getEntriesByType('resource').map(entry => entry.name)"
        return [str(name) for name in self.driver.execute_script(script)]

    def complaints(self) -> list[str]:
        """What the browser's console says."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
