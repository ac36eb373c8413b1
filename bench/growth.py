"""How speed changes with keys and partitions: this application, workload a, with as many page groups as keys.

    .venv/bin/python -m bench.growth [--keys 100,1000,10000] [--records 300000]

Every size is a run of `pipeline bench` on a cluster of its own, results checked. Prints one JSON object.
"""

import json
import os

import click
from rich.console import Console

from bench.report import as_json
from bench.run import Plan, measure


@click.command(help=__doc__)
@click.option("--keys", default="100,1000,10000,100000,1000000", show_default=True, help="Numbers of groups.")
@click.option("--partitions", default="5", show_default=True, help="Numbers of partitions.")
@click.option("--records", default=1_000_000, show_default=True)
@click.option("--repeats", default=1, show_default=True)
def main(keys: str, partitions: str, records: int, repeats: int) -> None:
    """Measure and print."""
    found = []
    for number in map(int, partitions.split(",")):
        os.environ["PIPELINE_PARTITIONS"] = str(number)
        for groups in map(int, keys.split(",")):
            plan = Plan(("a",), ("pipeline",), records, repeats, "both", 1_000, 1, 10_000, groups, 1)
            result = as_json(measure(plan, Console(stderr=True)), plan)
            found.append({"keys": groups, "partitions": number, **result["workloads"]["a"]})
    click.echo(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
