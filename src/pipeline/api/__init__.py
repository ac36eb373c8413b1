"""Answers over HTTP from the workers' state: a copy of it that follows the changelogs, asked and followed."""
