"""A progress display that only notes what is said."""

from hermes.harness.system.progress import Silent


class Watch(Silent):
    """``said`` holds every line."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)
