"""The shop's four tables, as flash sales declares them."""

from pipeline.applications.loading import runnable
from pipeline.settings import Settings
from pipeline.sources.carried import Carried

DECLARED = {table.name: table for table in runnable(Settings()).application.database}
CARRIED = {name: Carried.of(table) for name, table in DECLARED.items()}
