"""The inline styles that the page's policy allows, each by its hash; no other takes effect.

Dash's bundles write theirs into the page when they are loaded; the hashes are those of Dash 4.4.1. After an upgrade the
browser's console names the new ones (a browser test fails on them); the page needs none of them. Plotly makes an empty
style, and writes its rules into that through the CSSOM, which the policy leaves alone, as it does with what scripts
set through `element.style`.
"""

from pipeline.dashboard.theme import css
from pipeline.dashboard.web import sha256

OF_DASH = (
    "sha256-+QoPrsxO0auPnxSulD3bAr9CoDGgzv7YRfYE0vfxeQI=",
    "sha256-0IJGrxhCP5NUIafylLkj5118xkZH1kp5FmNio7NOckI=",
    "sha256-Aq43X0SlmB69maWGob4rp/UuSHhwePalkRRExtsxOJ8=",
    "sha256-Do5Z9ZqsPvCQTUBQS9BnDm/2+on7omuzuLYk5sbA+2s=",
    "sha256-ITR5T9OwskhdqdsliUJRmgp9ltOFAHgXe1F7eRvGnmQ=",
    "sha256-MJs2ke1SA6Cy3tTCZu2QH0rj0r//iNqU0idy9bM4leg=",
    "sha256-SkhFDxgIcEjMhRh19uSHWrkdnAlZ9rlskgr9yLsipa8=",
    "sha256-VUA+tqvhK3niMn7AdszqidMFPRh9FLqxB2iINUrsiTw=",
    "sha256-X2TqJwnIiE/ceDVeAdr7v7BOWBU6CEzE6qxlNzBzvBk=",
    "sha256-Z8VokGxeiKThZOEmkdUgfW+jxbvItBwAXC8M1c4wqAM=",
    "sha256-uDiOZWps1U7E8/0BTaQrclYMhVhRVE4dT0vb5X6nXOw=",
)
ALLOWED = (sha256(css()), sha256(""), *(f"'{found}'" for found in OF_DASH))
