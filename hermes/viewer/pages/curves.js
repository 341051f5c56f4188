// Curves: U, G and the gap over the rounds of a self-play with their intervals, and a figure over the steps of a training.
"use strict";

const curves = (() => {
  const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [230, 46, 62, 14, 34];

  /** One panel: `series` are {side, short, name, values, lows, highs}, one value a round; `zero` where 0 is of interest. */
  function panel(title, rounds, series, zero) {
    const values = series.flatMap((one) => [...one.values, ...one.lows, ...one.highs]).filter(format.has);
    const keys = series.map(({ side, name }) => dom.h("span", { class: "legend" }, plots.key(side), name));
    if (!values.length) return framed(title, keys, parts.empty("Nothing was measured yet."));
    const words = series.map(
      ({ name, values: all }) => `${name}: ${all.map((one) => format.number(one, 3)).join(", ")}`,
    );
    const { whole, x, y, right } = axes(
      `${title} over rounds. ${words.join("; ")}`,
      [0, rounds.length - 1],
      values,
      zero,
    );
    rounds.forEach((round, place) => whole.append(below(x(place), round === 0 ? "base" : round)));
    const last = series.map((one) => one.values.filter(format.has).at(-1) ?? 0);
    const heights = apart(last.map(y));
    series.forEach((one, place) => {
      const label = dom.s("text", { class: `end-label ${one.side}`, x: right + 12, y: heights[place] + 4 });
      label.append(`${one.short} ${format.number(last[place], 3)}`);
      whole.append(...line(one, rounds, x, y), label);
    });
    return framed(title, keys, whole);
  }

  /** One figure over the steps of a training. */
  function steps(title, numbers, values) {
    const there = numbers
      .map((step, place) => [step, values[place]])
      .filter(([step, value]) => format.has(step) && format.has(value));
    if (!there.length) return framed(title, null, parts.empty("No step was written down."));
    const [first, last] = [there[0], there[there.length - 1]];
    const words = `${title}: ${format.number(first[1], 3)} at step ${first[0]}, ${format.number(last[1], 3)} at step ${last[0]}`;
    const range = [first[0], last[0]];
    const { whole, x, y, right } = axes(
      words,
      range,
      there.map(([, value]) => value),
    );
    whole.append(
      dom.s("polyline", {
        class: "line steps",
        points: there.map(([step, value]) => `${x(step)},${y(value)}`).join(" "),
      }),
    );
    for (const step of new Set(range)) whole.append(below(x(step), format.count(step)));
    whole.append(
      dom.s("text", { class: "end-label gap", x: right + 12, y: y(last[1]) + 4 }, format.number(last[1], 3)),
    );
    return framed(title, null, whole);
  }

  const framed = (title, keys, content) =>
    dom.h("figure", { class: "curves" }, dom.h("figcaption", {}, title, keys), content);

  const below = (x, text) => dom.s("text", { class: "tick middle", x, y: HEIGHT - BOTTOM + 20 }, text);

  /** An empty picture with its horizontal lines, and how numbers become places in it. */
  function axes(words, [first, last], values, zero) {
    const width = Math.max(280, Math.min(560, window.innerWidth - 48));
    const right = width - RIGHT;
    const held = zero ? [...values, 0] : values;
    const ticks = nice(Math.min(...held), Math.max(...held));
    const [low, high] = [ticks[0], ticks[ticks.length - 1]];
    const x = (at) => (last > first ? LEFT + ((right - LEFT) * (at - first)) / (last - first) : (LEFT + right) / 2);
    const y = (value) => TOP + ((HEIGHT - TOP - BOTTOM) * (high - value)) / (high - low);
    const whole = dom.s("svg", {
      class: "plot panel",
      viewBox: `0 0 ${width} ${HEIGHT}`,
      role: "img",
      "aria-label": words,
    });
    const places = Math.max(1, Math.ceil(-Math.log10(ticks[1] - ticks[0] + 1e-9)));
    for (const tick of ticks) {
      const kind = zero && tick === 0 ? "zero" : "grid";
      whole.append(dom.s("line", { class: kind, x1: LEFT - 8, x2: right + 8, y1: y(tick), y2: y(tick) }));
      whole.append(dom.s("text", { class: "tick end", x: LEFT - 14, y: y(tick) + 4 }, format.number(tick, places)));
    }
    return { whole, x, y, right };
  }

  function line({ side, name, values, lows, highs }, rounds, x, y) {
    const there = values.map((value, place) => [value, place]).filter(([value]) => format.has(value));
    const drawn = [plots.path(side, there, x, y)];
    for (const [value, place] of there) {
      const [low, high] = [lows[place], highs[place]];
      if (format.has(low) && format.has(high)) {
        const [at, from, to] = [x(place), y(low), y(high)];
        const d = `M${at} ${from}V${to}M${at - 4} ${from}h8M${at - 4} ${to}h8`;
        drawn.push(dom.s("path", { class: `interval ${side}`, d }));
      }
      const title = `${name}, round ${rounds[place]}: ${format.number(value, 3)} ${format.span(low, high, 3)}`;
      drawn.push(plots.point(side, x(place), y(value), title));
    }
    return drawn;
  }

  /** Heights at which two labels do not cover each other. */
  function apart(heights) {
    const order = heights.map((height, place) => [height, place]).sort((a, b) => a[0] - b[0]);
    for (let at = 1; at < order.length; at += 1) order[at][0] = Math.max(order[at][0], order[at - 1][0] + 14);
    const result = [];
    for (const [height, place] of order) result[place] = height;
    return result;
  }

  /** Four to seven round numbers that hold the range. */
  function nice(low, high) {
    const rough = (high - low || 0.1) / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    const [first, last] = [Math.floor(low / step + 1e-9), Math.ceil(high / step - 1e-9)];
    const ticks = [];
    for (let at = first; at <= Math.max(last, first + 1); at += 1) ticks.push(Number((at * step).toPrecision(10)));
    return ticks;
  }

  return { panel, steps };
})();
