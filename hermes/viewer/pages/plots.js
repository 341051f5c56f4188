// Small drawings within tables: the gap as two dots on a line, a score as a bar, a change as a line, counts as columns.
"use strict";

const plots = (() => {
  const percent = (part) => `${(100 * part).toFixed(3)}%`;

  /** The range that holds all gaps: it ends at 1 and begins at a tenth, so that all lines of a page are on one scale. */
  function range(gaps) {
    const ends = gaps.flatMap((gap) => [gap.u, gap.g, gap.u - (gap.high ?? gap.gap)]).filter(format.has);
    const low = Math.min(0.9, ...ends.map((end) => Math.floor(end * 10) / 10));
    return [low, Math.max(1, ...ends)];
  }

  /** U (dot) and G (diamond) on a line; the whisker is the gap's interval, drawn from U. */
  function gap({ u, g, gap: amount, low, high }, [from, to]) {
    const at = (value) => percent((Math.min(Math.max(value, from), to) - from) / (to - from));
    const words = `U ${format.number(u, 3)}, G ${format.number(g, 3)}, gap ${format.signed(amount, 3)} ${format.span(low, high, 3)}`;
    const whole = dom.s("svg", { class: "plot gap", role: "img", "aria-label": words }, dom.s("title", {}, words));
    whole.append(dom.s("line", { class: "ground", x1: 0, x2: "100%", y1: "50%", y2: "50%" }));
    whole.append(dom.s("line", { class: "between", x1: at(g), x2: at(u), y1: "50%", y2: "50%" }));
    if (format.has(low) && format.has(high)) {
      whole.append(dom.s("line", { class: "whisker", x1: at(u - high), x2: at(u - low), y1: "50%", y2: "50%" }));
      for (const end of [at(u - high), at(u - low)])
        whole.append(dom.s("line", { class: "whisker", x1: end, x2: end, y1: "30%", y2: "70%" }));
    }
    whole.append(point("g", at(g), "50%"), point("u", at(u), "50%"));
    return whole;
  }

  /** The sign of a side at a place: U a dot, G a diamond. */
  function point(side, x, y, title) {
    const shape = { u: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0", g: "M0 -6L6 0L0 6L-6 0z", gap: "M-4.5 -4.5h9v9h-9z" }[
      side
    ];
    return dom.s(
      "svg",
      { x, y, overflow: "visible" },
      dom.s("path", { class: `point ${side}`, d: shape }, title && dom.s("title", {}, title)),
    );
  }

  /** The scale of `gap` as a caption. */
  const scale = ([from, to]) =>
    dom.h(
      "span",
      { class: "scale", "aria-hidden": "true" },
      dom.h("span", {}, from.toFixed(1)),
      dom.h("span", {}, to.toFixed(1)),
    );

  const key = (side) => dom.s("svg", { class: "key", width: 14, height: 14, "aria-hidden": "true" }, point(side, 7, 7));

  /** A bar from 0 to `top` with its interval. */
  function bar(value, low, high, top) {
    const at = (amount) => percent(Math.min(Math.max(amount / top, 0), 1));
    const whole = dom.s(
      "svg",
      { class: "plot score", "aria-hidden": "true" },
      dom.s("rect", { class: "track", width: "100%", y: "25%", height: "50%" }),
    );
    if (!format.has(value)) return whole;
    whole.append(dom.s("rect", { class: "fill", width: at(value), y: "25%", height: "50%" }));
    if (format.has(low) && format.has(high) && high > low) {
      whole.append(dom.s("line", { class: "whisker", x1: at(low), x2: at(high), y1: "50%", y2: "50%" }));
      for (const end of [at(low), at(high)])
        whole.append(dom.s("line", { class: "whisker", x1: end, x2: end, y1: "25%", y2: "75%" }));
    }
    return whole;
  }

  /** Values over rounds as a small line with its points; a range of its own where none is given. */
  function spark(
    side,
    values,
    [low, high] = [Math.min(...values.filter(format.has)), Math.max(...values.filter(format.has))],
  ) {
    const [width, height, edge] = [18 * Math.max(values.length - 1, 1) + 12, 26, 6];
    const x = (place) => edge + ((width - 2 * edge) * place) / Math.max(values.length - 1, 1);
    const y = (value) => height - edge - ((height - 2 * edge) * (value - low)) / (high - low || 1);
    const words = values.map((value) => format.number(value, 3)).join(" → ");
    const there = values.map((value, place) => [value, place]).filter(([value]) => format.has(value));
    const dots = there.map(([value, place]) =>
      dom.s("circle", { class: `point ${side}`, cx: x(place), cy: y(value), r: 3 }),
    );
    return dom.s(
      "svg",
      { class: "plot spark", width, height, role: "img", "aria-label": words },
      dom.s("title", {}, words),
      path(side, there, x, y),
      dots,
    );
  }

  /** The line through [value, place] pairs. */
  function path(side, there, x, y) {
    const points = there.map(([value, place]) => `${x(place)},${y(value)}`).join(" ");
    return dom.s("polyline", { class: `line ${side}`, points });
  }

  const BINS = 20;

  /** How often values occur, as columns over the range from the smallest (or 0) to the largest. */
  function histogram(title, values) {
    const numbers = values.filter(format.has);
    const caption = dom.h(
      "figcaption",
      {},
      title,
      dom.h(
        "small",
        {},
        numbers.length ? `${format.count(numbers.length)}, median ${format.number(middle(numbers), 3)}` : "none",
      ),
    );
    if (!numbers.length) return dom.h("figure", { class: "histogram" }, caption);
    const [low, high] = numbers.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [0, 0]);
    const width = (high - low) / BINS || 1;
    const bins = new Array(BINS).fill(0);
    for (const value of numbers) bins[Math.min(BINS - 1, Math.floor((value - low) / width))] += 1;
    const most = Math.max(...bins);
    const columns = bins.map((count, place) => {
      const range = `${format.number(low + place * width, 3)} to ${format.number(low + (place + 1) * width, 3)}: ${format.count(count)}`;
      const size = {
        x: percent(place / BINS),
        width: percent(0.9 / BINS),
        y: percent(1 - count / most),
        height: percent(count / most),
      };
      return dom.s("rect", { class: "fill", ...size }, dom.s("title", {}, range));
    });
    const words = `${title}: from ${format.number(low, 3)} to ${format.number(high, 3)}, at most ${most} in one column`;
    const drawn = dom.s("svg", { class: "plot columns", role: "img", "aria-label": words }, columns);
    const ends = dom.h(
      "span",
      { class: "scale", "aria-hidden": "true" },
      dom.h("span", {}, format.number(low, 2)),
      dom.h("span", {}, format.number(high, 2)),
    );
    return dom.h("figure", { class: "histogram" }, caption, drawn, ends);
  }

  function middle(numbers) {
    const sorted = [...numbers].sort((a, b) => a - b);
    const half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }

  return { range, gap, point, scale, key, bar, spark, path, histogram };
})();
