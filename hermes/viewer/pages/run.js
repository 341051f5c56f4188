// One run: its gap, its scores with their intervals, its settings, and the ways to its samples.
"use strict";

const runPage = (() => {
  const TOPS = { "%": 100, "0..1": 1 };

  function create({ index, path }) {
    const node = dom.h("div", { class: "page" });
    const key = path[1];

    function paint(now) {
      const one = now.runs.find((each) => each.key === key);
      parts.repaint(node, () => dom.show(node, head(one, now), gap(one), scores(one), settings(one)));
    }

    paint(index);
    const one = index.runs.find((each) => each.key === key);
    return {
      node,
      update: () => {},
      refresh: paint,
      key: (name) => name === "Escape" && (routes.go([]), true),
      crumbs: crumbs(one, index),
    };
  }

  /** Where a run is: below its self-play, if it is that of a round. */
  function crumbs(one, index) {
    const play = index.plays.find((each) => each.key === one.play);
    const name = play ? `Round ${one.round}` : `${one.model} ${one.run_id}`;
    return [...(play ? playPage.crumbs(play) : []), [name, ["run", one.key]]];
  }

  function head(one, index) {
    const play = index.plays.find((each) => each.key === one.play);
    const states = [
      one.running && dom.h("span", { class: "tag running" }, "running"),
      one.partial && dom.h("span", { class: "tag" }, "partial"),
    ];
    const where = [
      ["Run", dom.said(one.run_id)],
      ["Split", one.split && dom.said(one.split)],
      ["Seed", one.seed === null ? null : String(one.seed)],
      ["Started", format.time(one.started)],
      ["Self-play", play && dom.link(["play", play.key], {}, {}, dom.said(play.name), `, round ${one.round}`)],
    ];
    return [
      dom.h("div", { class: "title" }, dom.h("h1", { tabindex: "-1" }, dom.said(one.model)), states),
      parts.facts(where),
    ];
  }

  function gap(one) {
    if (!one.gap) return null;
    const { u, g, gap: amount, low, high } = one.gap;
    const scale = plots.range([one.gap]);
    const words = [
      dom.h("span", { class: "legend" }, plots.key("u"), "U ", dom.h("b", {}, format.number(u, 3))),
      dom.h("span", { class: "legend" }, plots.key("g"), "G ", dom.h("b", {}, format.number(g, 3))),
      dom.h(
        "span",
        { class: "legend" },
        "Gap ",
        dom.h("b", {}, format.signed(amount, 3)),
        ` ${format.span(low, high, 3)}`,
      ),
    ];
    const drawn = dom.h("div", { class: "wide-gap" }, plots.gap(one.gap, scale), plots.scale(scale));
    const more =
      bothSides(one) &&
      dom.h(
        "p",
        {},
        dom.link(["run", one.key, "homologous"], {}, { class: "button" }, "Look at both sides of every item"),
      );
    return parts.section("The gap over homologous items", dom.h("p", { class: "legends" }, words), drawn, more);
  }

  /** Whether both sides of the run's homologous items can be looked at. */
  const bothSides = (one) => one.homologous !== null;

  function scores(one) {
    if (!one.tasks.length)
      return parts.empty(
        one.running
          ? "Nothing is measured yet; this page follows the run."
          : "This run holds no score. Run its command again; what is there already is kept.",
      );
    const measured = one.tasks.filter((task) => task.metrics.length);
    const some = one.tasks.some((task) => task.rows !== null);
    const rows = ["understanding", "generation"].flatMap((ability) => {
      const own = one.tasks.filter((task) => task.ability === ability);
      const title = ability[0].toUpperCase() + ability.slice(1);
      return own.length
        ? [
            dom.h("tr", { class: "group" }, dom.h("th", { scope: "rowgroup", colspan: HEADS.length }, title)),
            ...own.map((task) => score(one, task)),
          ]
        : [];
    });
    const all = some && dom.h("p", {}, dom.link(["run", one.key, "*"], {}, { class: "button" }, "Look at all samples"));
    return [
      parts.section(
        "Scores",
        parts.table(HEADS, rows, { numbers: [1, 3, 4, 5], label: "Scores", kind: "scores first-stays" }),
        dom.h("p", { class: "soft" }, "Bars and whiskers: score and its 95 % interval."),
        all,
      ),
      measured.length > 0 && parts.section("All figures", measured.map(figures)),
    ];
  }

  const HEADS = ["Benchmark", "Score", "", "n", "Unparsed", "Errors", "Judge", "Protocol"];

  function score(one, task) {
    const places = format.digits(task.unit);
    const { unparsed = null, error = null } = task.counts;
    const filter = (count, is) =>
      count && task.rows !== null
        ? dom.link(["run", one.key, task.key], { is }, {}, format.count(count))
        : format.count(count);
    const name =
      task.rows !== null
        ? dom.link(["run", one.key, task.key], {}, {}, dom.said(task.title))
        : [dom.said(task.title), dom.h("span", { class: "tag" }, "no samples")];
    return dom.h(
      "tr",
      {},
      dom.h(
        "th",
        { scope: "row" },
        name,
        dom.h("small", {}, dom.said([task.headline, task.unit].filter(Boolean).join(", "))),
      ),
      parts.number(format.value(task.value, task.unit), format.span(task.low, task.high, places)),
      dom.h("td", { class: "drawing" }, plots.bar(task.value, task.low, task.high, top(task, [task]))),
      parts.number(format.count(format.answers(task)), format.missing(task)),
      parts.number(filter(unparsed, "unparsed")),
      parts.number(filter(error, "error")),
      dom.h("td", {}, task.judge ? dom.said(task.judge) : format.EMPTY),
      dom.h("td", {}, dom.said(task.protocol ?? format.EMPTY)),
    );
  }

  /** Where a bar ends: the best there is, where that is known, else the highest end of an interval. */
  function top(task, metrics) {
    const highest = Math.max(...metrics.flatMap(({ value, high }) => [value, high]).filter(format.has), 0);
    return Math.max(task.best ?? TOPS[task.unit] ?? 0, highest) || 1;
  }

  /** All metrics of a task, those of one kind ("kind/...") folded together. */
  function figures(task) {
    const kinds = new Map();
    for (const metric of task.metrics) {
      const [kind, rest] = metric.name.includes("/") ? metric.name.split(/\/(.*)/s) : ["", metric.name];
      kinds.set(kind, [...(kinds.get(kind) || []), { ...metric, name: rest }]);
    }
    const places = format.digits(task.unit);
    const tables = [...kinds].map(([kind, metrics]) => {
      const rows = metrics.map(({ name, value, low, high, n }) =>
        dom.h(
          "tr",
          {},
          dom.h("th", { scope: "row" }, dom.said(name)),
          parts.number(format.number(value, places), format.span(low, high, places)),
          dom.h("td", { class: "drawing" }, plots.bar(value, low, high, top(task, metrics))),
          parts.number(format.count(n)),
        ),
      );
      const heads = [kind ? dom.said(kind) : "Metric", "Value", "", "n"];
      return parts.table(heads, rows, {
        numbers: [1, 3],
        label: `${task.title}: ${kind || "metrics"}`,
        kind: "figures first-stays",
      });
    });
    return dom.h(
      "details",
      { class: "figures", "data-name": task.key },
      dom.h("summary", {}, dom.said(task.title), dom.h("small", {}, format.many(task.metrics.length, "figure"))),
      tables,
    );
  }

  function settings(one) {
    const pairs = Object.entries(one.settings || {}).map(([name, value]) => [dom.said(name), dom.said(value)]);
    return pairs.length > 0 && parts.section("Settings", parts.facts(pairs));
  }

  return { create, crumbs, bothSides };
})();
