"""One asker for each kind of question: from the objects of a scene to a question that has one right answer."""

import random
from collections.abc import Callable, Sequence
from itertools import combinations, permutations

from hermes.shapes.scene import COLORS, SHAPES, SIZES, Obj
from hermes.shapes.words import (
    FRENCH,
    NUMBERS,
    PLACE_PHRASES,
    PLACES,
    RELATIONS,
    Phrase,
    holds,
    main_relation,
    place_of,
    uniquely_named,
    with_article,
)

Objects = Sequence[Obj]
_FORMS = (
    ("color", "shape"),
    ("shape",),
    ("color",),
    ("size", "shape"),
    ("size", "color"),
    ("place",),
    ("color", "shape"),
    ("size", "color", "shape"),
)
_EXISTS_FORMS = (("color", "shape"), ("shape",), ("color",), ("size", "color", "shape"))


def _identify(objects: Objects, rng: random.Random, *hidden: str) -> tuple[Obj, Phrase] | None:
    """An object and a phrase that fits it alone and says nothing of the hidden attributes."""
    forms = [form for form in _FORMS if not set(form) & set(hidden)]
    for obj in rng.sample(objects, len(objects)):
        for form in rng.sample(forms, len(forms)):
            phrase = Phrase.of(obj, form)
            if len(phrase.among(objects)) == 1:
                return obj, phrase
    return None


def _lie(value: str, values: Sequence[str], objects: Objects, attribute: str, rng: random.Random) -> str:
    """Another value of the attribute: half of the time one that another object has."""
    present = [getattr(obj, attribute) for obj in objects if getattr(obj, attribute) != value]
    if present and rng.random() < 0.5:
        return str(rng.choice(present))
    return rng.choice([other for other in values if other != value])


def _wording(rng: random.Random) -> tuple[str, ...]:
    return rng.choices(_EXISTS_FORMS, weights=(6, 2, 1, 1))[0]


def _absent(objects: Objects, rng: random.Random) -> Phrase | None:
    """Something absent: half of the time a colour and a shape of the scene recombined, or one of the two kept."""
    form = _wording(rng)
    if form == ("color", "shape") and rng.random() < 0.5:
        colors, shapes = {obj.color for obj in objects}, {obj.shape for obj in objects}
        mixed = [Phrase(color=color, shape=shape) for color in sorted(colors) for shape in sorted(shapes)]
        mixed += [Phrase(color=rng.choice(objects).color, shape=rng.choice(SHAPES))]
        mixed = [phrase for phrase in mixed if not phrase.among(objects)]
        if mixed:
            return rng.choice(mixed)
    for _ in range(20):
        phrase = Phrase(
            size=rng.choice(SIZES) if "size" in form else None,
            color=rng.choice(COLORS) if "color" in form else None,
            shape=rng.choice(SHAPES) if "shape" in form else None,
        )
        if not phrase.among(objects):
            return phrase
    return None


def _present(objects: Objects, rng: random.Random) -> Phrase:
    return Phrase.of(rng.choice(objects), _wording(rng))


def _exists(objects: Objects, rng: random.Random, truth: bool) -> str | None:
    phrase = _present(objects, rng) if truth else _absent(objects, rng)
    return is_there(phrase) if phrase else None


def is_there(phrase: Phrase) -> str:
    if phrase.place:
        return f"Is there {with_article(str(phrase))}?"
    return f"Is there {with_article(str(phrase))} in the image?"


def are_there_exactly(phrase: Phrase, count: int) -> str:
    if count == 1:
        return f"Is there exactly one {phrase} in the image?"
    return f"Are there exactly {NUMBERS[count]} {phrase.plural} in the image?"


def _miscount(count: int, rng: random.Random) -> int:
    return rng.choice([other for other in (count - 1, count + 1) if 1 <= other <= 4])


def _countable(objects: Objects, rng: random.Random) -> tuple[Phrase, int]:
    """What can be counted; first a number is drawn, then a phrase with that number, so that large ones are common."""
    forms = (("shape",), ("color",), ("color", "shape"))
    counts = {phrase: len(phrase.among(objects)) for obj in objects for phrase in (Phrase.of(obj, f) for f in forms)}
    number = rng.choice(sorted(set(counts.values())))
    return rng.choice([phrase for phrase, count in counts.items() if count == number]), number


def _exactly(objects: Objects, rng: random.Random, truth: bool) -> str:
    phrase, count = _countable(objects, rng)
    return are_there_exactly(phrase, count if truth else _miscount(count, rng))


def _total(objects: Objects, rng: random.Random, truth: bool) -> str:
    return are_there_exactly(Phrase(), len(objects) if truth else _miscount(len(objects), rng))


def _relation(objects: Objects, rng: random.Random, truth: bool) -> str | None:
    named = uniquely_named(objects)
    if len(named) < 2:
        return None
    a, b = rng.sample(named, 2)
    fitting = [relation for relation in RELATIONS if holds(a, relation, b) == truth]
    if not fitting:
        return None
    return f"Is the {a.name} {rng.choice(fitting)} the {b.name}?"


def _is_color(objects: Objects, rng: random.Random, truth: bool) -> str | None:
    found = _identify(objects, rng, "color")
    if found is None:
        return None
    obj, phrase = found
    return f"Is the {phrase} {obj.color if truth else _lie(obj.color, COLORS, objects, 'color', rng)}?"


def _is_shape(objects: Objects, rng: random.Random, truth: bool) -> str | None:
    found = _identify(objects, rng, "shape")
    if found is None:
        return None
    obj, phrase = found
    return f"Is the {phrase} a {obj.shape if truth else _lie(obj.shape, SHAPES, objects, 'shape', rng)}?"


def _is_size(objects: Objects, rng: random.Random, truth: bool) -> str | None:
    found = _identify(objects, rng, "size")
    if found is None:
        return None
    obj, phrase = found
    return f"Is the {phrase} {obj.size if truth else _lie(obj.size, SIZES, objects, 'size', rng)}?"


def _is_at(objects: Objects, rng: random.Random, truth: bool) -> str | None:
    found = _identify(objects, rng, "place")
    if found is None:
        return None
    obj, phrase = found
    places = [place_of(obj)] if truth else [place for place in PLACES if place != place_of(obj)]
    return f"Is the {phrase} {PLACE_PHRASES[rng.choice(places)]}?"


def _same(objects: Objects, rng: random.Random, truth: bool) -> str | None:
    attribute = rng.choice(("color", "shape", "size"))
    form = {"color": ("shape",), "shape": ("color",), "size": ("color", "shape")}[attribute]
    single = [obj for obj in objects if len(Phrase.of(obj, form).among(objects)) == 1]
    pairs = [(a, b) for a, b in combinations(single, 2) if (getattr(a, attribute) == getattr(b, attribute)) == truth]
    if not pairs:
        return None
    a, b = (Phrase.of(obj, form) for obj in rng.choice(pairs))
    return f"Are the {a} and the {b} the same {attribute}?"


def _larger(objects: Objects, rng: random.Random, truth: bool) -> str | None:
    pairs = [
        (a, b)
        for a, b in permutations(uniquely_named(objects), 2)
        if (a.size == "large" and b.size == "small") == truth
    ]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    return f"Is the {a.name} larger than the {b.name}?"


def _more(objects: Objects, rng: random.Random, truth: bool) -> str | None:
    attribute, values = rng.choice((("shape", SHAPES), ("color", COLORS)))
    present = sorted({getattr(obj, attribute) for obj in objects})
    considered = [*present, rng.choice([value for value in values if value not in present])]
    counts = {value: sum(getattr(obj, attribute) == value for obj in objects) for value in considered}
    pairs = [(a, b) for a, b in permutations(considered, 2) if (counts[a] > counts[b]) == truth]
    first, second = (Phrase(**{attribute: value}) for value in rng.choice(pairs))
    return f"Are there more {first.plural} than {second.plural}?"


def _empty(objects: Objects, rng: random.Random, truth: bool) -> str:
    taken = {place_of(obj) for obj in objects}
    return f"Is it empty {PLACE_PHRASES[rng.choice([place for place in PLACES if (place not in taken) == truth])]}?"


def _sum(objects: Objects, rng: random.Random, truth: bool) -> str:
    one = rng.choice(objects).shape
    other = rng.choice([shape for shape in SHAPES if shape != one])
    total = sum(obj.shape in (one, other) for obj in objects)
    a, b = (Phrase(shape=shape).plural for shape in rng.sample((one, other), 2))
    value = total if truth else _miscount(total, rng)
    return f"Is the number of {a} plus the number of {b} equal to {value}?"


def _code(objects: Objects, rng: random.Random, truth: bool) -> str:
    shape = rng.choice((rng.choice(objects).shape, rng.choice(SHAPES)))
    count = sum(obj.shape == shape for obj in objects)
    operator, number = rng.choice("+*"), rng.randint(1, 3)
    value = count + number if operator == "+" else count * number
    if not truth:
        value += rng.choice((-1, 1)) if value > 0 else 1
    return f"Is the value of count('{shape}') {operator} {number} equal to {value}?"


def _french(objects: Objects, rng: random.Random, truth: bool) -> str | None:
    if rng.random() < 0.5:
        present = {obj.shape for obj in objects}
        fitting = [shape for shape in SHAPES if (shape in present) == truth]
        return f"Is there a '{FRENCH[rng.choice(fitting)]}' in the image?" if fitting else None
    found = _identify(objects, rng, "color")
    if found is None:
        return None
    obj, phrase = found
    color = obj.color if truth else _lie(obj.color, COLORS, objects, "color", rng)
    return f"Is the {phrase} '{FRENCH[color]}'?"


def _logical(objects: Objects, rng: random.Random, truth: bool) -> str | None:
    junction = rng.choice(("and", "or"))
    if truth == (junction == "and"):
        kinds = (truth, truth)
    else:
        kinds = rng.choice(((True, False), (False, True), (truth, truth)))
    a, b = (_present(objects, rng) if there else _absent(objects, rng) for there in kinds)
    if a is None or b is None or a == b:
        return None
    return f"Is there {with_article(str(a))} {junction} {with_article(str(b))} in the image?"


def _attribute(attribute: str) -> Callable[[Objects, random.Random], tuple[str, str] | None]:
    def asker(objects: Objects, rng: random.Random) -> tuple[str, str] | None:
        found = _identify(objects, rng, attribute)
        if found is None:
            return None
        return f"What {attribute} is the {found[1]}?", getattr(found[0], attribute)

    return asker


def _count(objects: Objects, rng: random.Random) -> tuple[str, str]:
    phrase, count = _countable(objects, rng) if rng.random() < 0.7 else (Phrase(), len(objects))
    return f"How many {phrase.plural} are in the image?", str(count)


def _place(objects: Objects, rng: random.Random) -> tuple[str, str] | None:
    found = _identify(objects, rng, "place")
    return (f"Where is the {found[1]}?", place_of(found[0])) if found else None


def _object(objects: Objects, rng: random.Random) -> tuple[str, str]:
    obj = rng.choice(objects)
    return f"What is {PLACE_PHRASES[place_of(obj)]}?", obj.name


def _beside(objects: Objects, rng: random.Random) -> tuple[str, str] | None:
    fitting = []
    for b in uniquely_named(objects):
        for relation in RELATIONS:
            names = {a.name for a in objects if holds(a, relation, b)}
            if len(names) == 1:
                fitting.append((f"What is {relation} the {b.name}?", names.pop()))
    return rng.choice(fitting) if fitting else None


def _choose(objects: Objects, rng: random.Random) -> tuple[str, str] | None:
    attribute = rng.choice(("color", "shape", "size", "relation"))
    named = uniquely_named(objects)
    if attribute == "relation" and len(named) > 1:
        a, b = rng.sample(named, 2)
        relation = main_relation(a, b)
        ways = "left or right of" if relation in ("left of", "right of") else "above or below"
        return f"Is the {a.name} {ways} the {b.name}?", relation.removesuffix(" of")
    if attribute == "relation":
        return None
    found = _identify(objects, rng, attribute)
    if found is None:
        return None
    obj, phrase = found
    values: Sequence[str] = {"color": COLORS, "shape": SHAPES, "size": SIZES}[attribute]
    true = str(getattr(obj, attribute))
    words = rng.sample((true, _lie(true, values, objects, attribute, rng)), 2)
    if attribute == "shape":
        words = [with_article(word) for word in words]
    return f"Is the {phrase} {words[0]} or {words[1]}?", true


YES_NO_ASKERS: dict[str, Callable[[Objects, random.Random, bool], str | None]] = {
    "exists": _exists,
    "exactly": _exactly,
    "relation": _relation,
    "is_color": _is_color,
    "is_shape": _is_shape,
    "is_size": _is_size,
    "is_at": _is_at,
    "same": _same,
    "larger": _larger,
    "more": _more,
    "empty": _empty,
    "total": _total,
    "sum": _sum,
    "french": _french,
    "code": _code,
    "logical": _logical,
}
OPEN_ASKERS: dict[str, Callable[[Objects, random.Random], tuple[str, str] | None]] = {
    "color": _attribute("color"),
    "shape": _attribute("shape"),
    "size": _attribute("size"),
    "count": _count,
    "place": _place,
    "object": _object,
    "beside": _beside,
    "choose": _choose,
}
