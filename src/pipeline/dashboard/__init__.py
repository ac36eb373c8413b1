"""The live page: one poller asks Pinot for all viewers, pure functions turn its snapshot into numbers and figures.

`snapshot` (what is known, and since when) -> `numbers` (what the filters leave) -> `figures` (Plotly's JSON) ->
`views` (what a viewer must be sent) -> `callbacks` (Dash).
"""
