#!/usr/bin/env python3
"""A page left open: bench/open_page.py [--url http://127.0.0.1:8050/] [--minutes 60].

Samples the browser's heap (after a collection) and the server's memory every half minute and prints, as JSON, the
samples and the growth in MB an hour of their second half, when caches are full. Needs chromium and chromedriver.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "tests" / "browser")]

from pages import Page, chromium  # type: ignore[import-not-found]  # noqa: E402

from bench.viewers import processes  # noqa: E402

EVERY_S = 30


def main() -> None:
    parser = argparse.ArgumentParser(description="Watch memory while a page stays open.")
    parser.add_argument("--url", default="http://127.0.0.1:8050/")
    parser.add_argument("--minutes", type=float, default=60)
    args = parser.parse_args()
    server = processes(urlsplit(args.url).port or 80)
    samples = []
    with tempfile.TemporaryDirectory() as profile:
        driver = chromium(Path(profile))
        try:
            page = Page(driver, args.url)
            driver.execute_cdp_cmd("HeapProfiler.enable", {})
            end = time.monotonic() + args.minutes * 60
            while time.monotonic() < end:
                time.sleep(EVERY_S)
                driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
                heap = driver.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"]
                rss = sum(process.memory_info().rss for process in server)
                samples.append((round(heap / 1e6, 2), round(rss / 1e6, 2)))
            complaints = page.complaints()
        finally:
            driver.quit()
    print(json.dumps({"growth_mb_per_hour": growth(samples), "console": complaints, "heap_rss_mb": samples}))


def growth(samples: list[tuple[float, float]]) -> dict[str, float]:
    """Least squares over the second half, in MB an hour."""
    half = samples[len(samples) // 2 :]
    middle = (len(half) - 1) / 2
    spread = sum((n - middle) ** 2 for n in range(len(half))) or 1.0
    slopes = [sum((n - middle) * sample[k] for n, sample in enumerate(half)) / spread for k in (0, 1)]
    return dict(zip(("heap", "server"), (round(slope * 3600 / EVERY_S, 2) for slope in slopes), strict=True))


if __name__ == "__main__":
    main()
