"""`pipeline apps` and `pipeline explain`."""

import click

from pipeline import settings as configuration
from pipeline.errors import SettingError
from pipeline.options import app_option


@click.command("apps")
def apps() -> None:
    """List the applications that can be run here: the project's own, and those in the working folder."""
    from pipeline.applications.loading import load, names

    folder = configuration.settings().app_dir
    for name in names(folder):
        try:
            application = load(name, folder)
        except SettingError as error:
            click.echo(f"{name}: cannot be run: {error}")
        else:
            sources = ", ".join(topic.name for topic in application.sources)
            outputs = ", ".join(topic.name for topic in application.outputs)
            click.echo(f"{name}: from {sources} to {outputs}")


@click.command("explain")
@app_option
@click.option("--drawing", is_flag=True, help="A drawing in Mermaid's language in place of the text.")
def explain(drawing: bool) -> None:
    """Show what an application becomes: topics, agents, steps, tables of state."""
    from pipeline.applications.loading import load
    from pipeline.plan.explain import drawn, explained
    from pipeline.plan.plan import Plan

    settings = configuration.settings()
    plan = Plan(load(settings.app, settings.app_dir))
    click.echo(drawn(plan) if drawing else explained(plan))
