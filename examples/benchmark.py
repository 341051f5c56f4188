"""A benchmark of one's own: how many squares are in the picture? It draws its pictures itself."""

import random
from collections.abc import Iterator

from PIL import Image, ImageDraw

from hermes.harness.contracts.benchmark import Row
from hermes.harness.contracts.exact_match import ExactMatch


class Squares(ExactMatch):
    name = "squares"
    chance = 25.0

    def rows(self) -> Iterator[Row]:
        for number in range(100):
            rng = random.Random(number)
            picture, count = Image.new("RGB", (48, 48), "darkgray"), rng.randint(1, 4)
            for place in rng.sample(range(9), count):
                x, y = place % 3 * 16, place // 3 * 16
                ImageDraw.Draw(picture).rectangle((x + 4, y + 4, x + 11, y + 11), fill="black")
            yield {"image": picture, "count": count}

    def prompt(self, row: Row) -> str:
        return "How many squares are in the image?\nAnswer the question using a single word or phrase."

    def gold(self, row: Row) -> int:
        return int(row["count"])
