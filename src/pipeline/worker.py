"""The Faust entry point: `faust -A pipeline.worker worker -l info`, and what `pipeline worker` runs."""

from pipeline.app import create_app
from pipeline.settings import settings

app = create_app(settings())
