"""Where the parts of a SEED-X checkpoint lie: in its folder, beside it, or on the hub; loads no weights.

Source: AILab-CVC/SEED-X commit 420d347, README.md, which names the folders of ``pretrained/`` and the hub's places.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hermes.harness.models.seedx.prompting import Style
from hermes.harness.models.source import Source, folder_of, parse_source, source_of
from hermes.harness.models.trained import WEIGHTS, checkpoint_folder
from hermes.harness.system.errors import HermesError

NAME = "seedx"
PUBLISHED, EYE, PAINTER = "AILab-CVC/SEED-X-17B", "Qwen/Qwen-VL-Chat", "stabilityai/stable-diffusion-xl-base-1.0"
VARIANTS = ("seed_x_i", "seed_x_sft_comp_i", "seed_x", "seed_x_edit")
LLM, AGENT = "llm", "agent"
VISION = ("qwen_vit_G", "QwenViT", "Qwen-VL-Chat")
STAGES = {
    1: ("detokenizer_first_stage", "seed_detokenizer/first_stage"),
    2: ("detokenizer_second_stage", "seed_detokenizer/second_stage"),
}
SDXL = ("sdxl", "stable-diffusion-xl-base-1.0")
WORDS = ("tokenizer", "cvlm_llama2_tokenizer_100img_and_224loc_addpatch", LLM, "")
SDXL_FILES = ("*/config.json", "scheduler/*.json", "vae/diffusion_pytorch_model.safetensors")


@dataclass(frozen=True)
class Places:
    """Files or folders of all parts. ``second`` is None where nothing holds stage 2 of the detokeniser."""

    home: Path
    llm: Path
    agent: Path
    vision: Path
    words: Path
    first: Path
    second: Path | None
    sdxl: Path


def find(reference: str) -> Source:
    """The source of the LLM and what is trained with it.

    ``seedx`` alone is SEED-X-I of the hub. A folder or repository with several variants stands for SEED-X-I, too;
    FOLDER/VARIANT or OWNER/NAME/VARIANT names another. Raises HermesError for what cannot be one.
    """
    where = PUBLISHED if reference == NAME else reference.removeprefix(f"{NAME}:")
    folder = Path(where).expanduser()
    if where and folder.is_dir():
        if home := home_of(folder):
            return Source(str(home), None, local=True, given=str(folder))
        return source_of(reference, NAME)
    repository, at, revision = where.partition("@")
    owner, _, rest = repository.partition("/")
    name, _, variant = rest.partition("/")
    source = parse_source(f"{owner}/{name}{at}{revision}" if variant else where, f"model {NAME}", NAME)
    variant = variant or (VARIANTS[0] if source.name.lower() == PUBLISHED.lower() else "")
    if not variant:
        return source
    kept = (f"{variant}/*", f"{STAGES[1][1]}/*", *([f"{STAGES[2][1]}/*"] if _edits(variant) else []), f"{WORDS[1]}/*")
    return source._replace(only=kept)


def home_of(folder: Path) -> Path | None:
    """The folder of the LLM in a SEED-X folder, that of SEED-X-I where it holds several; None where it is none."""
    folder = checkpoint_folder(folder)
    inner = [*(folder / name for name in VARIANTS), *sorted(path for path in folder.iterdir() if path.is_dir())]
    return next((path for path in (folder, *inner) if _is_home(path)), None)


def style_of(source: Source) -> Style:
    """What a variant was trained for, as far as its name tells; SEED-X-I where it does not."""
    name = (source.only[0].partition("/")[0] if source.only else Path(source.name).name).lower()
    if _edits(name):
        return "edit"
    return "base" if name == "seed_x" or "pretrain" in name else "instruct"


def title_of(source: Source) -> str:
    """What the model is called: a variant after what it is a variant of."""
    home = Path(source.name)
    if source.local and home.name in VARIANTS:
        return f"{home.resolve().parent.name}/{home.name}"
    return f"{source.title}/{source.only[0].partition('/')[0]}" if source.only else source.title


def beside(source: Source) -> list[Source]:
    """The folders of weights that lie outside of a local checkpoint's own, without those that are read in part."""
    home = Path(source.name)
    stages = (*STAGES[1], *STAGES[2]) if style_of(source) == "edit" else STAGES[1]
    names = (*VISION[:2], *stages) if source.local else ()
    found = [place / name for name in names for place in _around(home)[1:] if (place / name).is_dir()]
    return [Source(str(path), None, local=True) for path in found]


def fetched_home(source: Source) -> Path:
    """The folder of the LLM, downloaded where it is the hub's. Raises HermesError where it lacks one of its parts."""
    folder = folder_of(source)
    home = folder / source.only[0].partition("/")[0] if source.only else folder
    lost = [
        name for name, there in ((AGENT, part(home, AGENT)), (LLM, (home / LLM / "config.json").is_file())) if not there
    ]
    if lost:
        raise HermesError(f"model {NAME}: {home} lacks its {lost[0]}; download the checkpoint completely")
    return home


def places_of(home: Path, style: Style) -> Places:
    """All parts, downloaded where they are the hub's. Raises HermesError for one that is nowhere."""
    words = _near(home, WORDS, holding="tokenizer.model")
    vision, sdxl = _near(home, VISION), _near(home, SDXL)
    first, second = (_near(home, STAGES[number]) for number in STAGES)
    if second is None and style == "edit":
        second = _fetched(PUBLISHED, (f"{STAGES[2][1]}/*",), home / STAGES[2][0]) / STAGES[2][1]
    return Places(
        home=home,
        llm=home / LLM,
        agent=part(home, AGENT) or home / AGENT,
        vision=vision or _fetched(EYE, (), home / VISION[1]),
        words=words or _fetched(PUBLISHED, (f"{WORDS[1]}/*",), home / WORDS[0]) / WORDS[1],
        first=first or _fetched(PUBLISHED, (f"{STAGES[1][1]}/*",), home / STAGES[1][0]) / STAGES[1][1],
        second=second,
        sdxl=sdxl or _fetched(PAINTER, SDXL_FILES, home / SDXL[0]),
    )


def part(folder: Path, name: str) -> Path | None:
    """A folder of that name, or a file of weights."""
    if (folder / name).is_dir():
        return folder / name
    return next((path for suffix in WEIGHTS if (path := folder / f"{name}{suffix}").is_file()), None)


def _is_home(folder: Path) -> bool:
    parts = (AGENT, VISION[0], VISION[1], *STAGES[1])
    return (folder / LLM / "config.json").is_file() and any(part(folder, name) for name in parts)


def _edits(name: str) -> bool:
    return "edit" in name


def _around(home: Path) -> list[Path]:
    """The checkpoint's folder, that of its variants, and the one that this lies in."""
    home = home.absolute()
    return [home, home.parent, home.parent.parent]


def _near(home: Path, names: Sequence[str], holding: str | None = None) -> Path | None:
    found = (part(place, name) if name else place for place in _around(home) for name in names)
    return next((path for path in found if path and (holding is None or (path / holding).is_file())), None)


def _fetched(repository: str, only: tuple[str, ...], instead: Path) -> Path:
    try:
        return folder_of(Source(repository, None, local=False, only=only))
    except HermesError as error:
        raise HermesError(f"{error} the name {instead}") from None
