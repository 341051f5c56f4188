// The controls above a list: search, choices, switches and the order, with how many rows each option would leave.
"use strict";

const filters = (() => {
  const PAUSE = 150; // Milliseconds after the last letter until a search is made.

  /** `change(name, value)` is called with what the reader set; `show(query, counts)` brings the controls up to date. */
  function create(list, sorts, change) {
    const controls = list.map((facet) => ({ facet, ...KINDS[facet.kind](facet, change) }));
    const order = choose(
      "Order",
      Object.entries(sorts).map(([name, { text }]) => [name, text]),
      (value) => change("sort", value),
    );
    const many = dom.h("summary", {}, "Filters");
    const main = controls.filter(({ facet }) => facet.kind === "search");
    const others = controls.filter(({ facet }) => facet.kind !== "search");
    const fold = dom.h("details", { class: "fold" }, many);
    fold.append(
      dom.h(
        "div",
        { class: "controls" },
        others.map(({ node }) => node),
        order.node,
      ),
    );
    const node = dom.h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() });
    node.append(...main.map((control) => control.node), fold);

    function show(query, counts) {
      for (const { facet, update } of controls) update(query[facet.name] || "", counts.get(facet.name));
      order.select.value = query.sort && sorts[query.sort] ? query.sort : Object.keys(sorts)[0];
      const set = list.filter((facet) => query[facet.name]).length;
      many.textContent = set ? `Filters and order (${set} set)` : "Filters and order";
    }

    /** Folded where there is little room. */
    const folded = (narrow) => (fold.open = !narrow && !window.matchMedia("(max-width: 56rem)").matches);

    return { node, show, fold: folded, focus: () => main.length && main[0].input.select() };
  }

  const KINDS = { search, choice, several, toggle, only };

  function search(facet, change) {
    let waiting = 0;
    const input = dom.h("input", {
      type: "search",
      placeholder: facet.label,
      "aria-label": facet.label,
      title: facet.hint,
      autocomplete: "off",
      spellcheck: "false",
    });
    input.addEventListener("input", () => {
      window.clearTimeout(waiting);
      waiting = window.setTimeout(() => change(facet.name, input.value), PAUSE);
    });
    const update = (value) => {
      if (document.activeElement !== input || !value) if (input.value.trim() !== value.trim()) input.value = value;
    };
    return { node: dom.h("div", { class: "search" }, input), input, update };
  }

  function choose(label, options, set) {
    const select = dom.h("select", { onchange: () => set(select.value) });
    dom.show(
      select,
      options.map(([value, text]) => dom.h("option", { value }, text)),
    );
    return { node: dom.h("label", { class: "choose" }, dom.h("span", {}, label), select), select };
  }

  function choice(facet, change) {
    const { node, select } = choose(facet.label, [], (value) => change(facet.name, value));
    if (facet.hint) node.title = facet.hint;
    let last = "";
    function update(value, counts) {
      const names = facet.values ? facet.values.map(([name]) => name) : [...counts.keys()].filter(Boolean).sort();
      if (value && !names.includes(value)) names.push(value);
      const texts = new Map(facet.values || []);
      const options = names.map((name) => [
        name,
        `${texts.get(name) || name} (${format.count(counts.get(name) || 0)})`,
      ]);
      const now = JSON.stringify(options);
      if (now !== last)
        dom.show(
          select,
          dom.h("option", { value: "" }, facet.all || "all"),
          options.map(([name, text]) => dom.h("option", { value: name }, text)),
        );
      last = now;
      select.value = value;
    }
    return { node, update };
  }

  function several(facet, change) {
    const node = dom.h("fieldset", { class: "several" }, dom.h("legend", { class: "unseen" }, facet.label));
    const buttons = new Map();
    let set = new Set();
    for (const name of facet.values) {
      const number = dom.h("span", { class: "count" });
      const button = dom.h("button", { type: "button", class: "chip" }, marks.badge(name), number);
      button.addEventListener("click", () => {
        if (!set.delete(name)) set.add(name);
        change(facet.name, facet.values.filter((value) => set.has(value)).join(","));
      });
      buttons.set(name, { button, number });
      node.append(button);
    }
    function update(value, counts) {
      set = new Set(value ? value.split(",") : []);
      for (const [name, { button, number }] of buttons) {
        const count = counts.get(name) || 0;
        number.textContent = format.count(count);
        button.setAttribute("aria-pressed", String(set.has(name)));
        button.hidden = !count && !set.has(name) && !facet.always.includes(name);
      }
    }
    return { node, update };
  }

  function toggle(facet, change) {
    const number = dom.h("span", { class: "count" });
    const button = dom.h("button", { type: "button", class: "chip", title: facet.hint }, facet.label, number);
    button.addEventListener("click", () =>
      change(facet.name, button.getAttribute("aria-pressed") === "true" ? "" : "1"),
    );
    function update(value, counts) {
      const count = counts.get(true) || 0;
      number.textContent = format.count(count);
      button.setAttribute("aria-pressed", String(Boolean(value)));
      button.hidden = !count && !value;
    }
    return { node: button, update };
  }

  function only(facet, change) {
    const text = dom.said("");
    const node = dom.h("button", {
      type: "button",
      class: "chip",
      "aria-pressed": "true",
      title: "Remove this filter",
      onclick: () => change(facet.name, ""),
    });
    node.append(`${facet.label}: `, text, " ×");
    function update(value) {
      text.textContent = value;
      node.hidden = !value;
    }
    return { node, update };
  }

  return { create };
})();
