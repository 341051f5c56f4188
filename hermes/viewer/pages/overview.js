// The first page: all models with their runs, and all self-plays.
"use strict";

const overview = (() => {
  function create({ index }) {
    const node = dom.h("div", { class: "page" });
    let query = {};
    const input = dom.h("input", {
      type: "search",
      placeholder: "Search models and runs",
      "aria-label": "Search models and runs",
      autocomplete: "off",
      spellcheck: "false",
    });
    input.addEventListener("input", () => routes.go([], { find: input.value }, true));
    const body = dom.h("div", {});
    const found = dom.h("p", { class: "found", "aria-live": "polite" });
    const head = dom.h(
      "div",
      { class: "title" },
      dom.h("h1", { tabindex: "-1" }, "All runs"),
      dom.h("div", { class: "search" }, input),
    );
    node.append(head, found, body);

    function update(route) {
      query = route.query;
      if (document.activeElement !== input) input.value = query.find || "";
      paint(index);
    }

    function paint(now) {
      index = now;
      const wanted = (query.find || "").trim().toLowerCase();
      const fits = (...texts) =>
        !wanted ||
        texts.some((text) =>
          String(text ?? "")
            .toLowerCase()
            .includes(wanted),
        );
      const alone = index.runs.filter((run) => !run.play);
      const runs = alone.filter((run) => fits(run.model, run.run_id, run.split, `seed ${run.seed}`));
      const plays = index.plays.filter((play) => fits(play.name, play.key));
      head.lastChild.hidden = index.runs.length + index.plays.length < 2;
      found.textContent =
        [many(runs, alone, "run"), many(plays, index.plays, "self-play")].join(", ") + ` in ${index.root}`;
      if (!index.runs.length && !index.plays.length)
        return dom.show(body, nothing(), parts.problems(index.problems || []));
      if (!runs.length && !plays.length)
        return dom.show(body, parts.empty("No model and no run has this in its name."));
      const problems = parts.problems(index.problems || []);
      const sections = [
        problems,
        runs.length > 0 && parts.section("Models and runs", table(runs)),
        plays.length > 0 && parts.section("Self-plays", games(plays)),
      ];
      parts.repaint(body, () => dom.show(body, sections));
    }

    const many = (shown, all, noun) =>
      (shown.length === all.length ? "" : `${shown.length} of `) + format.many(all.length, noun);
    const nothing = () =>
      parts.empty(
        "There is no run here yet. Evaluate a model, then reload this page:",
        "hermes eval --model hermes-tiny",
      );

    return { node, update, refresh: paint, key: (name) => name === "/" && (input.focus(), true), crumbs: [] };
  }

  /** Runs below the name of their model, one column for each benchmark that any of them holds. */
  function table(runs) {
    const tasks = new Map(runs.flatMap((run) => run.tasks.map((task) => [task.key, task])));
    const sides = runs.some((run) => run.gap);
    const scale = plots.range(runs.map((run) => run.gap).filter(Boolean));
    const models = new Map();
    for (const run of runs) models.set(run.model, [...(models.get(run.model) || []), run]);
    const shown = [...tasks.values()].filter(
      (task) => !(sides && ["homologous-u", "homologous-g"].includes(task.name)),
    );
    const heads = sides
      ? [
          dom.h("span", { class: "legends" }, legend("u", "U"), legend("g", "G"), plots.scale(scale)),
          "U",
          "G",
          "Gap (U − G)",
        ]
      : [];
    const units = shown.map((task) =>
      dom.h(
        "span",
        { title: `${task.headline}, ${task.unit}` },
        dom.said(task.title),
        dom.h("small", {}, unit(task.unit)),
      ),
    );
    const rows = [...models].map(([model, own]) => [
      dom.h(
        "tr",
        { class: "group" },
        dom.h("th", { scope: "rowgroup", colspan: 1 + heads.length + shown.length }, dom.said(model)),
      ),
      own.map((run) =>
        dom.h(
          "tr",
          {},
          name(run),
          sides && gap(run, scale),
          shown.map((task) => score(run, task.key)),
        ),
      ),
    ]);
    const numbers = [...heads.keys()]
      .slice(1)
      .map((place) => place + 1)
      .concat(shown.map((_, place) => 1 + heads.length + place));
    return parts.table(["Run", ...heads, ...units], rows.flat(2), { numbers, label: "Runs", kind: "runs first-stays" });
  }

  const legend = (side, text) => dom.h("span", { class: "legend" }, plots.key(side), text);
  const unit = (text) => (text === "0..1" ? "0 to 1" : text);

  function name(run) {
    const states = [
      run.running && dom.h("span", { class: "tag running" }, "running"),
      run.partial && dom.h("span", { class: "tag" }, "partial"),
    ];
    const more = [run.split, run.seed !== null && `seed ${run.seed}`].filter(Boolean).join(", ");
    return dom.h(
      "th",
      { scope: "row" },
      dom.link(["run", run.key], {}, {}, dom.said(run.run_id)),
      states,
      dom.h("small", {}, dom.said(more)),
      dom.h("small", {}, format.time(run.started)),
    );
  }

  function gap(run, scale) {
    if (!run.gap) return dom.h("td", { colspan: 4, class: "soft" }, "no gap measured");
    const { u, g, gap: amount, low, high } = run.gap;
    return [
      dom.h("td", { class: "drawing" }, plots.gap(run.gap, scale)),
      parts.number(format.number(u, 3)),
      parts.number(format.number(g, 3)),
      parts.number(format.signed(amount, 3), format.span(low, high, 3)),
    ];
  }

  function score(run, key) {
    const task = run.tasks.find((one) => one.key === key);
    if (!task) return dom.h("td", { class: "number soft" }, dom.unseen("not measured"));
    const link = dom.link(
      ["run", run.key, key],
      {},
      { title: `${task.title}: samples` },
      format.value(task.value, task.unit),
    );
    return parts.number(
      task.rows !== null ? link : format.value(task.value, task.unit),
      format.missing(task) && `${format.count(format.answers(task))} ${format.missing(task)}`,
    );
  }

  function games(plays) {
    const rows = plays.map((play) => {
      const [first, last] = [play.rounds[0], play.rounds[play.rounds.length - 1]];
      const gaps = play.rounds.map((round) => round.gap);
      return dom.h(
        "tr",
        {},
        dom.h(
          "th",
          { scope: "row" },
          dom.link(["play", play.key], {}, {}, dom.said(play.name)),
          dom.h("small", {}, dom.said(play.key)),
        ),
        dom.h("td", {}, gaps.some(format.has) && plots.spark("gap", gaps)),
        parts.number(
          first ? format.signed(first.gap, 3) : format.EMPTY,
          first && format.span(first.low, first.high, 3),
        ),
        parts.number(last ? format.signed(last.gap, 3) : format.EMPTY, last && format.span(last.low, last.high, 3)),
        parts.number(last ? `${format.number(first.u, 3)} → ${format.number(last.u, 3)}` : format.EMPTY),
        parts.number(last ? `${format.number(first.g, 3)} → ${format.number(last.g, 3)}` : format.EMPTY),
        parts.number(format.count(Math.max(play.rounds.length - 1, 0))),
      );
    });
    const heads = ["Self-play", "Gap over rounds", "Gap before", "Gap after", "U", "G", "Rounds"];
    return parts.table(heads, rows, { numbers: [2, 3, 4, 5, 6], label: "Self-plays", kind: "first-stays" });
  }

  return { create };
})();
