"""The result as a picture for the README: horizontal bars, SVG written by hand."""

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from bench.report import programs_of

NAMES = {
    "pipeline": "this application, exactly once",
    "pipeline_at_least_once": "this application, at least once",
    "kafka_streams": "Kafka Streams, exactly once",
    "kafka_streams_at_least_once": "Kafka Streams, at least once",
    "quix_streams": "Quix Streams",
    "faust": "plain Faust",
}
WIDTH, LABEL, ROW, GAP, TOP = 860, 250, 24, 34, 34
OURS, THEIRS = "#2563eb", "#94a3b8"
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1e293b}.t{font-weight:600}.n{font-size:11px;fill:#64748b}"
    "@media(prefers-color-scheme:dark){text{fill:#e2e8f0}.n{fill:#94a3b8}}"
)


def svg(result: Mapping[str, Any]) -> str:
    """One group of bars per workload, in events a second; a line shows the spread of the repeats."""
    shown = {name: programs_of(load) for name, load in result["workloads"].items() if programs_of(load)}
    rates = [run["events_per_second_max"] for load in shown.values() for run in load.values()]
    scale = (WIDTH - LABEL - 110) / max(rates, default=1.0)
    parts, y = [], TOP
    for name, load in shown.items():
        parts.append(f'<text class="t" x="8" y="{y}">{escape(result["titles"][name])}</text>')
        y += 10
        for key, run in sorted(load.items(), key=lambda item: -item[1]["events_per_second"]):
            parts.append(_bar(key, run, y, scale))
            y += ROW
        y += GAP
    machine = result["machine"]
    foot = f"events/s, one worker, three brokers on the same {machine['cores']} cores; {machine['cpu']}"
    parts.append(f'<text class="n" x="8" y="{y - 8}">{escape(foot)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 4}" role="img" '
        f'aria-label="Throughput of this application and of others"><style>{STYLE}</style>{"".join(parts)}</svg>\n'
    )


def _bar(key: str, run: Mapping[str, Any], y: int, scale: float) -> str:
    width = run["events_per_second"] * scale
    low, high = (LABEL + run[f"events_per_second_{end}"] * scale for end in ("min", "max"))
    colour = OURS if key.startswith("pipeline") else THEIRS
    middle = y + ROW / 2
    return (
        f'<text x="{LABEL - 8}" y="{middle + 4}" text-anchor="end">{escape(NAMES.get(key, key))}</text>'
        f'<rect x="{LABEL}" y="{y + 3}" width="{width:.1f}" height="{ROW - 6}" rx="2" fill="{colour}"/>'
        f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="#0f172a" stroke-width="1.5" opacity=".6"/>'
        f'<text x="{max(LABEL + width, high) + 8:.1f}" y="{middle + 4}">{run["events_per_second"]:,.0f}</text>'
    )
