// One self-play: U, G and the gap over its rounds, what was trained, and the ways to items and pairs.
"use strict";

const playPage = (() => {
  function create({ index, path }) {
    const node = dom.h("div", { class: "page" });
    const key = path[1];

    function paint(now) {
      const one = now.plays.find((each) => each.key === key);
      const nothing = parts.empty(
        "No round is finished yet. This page follows a self-play that is running; one that was stopped goes on with its command.",
      );
      const content = one.rounds.length ? [drawn(one), rounds(one), training(one), losses(one)] : nothing;
      parts.repaint(node, () => dom.show(node, head(one), content));
    }

    paint(index);
    const one = index.plays.find((each) => each.key === key);
    return {
      node,
      update: () => {},
      refresh: paint,
      key: (name) => name === "Escape" && (routes.go([]), true),
      crumbs: crumbs(one),
    };
  }

  const crumbs = (one) => [[one.name, ["play", one.key]]];

  function head(one) {
    const ways = [
      one.items > 0 &&
        dom.link(
          ["play", one.key, "items"],
          {},
          { class: "button" },
          `Look at ${format.many(one.items, "item")} over the rounds`,
        ),
      one.rounds
        .filter((round) => round.pairs > 0)
        .map(({ round }) =>
          dom.link(["play", one.key, "pairs", String(round)], {}, { class: "button" }, `Pairs of round ${round}`),
        ),
    ];
    return [
      dom.h("div", { class: "title" }, dom.h("h1", { tabindex: "-1" }, "Self-play: ", dom.said(one.name))),
      dom.h("p", { class: "ways" }, ways),
    ];
  }

  function drawn(one) {
    const rounds = one.rounds.map(({ round }) => round);
    const of = (name) => one.rounds.map((round) => round[name] ?? null);
    const both = [
      { side: "u", short: "U", name: "U, understanding", values: of("u"), lows: of("u_low"), highs: of("u_high") },
      { side: "g", short: "G", name: "G, generation", values: of("g"), lows: of("g_low"), highs: of("g_high") },
    ].filter(({ values }) => values.some(format.has)); // A model may have one side alone.
    const gap = [
      {
        side: "gap",
        short: "",
        name: "U − G with its 95 % interval",
        values: of("gap"),
        lows: of("low"),
        highs: of("high"),
      },
    ];
    return dom.h(
      "div",
      { class: "panels" },
      curves.panel("U and G", rounds, both),
      gap[0].values.some(format.has) && curves.panel("Gap", rounds, gap, true),
    );
  }

  function rounds(one) {
    const rows = one.rounds.map((round) => {
      const dropped = Object.entries({ ...round.drops, ...round.failures }).filter(([, count]) => count);
      const name = round.round === 0 ? "base" : `round ${round.round}`;
      return dom.h(
        "tr",
        {},
        dom.h("th", { scope: "row" }, round.run ? dom.link(["run", round.run], {}, {}, name) : name),
        parts.number(format.number(round.u, 3), format.span(round.u_low, round.u_high, 3)),
        parts.number(format.number(round.g, 3), format.span(round.g_low, round.g_high, 3)),
        parts.number(format.signed(round.gap, 3), format.span(round.low, round.high, 3)),
        parts.number(
          round.pairs
            ? dom.link(["play", one.key, "pairs", String(round.round)], {}, {}, format.count(round.pairs))
            : format.EMPTY,
        ),
        dom.h(
          "td",
          {},
          dropped.length
            ? dropped.map(([reason, count]) =>
                dom.h("span", { class: "drop" }, `${format.count(count)} `, dom.said(reason)),
              )
            : format.EMPTY,
        ),
      );
    });
    return parts.section(
      "Rounds",
      parts.table(["Round", "U", "G", "Gap (U − G)", "Pairs", "What gave no pair"], rows, {
        numbers: [1, 2, 3, 4],
        label: "Rounds",
        kind: "first-stays",
      }),
    );
  }

  function training(one) {
    const played = one.rounds.filter((round) => Object.keys(round.training || {}).length);
    if (!played.length) return null;
    const names = [...new Set(played.flatMap((round) => Object.keys(round.training)))];
    const rows = names.map((name) =>
      dom.h(
        "tr",
        {},
        dom.h("th", { scope: "row" }, dom.said(name.replaceAll("_", " "))),
        played.map((round) => parts.number(format.plain(round.training[name]))),
      ),
    );
    const heads = ["Figure", ...played.map(({ round }) => `Round ${round}`)];
    return parts.section(
      "Training",
      parts.table(heads, rows, {
        numbers: played.map((_, place) => place + 1),
        label: "Training",
        kind: "first-stays",
      }),
    );
  }

  /** How the loss fell in each round, where the steps were written down. */
  function losses(one) {
    if (!one.training || !one.training.length) return null;
    const node = dom.h("div", { class: "panels" });
    const files = one.training.map((round) => data.load(`plays/${one.key}/training-${round}`));
    Promise.all(files).then(
      (logs) =>
        dom.show(
          node,
          one.training.map((round, place) =>
            curves.steps(`Loss in round ${round}`, logs[place].step, logs[place].loss),
          ),
        ),
      (error) => dom.show(node, parts.failure(error)),
    );
    return parts.section("Loss by step", node);
  }

  return { create, crumbs };
})();
