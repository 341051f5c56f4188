// The page of a task's samples, or of all tasks' ("*"): the list, its filters, and the sample that is open.
"use strict";

const samples = (() => {
  /** What an older version of Hermes has not kept of these tasks. */
  const old = (tasks) =>
    `${tasks.map((task) => task.title).join(", ")}: prompts, right answers and pictures were not stored by the older version of Hermes that ran this. The same hermes eval again writes them.`;

  async function create({ index, path }) {
    const run = index.runs.find((each) => each.key === path[1]);
    const tasks = chosen(run, path[2]);
    if (!tasks.length) return { ...missing(run, path[2]), crumbs: crumbs(run, path[2], index) };
    let rows = await table.load(run, tasks);
    let progressing = run.running;
    const unstored = tasks.filter((task) => !task.stored);
    const sides = await homologous(run, tasks);
    const page = browse.create({
      base: ["run", run.key, path[2]],
      up: ["run", run.key],
      noun: "sample",
      kind: [
        "samples",
        ...["category", "gold", "answer"].filter((column) => !rows.has(column)).map((column) => `no-${column}`),
      ].join(" "),
      height: 64,
      size: () => rows.size,
      heads: ["", "Id", "Prompt", "Gold", "Answer", "Value"],
      title: dom.h("div", { class: "title" }, heading(run, path[2])),
      above: dom.h("div", {}, unstored.length > 0 && parts.notice(old(unstored)), parts.problems(rows.problems)),
      facets: filters(sides),
      sorts: sorts(tasks),
      thumbs: await hasPictures(rows),
      pictures: async (row) => shown(await rows.detail(row)),
      line,
      name: (row) => marks.word(rows.outcome(row)),
      detail: async (row) => sample.view(await rows.detail(row), rows.outcome(row), links(row)),
      none: parts.empty(
        run.running
          ? "No sample is scored yet; this page follows the run."
          : "This task has no samples: none was asked. The settings of the run say which were chosen.",
      ),
    });

    function filters(found) {
      const at = (column) => (row) => rows.at(row, column) || "";
      return [
        facets.search("find", "Search prompt, answer, gold, id", (row) => rows.text(row), {
          hint: "Of each text, the first 160 characters are searched.",
        }),
        facets.several("is", "Outcome", (row) => rows.outcome(row), {
          values: marks.names,
          always: rows.has("right") ? ["right", "wrong"] : [],
        }),
        facets.toggle("cut", "✂ Cut", (row) => rows.at(row, "cut") === 1, {
          hint: "The answer reached the limit of new tokens, or the prompt was cut.",
        }),
        path[2] === "*" &&
          facets.choice("task", "Benchmark", (row) => rows.task(row).key, {
            values: tasks.map((task) => [task.key, task.title]),
          }),
        rows.has("category") && facets.choice("category", "Category", at("category")),
        found && items.facet((row) => found.get(at("group")(row)) || found.get(at("id")(row)) || ""),
        facets.only("group", "Group", at("group")),
      ].filter(Boolean);
    }

    function line(row) {
      const outcome = rows.outcome(row);
      const [id, category, prompt, gold, answer] = ["id", "category", "prompt", "gold", "answer"].map(
        (column) => rows.at(row, column) || "",
      );
      const kind = path[2] === "*" ? rows.task(row).title : category;
      return [
        dom.h(
          "span",
          { class: "c0" },
          marks.badge(outcome),
          rows.at(row, "cut") === 1 && dom.h("span", { class: "cut", title: "cut" }, "✂", dom.unseen("cut")),
        ),
        dom.h(
          "span",
          { class: "c1" },
          dom.said(id),
          rows.at(row, "index") > 0 && ` #${rows.at(row, "index")}`,
          kind && dom.h("small", {}, dom.said(kind)),
        ),
        dom.h("span", { class: "c2", dir: "auto" }, prompt),
        dom.h("span", { class: "c3", dir: "auto" }, gold),
        dom.h("span", { class: "c4", dir: "auto" }, answer),
        dom.h(
          "span",
          { class: "c5" },
          rows.at(row, "value") === null ? format.EMPTY : format.plain(rows.at(row, "value")),
        ),
      ];
    }

    function links(row) {
      const group = rows.at(row, "group");
      const base = ["run", run.key, path[2]];
      return [
        [
          "Benchmark",
          path[2] === "*" && dom.link(["run", run.key, rows.task(row).key], {}, {}, dom.said(rows.task(row).title)),
        ],
        ["Samples of this group", group && dom.link(base, { group }, {}, "show")],
      ].map(([name, value]) => [name, value || null]);
    }

    function sorts(all) {
      const values = all.length === 1 ? ` (${all[0].headline})` : "";
      return {
        asked: { text: "as asked" },
        low: { text: `lowest value first${values}`, key: (row) => rows.at(row, "value") },
        high: { text: `highest value first${values}`, key: (row) => rows.at(row, "value"), down: true },
        id: { text: "by id", key: (row) => rows.at(row, "id") },
        category: { text: "by category", key: (row) => rows.at(row, "category") },
        long: { text: "longest answers first", key: (row) => (rows.at(row, "answer") || "").length, down: true },
      };
    }

    /** A run in progress has new rows every few seconds. */
    async function refresh(now, route) {
      const running = now.runs.some((each) => each.key === run.key && each.running);
      if (!running && !progressing) return; // Once more after its end, for the last scores.
      const fresh = await table.load(run, tasks, true);
      progressing = running;
      if (fresh.state === rows.state) return;
      const open = Number(route.path[3]);
      const to = open < rows.size ? fresh.row(rows.task(open), rows.at(open, "id"), rows.at(open, "index")) : open;
      rows.forget();
      rows = fresh;
      const path = to === open || to < 0 ? route.path : [...route.path.slice(0, 3), String(to)];
      page.update({ ...route, path }, true);
      if (path !== route.path) routes.go(path, route.query, true); // The open sample has another place now.
    }

    return { ...page, refresh, crumbs: crumbs(run, path[2], index) };
  }

  const shown = (detail) => [detail.drawn, ...(detail.images || [])].filter(Boolean);

  /** 1 where the first sample has a picture, so that a task without pictures keeps no room for them. */
  async function hasPictures(rows) {
    if (!rows.size) return 0;
    return rows.detail(0).then(
      (first) => Math.min(shown(first).length, 1),
      () => 0,
    );
  }

  const chosen = (run, key) => run.tasks.filter((task) => task.rows !== null && (key === "*" || task.key === key));

  const crumbs = (run, key, index) => {
    const task = run.tasks.find((each) => each.key === key);
    return [
      ...runPage.crumbs(run, index),
      [key === "*" ? "All samples" : task ? task.title : key, ["run", run.key, key]],
    ];
  };

  /** The benchmark, as a choice where the run has several. */
  function heading(run, key) {
    const options = [["*", "all benchmarks"], ...chosen(run, "*").map((task) => [task.key, task.title])];
    if (options.length < 3) return dom.h("h1", { tabindex: "-1" }, "Samples of ", dom.said(options.at(-1)[1]));
    const select = dom.h("select", {
      "aria-label": "Benchmark",
      onchange: () => routes.go(["run", run.key, select.value], keep(routes.read(window.location.hash).query)),
    });
    dom.show(
      select,
      options.map(([value, text]) => dom.h("option", { value }, text)),
    );
    select.value = key;
    return [dom.h("h1", { tabindex: "-1" }, "Samples of"), select];
  }

  /** Filters that mean the same in every benchmark. */
  const keep = ({ is, cut, find, sort }) => ({ is, cut, find, sort });

  /** Which sides are right, by the item's id, where the samples are those of homologous items. */
  async function homologous(run, tasks) {
    if (!runPage.bothSides(run) || !tasks.every((task) => task.name.startsWith("homologous-"))) return null;
    const found = await data.load(`runs/${run.key}/homologous`);
    return new Map(found.id.map((id, place) => [id, items.side(found.u[place], found.g[place])]));
  }

  function missing(run, key) {
    const task = run.tasks.find((each) => each.key === key);
    const text = task
      ? "The samples of this task were not stored, or their files were removed. Run the same evaluation again to look at them; its scores stay as they are."
      : "This run has no such task.";
    const node = dom.h(
      "div",
      { class: "page" },
      parts.empty(text),
      dom.link(["run", run.key], {}, {}, "Back to the run"),
    );
    return { node, update: () => {}, key: (name) => name === "Escape" && (routes.go(["run", run.key]), true) };
  }

  return { create };
})();
