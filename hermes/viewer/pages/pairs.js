// The preference pairs of a round: winner and loser of each side, with their scores and margins.
"use strict";

const pairs = (() => {
  async function create({ index, path }) {
    const play = index.plays.find((each) => each.key === path[1]);
    const round = path[3];
    const base = ["play", play.key, "pairs", round];
    const name = `plays/${play.key}/pairs-${round}`;
    const all = await data.load(name);
    const texts = items.texts(all);
    const [und, gen] = [(row) => all.margin_und[row], (row) => all.margin_gen[row]];
    const kind = (row) => (format.has(und(row)) ? (format.has(gen(row)) ? "both" : "und") : "gen");
    const others = play.rounds.filter((one) => one.pairs > 0 && String(one.round) !== round);
    const page = browse.create({
      base,
      up: ["play", play.key],
      noun: "pair",
      kind: "pairs",
      height: 64,
      size: () => all.n,
      heads: ["Id", "Caption", "Margin of captions", "Margin of images"],
      title: dom.h(
        "div",
        { class: "title" },
        dom.h("h1", { tabindex: "-1" }, `Pairs of round ${round}`),
        others.map((one) => dom.link(["play", play.key, "pairs", String(one.round)], {}, {}, `round ${one.round}`)),
      ),
      above: dom.h(
        "div",
        { class: "histograms" },
        plots.histogram("Margins of captions", all.margin_und),
        plots.histogram("Margins of images", all.margin_gen),
      ),
      facets: [
        facets.search("find", "Search caption, id", (row) => texts[row]),
        facets.choice("sides", "Pairs of", kind, {
          values: [
            ["both", "captions and images"],
            ["und", "captions only"],
            ["gen", "images only"],
          ],
        }),
      ],
      sorts: {
        asked: { text: "as they were made" },
        gen: { text: "largest margin of images first", key: gen, down: true },
        smallgen: { text: "smallest margin of images first", key: gen },
        und: { text: "largest margin of captions first", key: und, down: true },
        smallund: { text: "smallest margin of captions first", key: und },
      },
      thumbs: 1,
      pictures: async (row) => [(await data.entry(name, "pairs", all.chunk, row)).real],
      line: (row) => [
        dom.h("span", { class: "c0" }, dom.said(all.id[row])),
        dom.h("span", { class: "c1", dir: "auto" }, all.caption[row]),
        dom.h("span", { class: "c2" }, dom.h("span", { class: "brief" }, "captions "), format.number(und(row), 3)),
        dom.h("span", { class: "c3" }, dom.h("span", { class: "brief" }, "images "), format.number(gen(row), 3)),
      ],
      name: (row) => `margins ${format.number(und(row), 3)} and ${format.number(gen(row), 3)}`,
      detail: async (row) => view(await data.entry(name, "pairs", all.chunk, row)),
      none: parts.empty(
        "This round has no pairs: its candidates all tied, or none could be made. The page of the self-play says what was dropped.",
      ),
    });
    return { ...page, crumbs: [...playPage.crumbs(play), [`Pairs of round ${round}`, base]] };
  }

  function view(pair) {
    return dom.h(
      "article",
      { class: "sample" },
      dom.h("header", { class: "head" }, dom.h("h1", { tabindex: "-1" }, dom.said(pair.id))),
      dom.h(
        "div",
        { class: "asked" },
        dom.h("div", { class: "pictures" }, pictures.figure(pair.real, pair.own ? "Own picture" : "Real picture", { side: 192 })),
        dom.h("section", { class: "box" }, dom.h("h2", {}, "True caption"), dom.block(pair.caption)),
      ),
      pair.question
        ? duel(`Answers about the ${pair.own ? "own" : "real"} picture`, pair.und, dom.block(pair.question))
        : duel("Captions of the real picture", pair.und),
      pair.told
        ? duel(`The real picture, from ${pair.again ? "what is seen of it" : "the model's own caption"}`, pair.gen, dom.block(pair.told))
        : duel("Pictures of the true caption", pair.gen),
    );
  }

  function duel(title, both, asked) {
    if (!both) return parts.section(title, dom.h("p", { class: "soft" }, "No pair on this side."));
    const margin =
      both.loser && dom.h("span", { class: "tag" }, `margin ${format.number(both.winner.score - both.loser.score, 3)}`);
    const sides = dom.h(
      "div",
      { class: "duel" },
      candidate(both.winner, "won", "✓", "Winner"),
      both.loser && candidate(both.loser, "lost-duel", "✗", "Loser"),
    );
    return dom.h("section", {}, dom.h("h2", {}, title, margin), asked, sides);
  }

  function candidate(one, kind, sign, word) {
    const head = dom.h(
      "h3",
      {},
      dom.h("span", { class: "sign", "aria-hidden": "true" }, sign),
      ` ${word} `,
      dom.h("b", {}, format.number(one.score, 3)),
    );
    const plan = one.plan && dom.h("p", { class: "plan" }, "planned: ", dom.said(one.plan));
    return dom.h(
      "div",
      { class: `candidate ${kind}` },
      head,
      one.text !== null && one.text !== undefined && dom.block(one.text || "(empty)"),
      one.image && !one.text && pictures.figure(one.image, word, { side: 240 }),
      plan,
    );
  }

  return { create };
})();
