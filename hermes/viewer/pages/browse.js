// A list with filters beside the one that is open: samples, homologous items, items over rounds and pairs share it.
"use strict";

const browse = (() => {
  const SLOW = 150; // Milliseconds after which "Loading" is said.

  /**
   * `source` says what is listed: base (path of the list), noun, size(), facets, sorts, height, line(row), heads (names of the
   * columns), thumbs (how many pictures a row shows) and pictures(row) -> promise of them, kind (class), detail(row) -> promise of a node, name(row), up (path that Esc leads to), title (a node), above (a node or nothing),
   * none (what is shown where there is nothing at all).
   */
  function create(source) {
    const list = rowlist.create(source.height, draw);
    const controls = filters.create(source.facets, source.sorts, change);
    const count = dom.h("p", { class: "found", "aria-live": "polite" });
    const clear = dom.h(
      "button",
      { type: "button", class: "clear", onclick: () => change(null, null) },
      "Clear filters",
    );
    const heads = dom.h(
      "div",
      { class: "heads", "aria-hidden": "true" },
      source.thumbs > 0 && dom.h("span", { class: "thumbs" }),
      dom.h(
        "span",
        { class: "cells" },
        source.heads.map((text, place) => dom.h("span", { class: `c${place}` }, text)),
      ),
    );
    const nothing = dom.h("div", { class: "nothing", hidden: true });
    controls.node.prepend(source.title);
    const side = dom.h(
      "div",
      { class: "side" },
      controls.node,
      source.above,
      dom.h("div", { class: "counted" }, count, clear),
      heads,
      list.node,
      nothing,
    );
    const detail = dom.h("div", {
      class: "pane",
      tabindex: "0",
      "aria-label": `The open ${source.noun}`,
      role: "region",
    });
    const place = dom.h("p", { class: "place" });
    const step = (text, label, move) =>
      dom.h("button", { type: "button", "aria-label": label, title: label, onclick: move }, text);
    const bar = dom.h(
      "div",
      { class: "bar" },
      step("‹ List", "Back to the list (Esc)", () => close()),
      place,
    );
    bar.append(
      step("↑", `Previous ${source.noun} (k)`, () => go(-1)),
      step("↓", `Next ${source.noun} (j)`, () => go(1)),
    );
    const node = dom.h(
      "div",
      { class: `browse ${source.kind}`, style: { "--thumbs": source.thumbs } },
      side,
      dom.h("div", { class: "opened" }, bar, detail),
    );
    let route = { path: source.base, query: {} };
    let rows = [];
    let open = -1;
    let asked = 0;

    const pictured = new Set(); // Rows whose pictures have been shown: they need no waiting.

    function draw(row) {
      const wait = !pictured.has(row);
      const find = () => source.pictures(row).finally(() => pictured.add(row));
      const seen = source.thumbs > 0 && pictures.thumbs(source.thumbs, find, wait);
      const cells = dom.h("span", { class: "cells" }, source.line(row));
      return dom.link([...source.base, String(row)], route.query, { class: "row" }, seen, cells);
    }

    /** Bring the page to this route; `again` where the rows have changed. */
    function update(next, again) {
      const first = rows.length === 0 && open < 0;
      const filtered = again || first || JSON.stringify(next.query) !== JSON.stringify(route.query);
      route = next;
      if (filtered) filter(first || !again);
      const number = next.path[source.base.length];
      const row = /^\d+$/.test(number || "") && Number(number) < source.size() ? Number(number) : -1;
      if (first || row >= 0 !== open >= 0) controls.fold(row >= 0);
      node.classList.toggle("split", row >= 0);
      list.open(row);
      places(row);
      if (row !== open || (again && row >= 0)) show(row, row === open);
      open = row;
    }

    function filter(top) {
      const found = facets.select(source.size(), source.facets, route.query);
      const sort = source.sorts[route.query.sort];
      rows = sort && sort.key ? facets.sort(found.rows, sort) : found.rows;
      list.show(rows, top);
      controls.show(route.query, found.counts);
      const all = source.size();
      count.textContent =
        rows.length === all
          ? format.many(all, source.noun)
          : `${format.count(rows.length)} of ${format.many(all, source.noun)}`;
      clear.hidden = !source.facets.some((facet) => route.query[facet.name]);
      nothing.hidden = rows.length > 0;
      list.node.hidden = heads.hidden = rows.length === 0;
      if (rows.length) return;
      dom.show(nothing, all ? dom.h("p", {}, `No ${source.noun} fits these filters.`) : source.none);
    }

    function places(row) {
      const position = rows.indexOf(row);
      place.textContent =
        position >= 0 ? `${format.count(position + 1)} of ${format.count(rows.length)}` : "not among those listed";
    }

    /** Open a row; one that is shown `again`, as its run goes on, leaves the reader where they are. */
    async function show(row, again) {
      const turn = (asked += 1);
      if (row < 0) return dom.show(detail);
      const slow = window.setTimeout(
        () => turn === asked && !again && dom.show(detail, dom.h("p", { class: "soft" }, "Loading…")),
        SLOW,
      );
      const content = await source.detail(row).catch((error) => parts.failure(error));
      window.clearTimeout(slow);
      if (turn !== asked) return;
      const top = again ? detail.scrollTop : 0;
      dom.show(detail, content);
      detail.scrollTop = top;
      if (again) return;
      document.getElementById("said").textContent = `${source.noun} ${place.textContent}: ${source.name(row)}`;
    }

    /** Set one filter, or none at all where `name` is null. The order stays. */
    function change(name, value) {
      const query = name === null ? { sort: route.query.sort } : { ...route.query, [name]: value };
      if (query.sort === Object.keys(source.sorts)[0]) query.sort = "";
      routes.go(route.path, query, true);
    }

    function go(by) {
      const position = rows.indexOf(open);
      const to = position < 0 ? 0 : position + by;
      if (rows[to] !== undefined) routes.go([...source.base, String(rows[to])], route.query, open >= 0);
    }

    const close = () => routes.go(source.base, route.query);

    /** Whether the key did something. */
    function key(name, target) {
      const within = detail.contains(target) && node.classList.contains("split");
      if (name === "j" || (name === "ArrowDown" && !within)) go(1);
      else if (name === "k" || (name === "ArrowUp" && !within)) go(-1);
      else if (name === "ArrowRight" && open >= 0) go(1);
      else if (name === "ArrowLeft" && open >= 0) go(-1);
      else if (name === "/") controls.focus();
      else if (name === "Escape" && open >= 0) close();
      else if (name === "Escape") routes.go(source.up);
      else return false;
      return true;
    }

    return { node, update, key, fixed: true };
  }

  return { create };
})();
