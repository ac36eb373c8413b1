"""Plain lines on a rich console."""

from rich.console import Console


def say(console: Console, text: str) -> None:
    """Print the text as it is: no markup, no colours guessed, no line broken."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
