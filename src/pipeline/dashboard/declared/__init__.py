"""Pages that are declared (`pipeline.declare.pages`): asked of Pinot, turned into figures, shown and filtered.

`queries` (what panels ask) -> `board` (what is known) -> `views` (what filters leave of it) -> `figures` and `worldmap`
(Plotly's JSON) -> `callbacks` (Dash). Poller, freshness, guard, health and saved queries are those of every page.
"""
