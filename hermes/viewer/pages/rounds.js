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
        return [item.real, item.rounds.length ? item.rounds.at(-1).drawn[0].picture : null];
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
  /** What a picture of a round is called; without its place, what the round is. */
  const named = ({ round, drawn }, place = null) =>
    `${round === 0 ? "Base" : `Round ${round}`}${place !== null && drawn.length > 1 ? `, ${place + 1}` : ""}`;

  function view(item) {
    const real = pictures.figure(item.real, "Real picture", { side: 144 });
    const drawn = item.rounds.map((round, place) => {
      const before = place ? item.rounds[place - 1].g : null;
      const change = format.has(before) && format.has(round.g) ? round.g - before : null;
      const mean = round.drawn.length > 1 && "mean ";
      const moved = change
        ? dom.h("span", { class: change > 0 ? "rose" : "fell" }, mean, arrow(change), format.signed(change, 3))
        : null;
      return round.drawn.map((one, number) => {
        const [score, plan] = items.below(one);
        return pictures.figure(one.picture, named(round, number), {
          side: 144,
          below: [score, number === 0 && moved, plan],
        });
      });
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
      grid(
        item,
        "G: about the drawn picture",
        (round) => round.drawn.map((_, place) => named(round, place)),
        (question, { drawn }) => (question ? question.drawn : drawn.map(() => ({}))),
      ),
      grid(
        item,
        "U: about the real picture",
        (round) => [named(round)],
        (question) => [question ? { answer: question.real_answer, right: question.real_right } : {}],
      ),
    );
  }

  /** The questions down, the rounds across; questions of all rounds stand in the order of their numbers. */
  function grid(item, title, heads, answers) {
    const most = item.rounds.reduce((found, { questions }) => (questions.length > found.length ? questions : found), []);
    const rows = most.map((one, place) => {
      const each = item.rounds.map((round) => answers(round.questions[place], round));
      return {
        question: one.question,
        gold: one.gold,
        answers: each.flat(),
        differ: new Set(each.map(share).filter((value) => value !== null)).size > 1,
      };
    });
    return (
      rows.length > 0 &&
      parts.section(title, parts.questions(["Question", "Gold", ...item.rounds.flatMap(heads)], rows, "changed"))
    );
  }

  /** The share of right answers, null where nobody has judged them. */
  function share(answers) {
    const told = answers.filter(({ right }) => typeof right === "boolean");
    return told.length ? told.filter(({ right }) => right).length / told.length : null;
  }

  return { create };
})();
