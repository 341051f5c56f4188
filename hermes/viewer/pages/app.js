// Shows the page that the address asks for, passes keys to it, and follows runs that are in progress.
"use strict";

(() => {
  const EVERY = 4000; // Milliseconds between two looks at a run in progress.
  const main = document.getElementById("main");
  const live = document.getElementById("live");
  let index = null;
  let page = null;
  let where = ""; // The part of the address that says which page it is; the rest is the page's own.
  let turn = 0;

  /** How a path is read: the page that shows it, and how many of its parts say which page it is. */
  function reading(path) {
    const [kind, key, third] = path;
    if (!path.length) return [overview, 0];
    const known = kind === "run" ? index.runs : kind === "play" ? index.plays : [];
    if (!known.some((one) => one.key === key)) return [lost, path.length];
    if (kind === "run")
      return third === undefined
        ? [runPage, 2]
        : [third === "homologous" && !task(key, third) ? homologous : samples, 3];
    if (third === "items") return [rounds, 3];
    return third === "pairs" && path[3] ? [pairs, 4] : [playPage, 2];
  }

  const task = (run, key) => index.runs.find((one) => one.key === run).tasks.some((one) => one.key === key);

  const lost = {
    create: () => ({
      node: dom.h(
        "div",
        { class: "page" },
        parts.empty(
          "There is nothing at this address. The run may have been removed, or the link is of another folder.",
        ),
        dom.link([], {}, {}, "All runs"),
      ),
      update: () => {},
      key: () => false,
      crumbs: [],
    }),
  };

  async function arrive() {
    const route = routes.read(window.location.hash);
    const [maker, depth] = reading(route.path);
    const now = JSON.stringify(route.path.slice(0, depth));
    if (page && now === where) return page.update(route);
    const mine = (turn += 1);
    main.setAttribute("aria-busy", "true");
    const first = where === "";
    where = now;
    page = null;
    let made;
    try {
      made = await maker.create({ index, path: route.path });
    } catch (error) {
      made = {
        node: dom.h("div", { class: "page" }, parts.failure(error), dom.link([], {}, {}, "All runs")),
        update: () => {},
        key: () => false,
        crumbs: [],
      };
    }
    if (mine !== turn) return;
    page = made;
    document.body.classList.toggle("fixed", Boolean(page.fixed));
    dom.show(main, page.node);
    window.scrollTo(0, 0);
    crumbs(page.crumbs);
    page.update(routes.read(window.location.hash));
    main.setAttribute("aria-busy", "false");
    const heading = main.querySelector("h1");
    if (heading && !first) heading.focus({ preventScroll: true });
  }

  function crumbs(steps) {
    const links = [["Hermes", []], ...steps].map(([text, path], place, all) => {
      const last = place === all.length - 1;
      return dom.h(
        "li",
        {},
        dom.link(path, {}, { class: place ? "" : "brand", "aria-current": last && "page" }, dom.said(text)),
      );
    });
    dom.show(document.getElementById("crumbs"), links);
    document.title = ["Hermes", ...steps.map(([text]) => text)].reverse().join(" · ");
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.closest("input, textarea, select");
    if (typing) {
      if (event.key === "Escape") typing.blur();
      return;
    }
    if (event.key === "?") help.open();
    else if (!page || !page.key(event.key, event.target)) return;
    event.preventDefault();
  });

  /** Ask for the index again; what has changed is shown without moving the reader. */
  async function follow() {
    await look().catch((error) => console.warn(error.message)); // The next look may find what this one did not.
    window.setTimeout(follow, EVERY);
  }

  async function look() {
    if (document.visibilityState !== "visible") return;
    const now = await data.load("index", true).catch(() => null);
    live.textContent = now ? "live" : "the server does not answer";
    live.classList.toggle("failed", !now);
    if (!now) return;
    const changed = JSON.stringify(now) !== JSON.stringify(index);
    index = now;
    if (page && page.refresh && (changed || page.fixed)) await page.refresh(now, routes.read(window.location.hash));
  }

  async function start() {
    try {
      index = await data.load("index");
    } catch (error) {
      return dom.show(main, dom.h("div", { class: "page" }, parts.failure(error)));
    }
    live.hidden = !index.live;
    window.addEventListener("hashchange", arrive);
    await arrive();
    if (index.live) window.setTimeout(follow, EVERY);
  }

  document.getElementById("help").addEventListener("click", help.open);
  document.getElementById("skip").addEventListener("click", () => main.focus());
  start();
})();
