// Both sides of every homologous item: the real picture, what was drawn from its caption, the same questions about both.
"use strict";

const homologous = (() => {
  async function create({ index, path }) {
    const run = index.runs.find((each) => each.key === path[1]);
    const base = ["run", run.key, "homologous"];
    const name = `runs/${run.key}/homologous`;
    const all = await data.load(name);
    const texts = items.texts(all);
    const gap = (row) => (format.has(all.u[row]) && format.has(all.g[row]) ? all.u[row] - all.g[row] : null);
    const page = browse.create({
      base,
      up: ["run", run.key],
      noun: "item",
      kind: "homologous",
      height: 64,
      size: () => all.n,
      heads: ["Id", "Caption", "U", "G", "U − G"],
      title: dom.h("div", { class: "title" }, dom.h("h1", { tabindex: "-1" }, "Both sides of every item")),
      facets: [
        facets.search("find", "Search caption, id", (row) => texts[row]),
        items.facet((row) => items.side(all.u[row], all.g[row])),
      ],
      sorts: {
        asked: { text: "as asked" },
        gap: { text: "U most above G first", key: gap, down: true },
        back: { text: "G most above U first", key: gap },
        u: { text: "lowest U first", key: (row) => all.u[row] },
        g: { text: "lowest G first", key: (row) => all.g[row] },
      },
      thumbs: 2,
      pictures: async (row) => {
        const item = await data.entry(name, "items", all.chunk, row);
        return [item.real, item.drawn[0].picture];
      },
      line: (row) => [
        dom.h("span", { class: "c0" }, dom.said(all.id[row])),
        dom.h("span", { class: "c1", dir: "auto" }, all.caption[row]),
        dom.h("span", { class: "c2" }, items.score("u", all.u[row])),
        dom.h("span", { class: "c3" }, items.score("g", all.g[row])),
        dom.h("span", { class: "c4" }, format.signed(gap(row), 3)),
      ],
      name: (row) => `U ${format.number(all.u[row], 3)}, G ${format.number(all.g[row], 3)}`,
      detail: async (row) => view(await data.entry(name, "items", all.chunk, row)),
      none: parts.empty(
        "This run holds no item with both sides. Evaluate homologous-u and homologous-g together:",
        `hermes eval --model ${run.model} --tasks homologous-u,homologous-g`,
      ),
    });
    return { ...page, crumbs: [...runPage.crumbs(run, index), ["Both sides", base]] };
  }

  function view(item) {
    const alike = items.alike(item);
    const names = items.names(item.drawn);
    const drawn = item.drawn.map((one, place) =>
      pictures.figure(one.picture, names[place], { below: items.below(one) }),
    );
    const real = pictures.figure(item.real, "Real picture", { below: items.score("u", item.u) });
    return dom.h(
      "article",
      { class: "sample" },
      dom.h(
        "header",
        { class: "head" },
        dom.h("h1", { tabindex: "-1" }, dom.said(item.id)),
        alike && dom.h("span", { class: "tag" }, alike),
      ),
      item.caption && dom.h("section", { class: "box" }, dom.h("h2", {}, "Caption"), dom.block(item.caption)),
      dom.h("div", { class: "pictures sides" }, real, drawn),
      item.questions.length ? items.questions(item) : parts.empty("No question was asked about this item."),
    );
  }

  return { create };
})();
