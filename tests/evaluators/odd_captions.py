"""Captions with all that a tokenizer may trip over, drawn from a seed: a grammar of plain captions with odd parts."""

import random
from collections import defaultdict
from collections.abc import Iterator

PARTS = r"""
nouns: man ¦ woman ¦ dog ¦ boy ¦ girl ¦ cat ¦ horse ¦ street ¦ beach ¦ bench ¦ bicycle ¦ guitar ¦ crowd ¦ player ¦ child
verbs: is riding ¦ stands near ¦ sits on ¦ walks past ¦ looks at ¦ is holding ¦ jumps over ¦ plays with ¦ leans against
names: Mr. Smith ¦ Mrs. Jones ¦ Dr. Who ¦ Ms. Lee ¦ John Jr. ¦ Sgt. Pepper ¦ O'Brien ¦ J. K. Rowling ¦ D'Angelo
names: Mr. T ¦ Prof. X
places: the U.S. ¦ Washington D.C. ¦ St. Louis ¦ Main St. ¦ 5th Ave. ¦ New York ¦ L.A. ¦ Mt. Fuji ¦ Fifth Avenue
places: the lake
possessives: man's ¦ dogs' ¦ boy's ¦ children's ¦ James's ¦ women’s ¦ Jones' ¦ someone's ¦ the 1990s' ¦ player’s
possessives: cats’
verb_forms: can't ¦ cannot ¦ won't ¦ isn't ¦ doesn't ¦ don’t ¦ they're ¦ he's ¦ she'll ¦ it's ¦ I'm ¦ we've ¦ you'd
verb_forms: gonna ¦ wanna ¦ gotta ¦ gimme ¦ lemme ¦ couldn't ¦ ain't ¦ that'd ¦ who's ¦ y'all ¦ 'tis ¦ 'twas
verb_forms: o'clock ¦ ma'am ¦ let's ¦ rock 'n' roll ¦ dunno ¦ needn't
hyphens: T-shirt ¦ 2-year-old ¦ black-and-white ¦ tie-dyed ¦ well-known ¦ x-ray ¦ U-turn ¦ jack-o'-lantern
hyphens: 30-foot ¦ e-mail ¦ mother-in-law ¦ twenty-one ¦ half-pipe ¦ 3-D ¦ t-ball ¦ post-9/11 ¦ semi- ¦ -like
hyphens: full- and part-time ¦ A-frame ¦ 7-Eleven ¦ x‑ray ¦ 2‐year‐old ¦ 3-D's
numbers: 3 ¦ 12 ¦ 1,000 ¦ 3.5 ¦ 1/2 ¦ 12 1/2 ¦ 0.75 ¦ .5 ¦ 1st ¦ 2nd ¦ 23rd ¦ 4th ¦ 1980s ¦ '80s ¦ 1,234,567.89
numbers: 10:30 ¦ 5:00 ¦ 7% ¦ 50 % ¦ #1 ¦ #23 ¦ No. 10 ¦ no. 5 ¦ Nos. 3 ¦ $5 ¦ $1.50 ¦ US$20 ¦ £3 ¦ €7 ¦ ¥100 ¦ 5¢
numbers: 3ft ¦ 6'2" ¦ 5 ft. ¦ 10 lbs. ¦ 60 mph ¦ 3x4 ¦ 2x ¦ 25-30 ¦ 1-800-555-1234 ¦ +44 20 7946 0958 ¦ 555-1234
numbers: 1999-2000 ¦ 12/25/2012 ¦ 3-4-5 ¦ 5'10 ¦ 100th ¦ 9/11 ¦ 24/7 ¦ 3,5 ¦ 1.2.3 ¦ 10,00 ¦ 007 ¦ ½ ¦ ¼ ¦ 3¾ ¦ 2½
numbers: ⅓ ¦ 5–6 ¦ 10—12
web: www.example.com ¦ http://flickr.com/photos ¦ Https://A.org/b ¦ flickr.com ¦ a@b.org ¦ @user ¦ #beach
web: example.co.uk ¦ file.jpg ¦ Yahoo! ¦ C++ ¦ C# ¦ AT&T ¦ R&B ¦ B&W ¦ A&E ¦ Q&A ¦ H&M ¦ rock & roll ¦ &amp;
web: &lt;b&gt; ¦ <b> ¦ </i> ¦ &quot;hi&quot; ¦ .com ¦ readme.txt ¦ Ph.D. ¦ b.c.
slashes: and/or ¦ w/ ¦ w/o ¦ his/her ¦ red/white/blue ¦ black/white ¦ c/o ¦ he/she ¦ a/b ¦ 1/2/3 ¦ / ¦ \ ¦ | ¦ n/a
slashes: 24/7/365
foreign: café ¦ naïve ¦ São Paulo ¦ Zürich ¦ jalapeño ¦ piñata ¦ crêpe ¦ 東京 ¦ 犬が走る ¦ собака ¦ Ωmega ¦ ﬁsh ¦ Ærø
foreign: smörgåsbord ¦ éclair ¦ 한국 ¦ مرحبا ¦ déjà vu ¦ Beyoncé's ¦ l'été ¦ d’Orsay ¦ aujourd'hui ¦ © ¦ ® ¦ ™ ¦ °
foreign: 5° ¦ № ¦ § ¦ • ¦ → ¦ ★ ¦ ♥ ¦ ½ ¦ × ¦ ÷ ¦ ² ¦ µ ¦ ª
emoji: 😀 ¦ 🐶🐱 ¦ ❤️ ¦ 👍🏽 ¦ :) ¦ :-( ¦ ;) ¦ :D ¦ =) ¦ :P ¦ <3 ¦ ^_^ ¦ (-: ¦ :'(
abbreviations: e.g. ¦ i.e. ¦ etc. ¦ vs. ¦ a.m. ¦ p.m. ¦ A.M. ¦ approx. ¦ est. ¦ Inc. ¦ Co. ¦ Ltd. ¦ Corp. ¦ Jan.
abbreviations: Feb. 3 ¦ Sept. ¦ Fig. 2 ¦ St. ¦ Ave. ¦ U.K. ¦ U.S.A. ¦ Ph.D ¦ M.D. ¦ B.C. ¦ R.I.P. ¦ N.Y. ¦ Gov.
abbreviations: Sen. ¦ Rev. ¦ ft. ¦ in. ¦ oz. ¦ No. ¦ vol. ¦ p. ¦ pp. 3 ¦ Jr. ¦ Sr. ¦ Bros. ¦ dept.
letters: A ¦ B ¦ C ¦ D ¦ E ¦ F ¦ G ¦ I ¦ J ¦ K ¦ L ¦ M ¦ N ¦ O ¦ P ¦ R ¦ S ¦ T ¦ U ¦ V ¦ W ¦ X ¦ Y ¦ Z ¦ a ¦ b ¦ c
shouts: STOP ¦ NASA ¦ WWII ¦ TV ¦ DVDs ¦ iPhone ¦ McDonald's ¦ PhD ¦ OK ¦ O.K. ¦ ok. ¦ USA ¦ NYC ¦ MLB ¦ CD's ¦ A's
shouts: 1990's ¦ B-52 ¦ F-16 ¦ MP3 ¦ 4x4
misc: hmm ¦ uh-oh ¦ ha-ha ¦ etc ¦ 'cause ¦ 'em ¦ 'til ¦ somethin' ¦ runnin' ¦ ol' ¦ 'n ¦ o'er ¦ goin' ¦ nat'l
misc: c'mon ¦ ne'er ¦ rock'n'roll ¦ -- ¦ --- ¦ - ¦ * ¦ ** ¦ *** ¦ ~ ¦ ^ ¦ + ¦ = ¦ > ¦ < ¦ >> ¦ @ ¦ # ¦ % ¦ & ¦ _
misc: __ ¦ `` ¦ '' ¦ ' ¦ " ¦ … ¦ .. ¦ . . . ¦ ! ¦ ? ¦ $ ¦ $$ ¦ \/ ¦ // ¦ :// ¦ 's ¦ n't ¦ s' ¦ ”’ ¦ “‘ ¦ ’s ¦ ‘’
misc: «x» ¦ ‹y› ¦ \*
"""
ENDS = [".", ".", ".", "", "!", "?", "...", " .", "..", "?!", "!!!", " ...", "…", ";", ",", ":", ".)", '."', "—", "-"]
JOINTS = [", ", " and ", " - ", " -- ", "--", "; ", ": ", " – ", "—", "... ", " / ", ", ", " & ", "…", ". ", " \u00a0"]
QUOTES = [
    '"{}"',
    "'{}'",
    "“{}”",
    "‘{}’",
    "``{}''",
    "({})",
    "[{}]",
    "{{{}}}",
    "( {} )",
    '" {} "',
    "`{}'",
    "«{}»",
    "*{}*",
    "_{}_",
]


def _parts() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for line in PARTS.strip().splitlines():
        name, _, parts = line.partition(": ")
        found[name] += parts.split(" ¦ ")
    return found


PLAIN = _parts()
ODD = [parts for name, parts in PLAIN.items() if name not in ("nouns", "verbs")]


def captions(seed: int, count: int) -> Iterator[str]:
    """``count`` captions, none of them with a line break."""
    rng = random.Random(seed)
    for _ in range(count):
        yield _caption(rng)


def _caption(rng: random.Random) -> str:
    clauses = [_clause(rng) for _ in range(rng.choice((1, 1, 1, 2)))]
    text = clauses[0] + "".join(rng.choice(JOINTS) + clause for clause in clauses[1:]) + rng.choice(ENDS)
    return text[0].upper() + text[1:] if rng.random() < 0.5 else text


def _clause(rng: random.Random) -> str:
    words = [rng.choice(("a", "the", "two", "an old", "his")), rng.choice(PLAIN["nouns"]), rng.choice(PLAIN["verbs"])]
    words += [rng.choice(("a", "the", "some", "her")), rng.choice(PLAIN["nouns"])]
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        odd = rng.choice(rng.choice(ODD))
        if rng.random() < 0.15:
            odd = rng.choice(QUOTES).format(odd)
        if rng.random() < 0.1:
            odd += rng.choice((",", ".", "'s", "'", "-", ";", "!", "?", "’s", ":", ")"))
        words.insert(rng.randrange(len(words) + 1), odd)
    return " ".join(words)
