"""The viewer's pages in a real browser, from the disk and from a server: filters, links, keys, hostile texts, sizes."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from browsing import BROWSER, PATIENCE, serving, visiting
from made_site import HOSTILE, RTL, SEVERAL, UNJUDGED, site

playwright = pytest.importorskip("playwright.sync_api")
playwright.expect.set_options(timeout=PATIENCE)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on the PATH")

BIG = 50_000
RUN, PLAY = "hermes-tiny~1", "hermes-tiny.align-4b63"
POPE = f"#/run/{RUN}/pope"
AUDIT = (Path(__file__).parent / "audit.js").read_text(encoding="utf-8")
ADDRESSES = (
    "#/",
    f"#/run/{RUN}",
    "#/run/none~1",
    "#/run/empty~1",
    "#/run/empty~1/pope",
    f"#/run/{RUN}/vqav2",
    POPE,
    *(f"{POPE}/{row}" for row in (1, 2, 3, 4, 9, 28)),
    f"{POPE}?find=nothing+like+this",
    f"#/run/{RUN}/*?is=error",
    f"#/run/{RUN}/mmmu/2",
    f"#/run/{RUN}/flickr30k/1",
    f"#/run/{RUN}/geneval/11",
    f"#/run/{RUN}/dpg_bench/6",
    f"#/run/{RUN}/homologous",
    f"#/run/{RUN}/homologous/1",
    f"#/run/{RUN}/homologous/{SEVERAL}",
    f"#/play/{PLAY}",
    f"#/play/{PLAY}/items?sort=rose",
    f"#/play/{PLAY}/items/2",
    f"#/play/{PLAY}/items/{SEVERAL}",
    f"#/play/{PLAY}/pairs/1",
    f"#/play/{PLAY}/pairs/1/2",
    "#/play/bare",
    "#/run/of-another-folder",
)
Visit = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site(tmp_path_factory.mktemp("pages") / "site", big=BIG).parent


@pytest.fixture(params=["file", "http"])
def visit(request: pytest.FixtureRequest, chrome: Any, folder: Path) -> Iterator[Visit]:
    """Opens an address of the site as it lies on the disk, and as it is served."""
    if request.param == "file":
        yield lambda where, **how: visiting(chrome, (folder / "index.html").as_uri() + where, **how)
    else:
        with serving(folder) as address:
            yield lambda where, **how: visiting(chrome, address + where, **how)


@pytest.fixture
def from_disk(chrome: Any, folder: Path) -> Visit:
    return lambda where, **how: visiting(chrome, (folder / "index.html").as_uri() + where, **how)


def rows(folder: Path, task: str = "pope") -> list[dict[str, Any]]:
    """The samples of a task as the list knows them."""
    text = (folder / "data" / "runs" / RUN / task / "rows.js").read_text(encoding="utf-8")
    columns = json.loads(text[text.index("{") : text.rindex("}") + 1])
    names = [name for name, values in columns.items() if isinstance(values, list)]
    return [dict(zip(names, values, strict=True)) for values in zip(*(columns[name] for name in names), strict=True)]


def expect(page: Any, where: str) -> Any:
    return playwright.expect(page.locator(where))


def choice(page: Any, name: str) -> Any:
    return page.get_by_role("combobox", name=name, exact=True)


def test_filters_combine_and_say_how_many_fit(visit: Visit, folder: Path) -> None:
    samples = rows(folder)
    with visit(POPE) as page:
        expect(page, ".found").to_have_text(f"{len(samples)} samples")
        page.get_by_role("button", name="Wrong").click()
        page.get_by_role("button", name="Unparsed").click()
        choice(page, "Category").select_option("existence")
        page.get_by_role("searchbox").fill("RED circle")
        wanted = [
            one
            for one in samples
            if one["category"] == "existence" and "red circle" in one["prompt"] and one["status"] != "error"
            if one["status"] == "unparsed" or one["right"] == 0
        ]
        assert 0 < len(wanted) < len(samples)
        expect(page, ".found").to_have_text(f"{len(wanted)} of {len(samples)} samples")
        expect(page, ".row .c1 > bdi").to_have_text([one["id"] for one in wanted][:10])
        page.get_by_role("button", name="Cut").click()
        expect(page, ".found").to_have_text(f"{sum(one['cut'] for one in wanted)} of {len(samples)} samples")
        page.get_by_role("button", name="Clear filters").click()
        expect(page, ".found").to_have_text(f"{len(samples)} samples")


def test_a_count_beside_an_option_is_what_choosing_it_leaves(from_disk: Visit, folder: Path) -> None:
    with from_disk(f"{POPE}?category=count") as page:
        chip = page.get_by_role("button", name="Wrong")
        promised = chip.locator(".count").inner_text()
        chip.click()
        expect(page, ".found").to_have_text(f"{promised} of {len(rows(folder))} samples")


def test_samples_are_sorted_with_those_without_a_value_last(from_disk: Visit, folder: Path) -> None:
    with from_disk(f"{POPE}?sort=high") as page:
        expect(page, ".row .c5 >> nth=0").to_have_text("1")
        page.locator(".scroll").evaluate("(list) => list.scrollTo(0, list.scrollHeight)")
        expect(page, ".row .c5 >> nth=-1").to_have_text("–")
        choice(page, "Order").select_option("long")
        longest = max(rows(folder), key=lambda one: len(one["answer"]))
        expect(page, ".row .c4 >> nth=0").to_have_text(longest["answer"])


@pytest.mark.parametrize("page_of", ["homologous", "homologous-u"])
def test_items_are_chosen_by_which_side_is_right(from_disk: Visit, page_of: str) -> None:
    with from_disk(f"#/run/{RUN}/{page_of}?sides=u") as page:
        many = 16 * (3 if page_of == "homologous-u" else 1)  # Of 30 items, U is right on 24, G on 10; both on 8.
        expect(page, ".found").to_have_text(f"{many} of {30 * many // 16} {'samples' if many > 16 else 'items'}")
        choice(page, "U and G").select_option("g")
        expect(page, ".found").to_contain_text(f"{many // 8} of")


def test_a_link_holds_filters_order_and_the_open_sample(visit: Visit) -> None:
    with visit(f"{POPE}/77?is=wrong,unparsed&category=count&sort=high&find=maybe") as page:
        for _ in range(2):
            expect(page, ".sample h1").to_have_text("count/00077.png")
            expect(page, ".row[aria-current] .c1 > bdi").to_have_text("count/00077.png")
            expect(page, ".place").to_have_text("3 of 9")
            page.get_by_text("Filters and order").click()
            expect(page, ".search input").to_have_value("maybe")
            expect(page, "button[aria-pressed=true]:visible").to_have_count(2)
            assert choice(page, "Category").input_value() == "count"
            assert choice(page, "Order").input_value() == "high"
            page.reload()
        page.get_by_role("button", name="Back to the list").click()
        expect(page, ".split").to_have_count(0)
        page.go_back()
        expect(page, ".sample h1").to_have_text("count/00077.png")


def test_keys(visit: Visit) -> None:
    with visit(f"{POPE}?is=wrong") as page:
        title = page.locator(".sample h1")
        expect(page, ".found").to_contain_text("33 of 260")
        for key, shown in (
            ("j", "color/00007"),
            ("ArrowDown", "position/00014"),
            ("k", "color/00007"),
            ("j", "position/00014"),
            ("ArrowUp", "color/00007"),
        ):
            page.keyboard.press(key)
            playwright.expect(title).to_have_text(f"{shown}.png")
        page.keyboard.press("?")
        expect(page, "dialog[open]").to_contain_text("Keyboard")
        page.keyboard.press("Escape")
        expect(page, "dialog[open]").to_have_count(0)
        page.keyboard.press("/")
        expect(page, ".search input").to_be_focused()
        page.keyboard.type("jk?")
        expect(page, ".found").to_contain_text("0 of 260")
        playwright.expect(title).to_have_text("color/00007.png")
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        expect(page, ".split").to_have_count(0)
        page.keyboard.press("Escape")
        expect(page, "main h1").to_have_text("hermes-tiny")
        page.keyboard.press("Escape")
        expect(page, "main h1").to_have_text("All runs")


def test_what_models_and_files_say_stays_text(visit: Visit) -> None:
    shown_in = {
        f"{POPE}/1": ".compared",
        f"#/run/{RUN}/dpg_bench/1": ".sample",
        f"#/run/{RUN}/homologous/1": ".sample",
        f"#/play/{PLAY}/pairs/1/2": ".duel >> nth=0",
        "#/run/empty~1": "h1",
    }
    with visit("") as page:
        expect(page, "tr.group >> nth=1").to_contain_text(HOSTILE)
        for where, place in shown_in.items():
            page.evaluate("(hash) => { location.hash = hash; }", where)
            expect(page, place).to_contain_text(HOSTILE)
        assert "owned" not in page.title().replace(HOSTILE, "")
        assert page.locator("img[src=x]").count() == 0


def test_text_from_right_to_left_touches_nothing_around_it(from_disk: Visit) -> None:
    with from_disk(f"{POPE}/2") as page:
        answer = page.locator(".compared .text", has_text=RTL)
        assert answer.evaluate("(node) => [getComputedStyle(node).direction, getComputedStyle(node).unicodeBidi]") == [
            "rtl",
            "isolate",
        ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_can_be_read(from_disk: Visit, width: int, scheme: str) -> None:
    """Nothing is wider than the window, all text stands out from its ground, all that can be pressed has a name."""
    found = {}
    with from_disk("", width=width, scheme=scheme) as page:
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
        for where in ADDRESSES:
            page.evaluate(GO, where)
            page.wait_for_function(READY)
            found[where] = page.evaluate(AUDIT)
    assert {where: problems for where, problems in found.items() if problems} == {}


# Goes to an address; it is ready when the page is that of the address, and what is open in it has been drawn.
GO = """(hash) => new Promise((done) => {
    window.addEventListener("hashchange", () => done(), { once: true });
    window.location.hash = hash;
})"""
READY = """() => {
    const pane = document.querySelector(".split .pane");
    return document.querySelector("main[aria-busy=false]") && (!pane || pane.querySelector(".sample"));
}"""


def test_on_a_phone_the_first_column_stays_and_the_score_is_in_sight(from_disk: Visit) -> None:
    with from_disk(f"#/run/{RUN}", width=390) as page:
        table, name = page.locator(".wide >> nth=0"), page.locator("tbody th[scope=row] >> nth=0")
        score = page.locator("tbody td.number >> nth=0").bounding_box()
        assert score["x"] + score["width"] <= 390
        before = name.bounding_box()
        table.evaluate("(node) => node.scrollTo(200, 0)")
        assert name.bounding_box() == before
        assert page.locator("tbody td.number >> nth=0").bounding_box()["x"] < score["x"]


def test_on_a_phone_list_and_sample_come_one_after_the_other(from_disk: Visit) -> None:
    with from_disk(POPE, width=390) as page:
        page.locator(".row >> nth=3").click()
        expect(page, ".sample").to_be_visible()
        expect(page, ".side").to_be_hidden()
        page.get_by_role("button", name="Back to the list").click()
        expect(page, ".side").to_be_visible()
        expect(page, ".opened").to_be_hidden()


def worked(page: Any) -> Callable[[], float]:
    """Tells the seconds of processor time that a page has worked so far: those of a loaded machine do not count."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def told() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    return told


def test_fifty_thousand_samples_open_and_scroll(visit: Visit) -> None:
    with visit(f"#/run/{RUN}") as page:
        spent = worked(page)
        before = spent()
        page.evaluate("(hash) => { location.hash = hash; }", f"#/run/{RUN}/big")
        expect(page, ".found").to_have_text("50,000 samples")
        expect(page, ".row >> nth=0").to_be_visible()
        assert 0.01 < spent() - before < 3
        rendered = page.evaluate(
            """async () => {
                const list = document.querySelector(".scroll"), seen = [];
                for (let step = 0; step <= 24; step += 1) {
                    list.scrollTop = list.scrollHeight * step / 24;
                    await new Promise(requestAnimationFrame);
                    await new Promise(requestAnimationFrame);
                    seen.push(list.querySelectorAll(".row").length);
                }
                return seen;
            }"""
        )
        assert 0 < min(rendered) <= max(rendered) < 40
        expect(page, ".row .c1 > bdi >> nth=-1").to_have_text("color/49999.png")
        page.locator(".row >> nth=-1").click()
        expect(page, ".sample h1").to_have_text("color/49999.png")
        before = spent()
        page.get_by_role("searchbox").fill("49999")
        expect(page, ".found").to_have_text("1 of 50,000 samples")
        assert spent() - before < 1


def test_small_pictures_are_enlarged_by_a_whole_factor_and_detections_lie_on_them(from_disk: Visit) -> None:
    with from_disk(f"#/run/{RUN}/geneval/2") as page:
        picture, box = page.locator(".frame img"), page.locator(".boxes rect:not(.halo)").nth(1)
        assert picture.evaluate("(node) => [node.naturalWidth, node.width, getComputedStyle(node).imageRendering]") == [
            48,
            384,
            "pixelated",
        ]
        frame, drawn = picture.bounding_box(), box.bounding_box()
        assert (drawn["x"] - frame["x"]) / 384 == pytest.approx(0.35, abs=0.01)
        assert (drawn["y"] - frame["y"]) / 384 == pytest.approx(0.2, abs=0.01)
        assert page.locator(".boxes").get_attribute("aria-label") == "Detected: red circle, green square"


def test_where_the_two_sides_differ_stands_out(from_disk: Visit) -> None:
    with from_disk(f"#/run/{RUN}/homologous/2") as page:
        expect(page, ".sample figure img").to_have_count(2)
        expect(page, "tr.differ th").to_contain_text(["What color", "How many"])
        expect(page, "tbody tr:not(.differ) th").to_have_text("Where is the circle?")
        expect(page, ".head .tag").to_have_text("2 questions of 3 right on one side only")
    for item, said in ((3, ["alike on both sides"]), (UNJUDGED, [])):
        with from_disk(f"#/run/{RUN}/homologous/{item}") as page:
            expect(page, ".sample h1").to_have_text(f"{item:04d}")
            expect(page, ".head .tag").to_have_text(said)


def test_items_over_rounds_stand_in_one_row_those_first_that_rose_most(from_disk: Visit) -> None:
    with from_disk(f"#/play/{PLAY}/items?sort=rose") as page:
        expect(page, ".row .c4 >> nth=0").to_have_text("▲ +0.667")
        choice(page, "Order").select_option("fell")
        expect(page, ".row .c4 >> nth=0").to_contain_text("▼")
        page.locator(".row >> nth=0").click()
        expect(page, ".strip figure .name").to_have_text(["Real picture", "Base", "Round 1", "Round 2", "Round 3"])


def test_each_picture_of_several_has_its_own_score_plan_and_answers(from_disk: Visit) -> None:
    with from_disk(f"#/run/{RUN}/homologous/{SEVERAL}") as page:
        expect(page, ".sample figcaption").to_contain_text(["U ", "G 0.667", "G 1.000", "G 0.000"])
        expect(page, "figcaption .plan").to_have_count(3)
        expect(page, "thead th >> nth=-1").to_have_text("Drawn picture 3 (G)")
        expect(page, "tbody tr >> nth=1 >> td .mark").to_have_text(["✓Right", "✓Right", "✓Right", "✗Wrong"])
    with from_disk(f"#/play/{PLAY}/items/{SEVERAL}") as page:
        expect(page, ".strip figure").to_have_count(1 + 4 * 3)
        heads = [f"{name}, {place}" for name in ("Base", "Round 1", "Round 2", "Round 3") for place in (1, 2, 3)]
        expect(page, "section >> nth=1 >> thead th").to_have_text(["Question", "Gold", *heads])


def test_a_run_in_progress_is_followed(chrome: Any, folder: Path, tmp_path: Path) -> None:
    """The index and the rows are asked for again; what has come in is there, and the open sample stays."""
    copy = tmp_path / "site"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("big"))
    index, columns = copy / "data" / "index.js", copy / "data" / "runs" / RUN / "pope" / "rows.js"
    running = (
        index.read_text().replace('"live": false', '"live": true').replace('"running": false', '"running": true', 1)
    )
    with serving(copy) as address, visiting(chrome, "about:blank") as page:
        index.write_text(running)
        whole = columns.read_text()
        columns.write_text(_some(whole, slice(100)))
        page.clock.install()
        page.goto(f"{address}{POPE}/5")
        expect(page, ".found").to_have_text("100 samples")
        expect(page, "#live").to_be_visible()
        columns.write_text(whole)
        page.clock.run_for(5000)
        expect(page, ".found").to_have_text("260 samples")
        expect(page, ".sample h1").to_have_text("count/00005.png")
        page.evaluate("location.hash = '#/'")
        expect(page, "main h1").to_have_text("All runs")
        index.write_text(running.replace("a6534fb7c7be", "0123456789ab"))
        page.clock.run_for(5000)
        expect(page, "table >> nth=0").to_contain_text("0123456789ab")


def test_answers_that_come_in_between_move_no_sample_to_another(chrome: Any, folder: Path, tmp_path: Path) -> None:
    """The list lacks the first sample when it is asked for, the chunk that is opened later has it."""
    copy = tmp_path / "site"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("big"))
    index, home = copy / "data" / "index.js", copy / "data" / "runs" / RUN / "pope"
    running = index.read_text().replace('"live": false', '"live": true')
    index.write_text(running.replace('"running": false', '"running": true', 1))
    whole = {path: path.read_text() for path in home.iterdir()}
    for path, text in whole.items():
        path.write_text(_some(text, slice(1, None)))
    wanted = rows(folder)[206]["id"]
    with serving(copy) as address, visiting(chrome, "about:blank") as page:
        page.clock.install()
        page.goto(f"{address}{POPE}")
        expect(page, ".found").to_have_text("259 samples")
        for path, text in whole.items():
            path.write_text(text)
        page.evaluate("(hash) => { location.hash = hash; }", f"{POPE}/205")
        expect(page, ".sample h1").to_have_text(wanted)
        page.clock.run_for(5000)
        expect(page, ".found").to_have_text("260 samples")
        expect(page, ".sample h1").to_have_text(wanted)
        assert page.evaluate("location.hash") == f"{POPE}/206"


def _some(text: str, part: slice) -> str:
    """A file of columns, or of whole rows, with some of them."""
    begin, end = text.index("{"), text.rindex("}") + 1
    content = json.loads(text[begin:end])
    short = {name: values[part] if isinstance(values, list) else values for name, values in content.items()}
    if "id" in short:
        short["n"] = len(short["id"])
    return text[:begin] + json.dumps(short).replace("<", "\\u003c") + text[end:]


def test_a_file_that_is_missing_is_named_with_what_to_do(chrome: Any, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "site"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("big"))
    (copy / "data" / "runs" / RUN / "pope" / "rows-0.js").unlink()
    with chrome.new_page() as page:
        page.goto(f"{(copy / 'index.html').as_uri()}{POPE}/1")
        expect(page, "[role=alert]").to_contain_text("rows-0.js could not be read. Is the folder complete?")
        expect(page, ".found").to_have_text("260 samples")
