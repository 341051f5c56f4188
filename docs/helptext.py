"""The directive `hermes-help`: a section for every command, with what its --help says as lists that fit any screen."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer.main
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from hermes.cli import app


class Recorder:
    """Stands in for the formatter of --help, and keeps (title, [(names, text), ...]) in place of writing them."""

    def __init__(self) -> None:
        self.sections: list[tuple[str, list[tuple[str, str]]]] = []

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        self.sections.append((title, []))
        yield

    def write_dl(self, records: Sequence[tuple[str, str]], *_: Any, **__: Any) -> None:
        self.sections[-1][1].extend(records)


class HermesHelp(SphinxDirective):
    """Sections `hermes eval`, `hermes align`, ..., in the order of `hermes --help`."""

    def run(self) -> list[nodes.Node]:
        return [_section(words, command) for words, command in commands(typer.main.get_command(app), ["hermes"])]


def commands(command: Any, words: list[str]) -> Iterator[tuple[list[str], Any]]:
    """The words and the object of every command below a group, `hermes data check` among them."""
    if not hasattr(command, "commands"):
        yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, [*words, name])


def _section(words: list[str], command: Any) -> nodes.section:
    title = " ".join(words)
    context = command.make_context(title, [], resilient_parsing=True)
    recorder = Recorder()
    command.format_options(context, recorder)
    made = nodes.section("", nodes.title("", title), ids=[nodes.make_id(title)], names=[title])
    made += [nodes.paragraph("", " ".join(part.split())) for part in command.help.split("\n\n")]
    usage = " ".join([title, *command.collect_usage_pieces(context)])
    made += nodes.literal_block(usage, usage, language="text")
    for heading, records in recorder.sections:
        made += nodes.rubric("", heading.rstrip(":"))
        made += nodes.definition_list("", *(_item(names, text) for names, text in records))
    return made


def _item(names: str, text: str) -> nodes.definition_list_item:
    term = nodes.term("", "", nodes.literal("", names))
    return nodes.definition_list_item("", term, nodes.definition("", nodes.paragraph("", text)))


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("hermes-help", HermesHelp)
    return {"parallel_read_safe": True}
