// The items of a self-play: each in one row over the rounds, those first that rose or fell most.
"use strict";

const rounds = (() => {
  async function create({ index, path }) {
    const play = index.plays.find((each) => each.key === path[1]);
    const base = ["play", play.key, "items"];
    const name = `plays/${play.key}/items`;
    const all = await data.load(name);
    const texts = items.texts(all);
    const change = (side) => (row) => {
      const values = all[side][row].filter(format.has);
      return values.length > 1 ? values[values.length - 1] - values[0] : null;
    };
    const [u, g] = [change("u"), change("g")];
    const way = (value) => (value === null ? "" : value > 0 ? "rose" : value < 0 ? "fell" : "same");
    const ways = [
      ["rose", "rose"],
      ["fell", "fell"],
      ["same", "as before"],
    ];
    const page = browse.create({
      base,
      up: ["play", play.key],
      noun: "item",
      kind: "rounds",
      height: 76,
      size: () => all.n,
      heads: ["Id", "Caption", "U over rounds", "G over rounds", "Change of G"],
      title: dom.h("div", { class: "title" }, dom.h("h1", { tabindex: "-1" }, "Items over the rounds")),
      facets: [
        facets.search("find", "Search caption, id", (row) => texts[row]),
        facets.choice("g", "G", (row) => way(g(row)), { values: ways }),
        facets.choice("u", "U", (row) => way(u(row)), { values: ways }),
      ],
      sorts: {
        asked: { text: "as asked" },
        rose: { text: "G rose most first", key: g, down: true },
        fell: { text: "G fell most first", key: g },
        urose: { text: "U rose most first", key: u, down: true },
        ufell: { text: "U fell most first", key: u },
      },
      thumbs: 2,
      pictures: async (row) => {
        const item = await data.entry(name, "items", all.chunk, row);
        return [item.real, item.rounds.length ? item.rounds.at(-1).drawn[0] : null];
      },
      line: (row) => [
        dom.h("span", { class: "c0" }, dom.said(all.id[row])),
        dom.h("span", { class: "c1", dir: "auto" }, all.caption[row]),
        dom.h("span", { class: "c2" }, plots.spark("u", all.u[row], [0, 1])),
        dom.h("span", { class: "c3" }, plots.spark("g", all.g[row], [0, 1])),
        dom.h("span", { class: "c4" }, arrow(g(row)), format.signed(g(row), 3)),
      ],
      name: (row) => `G ${all.g[row].map((value) => format.number(value, 3)).join(" to ")}`,
      detail: async (row) => view(await data.entry(name, "items", all.chunk, row)),
      none: parts.empty(
        "No item was measured in any round. A self-play measures its items after every round:",
        "hermes align --model hermes-tiny --rounds 3",
      ),
    });
    return { ...page, crumbs: [...playPage.crumbs(play), ["Items over the rounds", base]] };
  }

  const arrow = (change) => (change ? dom.h("span", { "aria-hidden": "true" }, change > 0 ? "▲ " : "▼ ") : null);
  const named = ({ round }) => (round === 0 ? "Base" : `Round ${round}`);

  function view(item) {
    const real = pictures.figure(item.real, "Real picture", { side: 144 });
    const drawn = item.rounds.map((round, place) => {
      const before = place ? item.rounds[place - 1].g : null;
      const change = format.has(before) && format.has(round.g) ? round.g - before : null;
      const below = [
        items.score("g", round.g),
        change !== null &&
          change !== 0 &&
          dom.h("span", { class: change > 0 ? "rose" : "fell" }, arrow(change), format.signed(change, 3)),
        round.plan && dom.h("span", { class: "plan" }, "planned: ", dom.said(round.plan)),
      ];
      const picture = round.drawn.length ? round.drawn : [null];
      return picture.map((one, number) =>
        pictures.figure(one, `${named(round)}${round.drawn.length > 1 ? `, ${number + 1}` : ""}`, {
          side: 144,
          below: number ? null : below,
        }),
      );
    });
    return dom.h(
      "article",
      { class: "sample" },
      dom.h("header", { class: "head" }, dom.h("h1", { tabindex: "-1" }, dom.said(item.id))),
      item.caption && dom.h("section", { class: "box" }, dom.h("h2", {}, "Caption"), dom.block(item.caption)),
      dom.h(
        "div",
        { class: "strip", role: "region", "aria-label": "Pictures over the rounds", tabindex: "0" },
        real,
        drawn,
      ),
      grid(item, "drawn", "G: about the drawn picture"),
      grid(item, "real", "U: about the real picture"),
    );
  }

  /** The questions down, the rounds across. */
  function grid(item, side, title) {
    const first = item.rounds[0] ? item.rounds[0].questions : [];
    const rows = first.map((one, place) => {
      const answers = item.rounds
        .map(({ questions }) => questions[place] || {})
        .map((question) => ({ answer: question[`${side}_answer`], right: question[`${side}_right`] ?? null }));
      return {
        question: one.question,
        gold: one.gold,
        answers,
        differ: new Set(answers.map(({ right }) => right).filter((right) => right !== null)).size > 1,
      };
    });
    return (
      rows.length > 0 &&
      parts.section(title, parts.questions(["Question", "Gold", ...item.rounds.map(named)], rows, "changed"))
    );
  }

  return { create };
})();
