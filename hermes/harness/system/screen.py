"""The console that everything on a screen goes through: text is text, neither escape sequence nor markup."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.text import Text

from hermes.harness.system.text import plain


class Screen(Console):
    """Shows foreign text as it is: what a terminal would obey is spelled out, square brackets mean nothing."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Strings, before they are measured and laid out."""
        return super().render_str(plain(text, lines=True), **settings)

    def render(self, renderable: RenderableType, *settings: Any, **named: Any) -> Iterable[Segment]:
        """Everything else, such as rich's own texts, after it."""
        for segment in super().render(renderable, *settings, **named):
            yield segment if segment.control else Segment(plain(segment.text, lines=True), segment.style)
