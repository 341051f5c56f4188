// What several pages are made of: headings, tables, lists of facts, hints where there is nothing.
"use strict";

const parts = (() => {
  /** A table that scrolls sideways on its own; `numbers` are the columns that are set to the right. */
  function table(heads, rows, { numbers = [], label, kind = "" } = {}) {
    const head = heads.map((text, place) =>
      dom.h("th", { scope: "col", class: numbers.includes(place) ? "number" : "" }, text),
    );
    const body = dom.h("table", { class: kind }, dom.h("thead", {}, dom.h("tr", {}, head)), dom.h("tbody", {}, rows));
    return dom.h("div", { class: "wide", role: "region", "aria-label": label, tabindex: "0" }, body);
  }

  const number = (text, more) => dom.h("td", { class: "number" }, text, more && dom.h("small", {}, more));

  /** Names with their values; those that are empty are left out. */
  function facts(pairs) {
    const kept = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
    return (
      kept.length > 0 &&
      dom.h(
        "dl",
        { class: "facts" },
        kept.map(([name, value]) => dom.h("div", {}, dom.h("dt", {}, name), dom.h("dd", {}, value))),
      )
    );
  }

  const section = (title, ...content) => dom.h("section", {}, dom.h("h2", {}, title), content);

  /** Says what is missing and what to do; `command` is shown as something to type. */
  const empty = (text, command) =>
    dom.h("div", { class: "empty" }, dom.h("p", {}, text), command && dom.h("pre", {}, dom.h("code", {}, command)));

  /** Something to know of what is shown. */
  const notice = (...content) => dom.h("p", { class: "notice" }, content);

  /** Files that could not be read, folded; nothing where there are none. */
  function problems(lines) {
    if (!lines.length) return null;
    const list = lines.map((line) => dom.h("li", {}, dom.said(line)));
    return dom.h(
      "details",
      { class: "notice", "data-name": "problems" },
      dom.h("summary", {}, `${format.many(lines.length, "problem")} while reading files`),
      dom.h("ul", {}, list),
    );
  }

  const failure = (error) =>
    dom.h("div", { class: "empty failed", role: "alert" }, dom.h("p", {}, dom.said(error.message)));

  /** A question table: how a question is to be answered and how it was, with what is wrong standing out; `word` says what `differ` means. */
  function questions(heads, list, word) {
    const rows = list.map(({ question, gold, answers, differ }) =>
      dom.h(
        "tr",
        { class: differ ? "differ" : "" },
        dom.h("th", { scope: "row" }, dom.said(question), differ && dom.h("span", { class: "tag" }, `≠ ${word}`)),
        dom.h("td", {}, dom.said(gold ?? format.EMPTY)),
        answers.map(({ answer, right }) =>
          dom.h(
            "td",
            { class: right === false ? "is-wrong" : "" },
            marks.sign(right),
            answer && [" ", dom.said(answer)],
          ),
        ),
      ),
    );
    return table(heads, rows, { label: "Questions", kind: "questions" });
  }

  /** Paint a page anew where it stands: what was unfolded, scrolled to the side or in focus is so again. */
  function repaint(node, paint) {
    const opened = new Set([...node.querySelectorAll("details[open]")].map((fold) => fold.dataset.name));
    const moved = new Map(
      [...node.querySelectorAll(".wide")].map((wide) => [wide.getAttribute("aria-label"), wide.scrollLeft]),
    );
    const focus = node.contains(document.activeElement) && document.activeElement.getAttribute("href");
    paint();
    for (const fold of node.querySelectorAll("details")) fold.open = opened.has(fold.dataset.name);
    for (const wide of node.querySelectorAll(".wide"))
      wide.scrollLeft = moved.get(wide.getAttribute("aria-label")) || 0;
    const link = focus && [...node.querySelectorAll("a")].find((one) => one.getAttribute("href") === focus);
    if (link) link.focus({ preventScroll: true });
  }

  return { repaint, table, number, facts, section, empty, notice, problems, failure, questions };
})();
