"""Colours of the page and its figures, light and dark; product groups keep their colour whatever else is shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Theme:
    """One colour scheme: `css` holds the page's variables; `names` and `others` colour the bars, `groups` those of any
    few groups, in this order.
    """

    name: str
    css: Mapping[str, str]
    names: Mapping[str, str]
    others: tuple[str, ...]
    groups: tuple[str, ...]

    def colour(self, name: str) -> str:
        """The colour of a product group; an unknown name gets one that depends on nothing but the name."""
        return self.names.get(name) or self.others[crc32(name.encode()) % len(self.others)]


# Product groups: Okabe and Ito's colours, made for colour-blind readers; tones were shifted to at least 3:1 against the
# card (WCAG 1.4.11), and no bar relies on its colour alone: each is labelled.
LIGHT = Theme(
    "light",
    {
        "page": "#f4f6f8",
        "card": "#ffffff",
        "text": "#17202c",
        "muted": "#566273",
        "border": "#dfe4ea",
        "grid": "#e9edf1",
        "accent": "#1d5fbf",
        "control": "#ffffff",
        "live": "#12743b",
        "stale": "#9a5800",
        "down": "#b3261e",
        "idle": "#566273",
        "shadow": "0 1px 2px rgba(23, 32, 44, .05)",
    },
    {
        "Electronics": "#0072b2",
        "Fashion": "#c2609b",
        "Furniture": "#d55e00",
        "Dry Grocery": "#009067",
        "Other": "#7a8391",
    },
    ("#4a6fa5", "#a5634a", "#4a8f6b", "#8f4a8a"),
    ("#0072b2", "#d55e00", "#009067", "#c2609b", "#8a6d00", "#7a8391"),
)
DARK = Theme(
    "dark",
    {
        "page": "#0d1218",
        "card": "#161d27",
        "text": "#e8edf3",
        "muted": "#9eabba",
        "border": "#27313d",
        "grid": "#232c37",
        "accent": "#6ea8fe",
        "control": "#1c2530",
        "live": "#4ecb82",
        "stale": "#f0b13c",
        "down": "#ff8a80",
        "idle": "#9eabba",
        "shadow": "none",
    },
    {
        "Electronics": "#56b4e9",
        "Fashion": "#e08fc0",
        "Furniture": "#f28e2b",
        "Dry Grocery": "#2fbf8f",
        "Other": "#9aa4b2",
    },
    ("#7fa3d6", "#d69a7f", "#7fc4a1", "#c48abf"),
    ("#56b4e9", "#f28e2b", "#2fbf8f", "#e08fc0", "#d9c24a", "#9aa4b2"),
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


def css() -> str:
    """The page's variables: by the viewer's choice (`data-theme` of the root), else by the system's preference."""
    light, dark = ("".join(f"--{name}: {value};" for name, value in theme.css.items()) for theme in (LIGHT, DARK))
    return (
        f":root {{ color-scheme: light; --font: {FONT}; {light} }} "
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{ color-scheme: dark; {dark} }} }} "
        f":root[data-theme=dark] {{ color-scheme: dark; {dark} }}"
    )
