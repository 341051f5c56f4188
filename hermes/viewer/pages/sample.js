// One sample in full: what was asked and shown, what came back, how it was read and judged, and why it scored so.
"use strict";

const sample = (() => {
  /** `outcome` is a name of marks; `links` are facts that lead to related samples. */
  function view(row, outcome, links) {
    const head = dom.h(
      "header",
      { class: "head" },
      marks.badge(outcome),
      notes(row),
      dom.h("h1", { tabindex: "-1" }, dom.said(row.id), row.index ? ` #${row.index}` : ""),
    );
    return dom.h(
      "article",
      { class: "sample" },
      head,
      fault(row),
      row.drawn || row.judge ? made(row) : dom.h("div", { class: "asked" }, answered(row)),
      figures(row),
      facts(row, links),
    );
  }

  function notes(row) {
    return [
      row.truncated &&
        dom.h("span", { class: "tag warn", title: "The answer reached the limit of new tokens." }, "✂ answer cut"),
      row.prompt_cut &&
        dom.h("span", { class: "tag warn", title: "The model read a part of the prompt only." }, "✂ prompt cut"),
    ];
  }

  const fault = (row) => row.error && box("Error", dom.block(row.error), "failed");
  const box = (title, content, kind = "") =>
    dom.h("section", { class: `box ${kind}` }, dom.h("h2", {}, title), content);
  const long = (text) => text && text.length > 120;
  const words = (title, text, kind) =>
    text !== null &&
    text !== undefined &&
    box(title, text === "" ? dom.h("p", { class: "soft" }, "empty") : dom.block(text), kind);

  /** Understanding: pictures and prompt, then the answer beside what was expected. */
  function answered(row) {
    const read =
      (row.status !== "error" || row.prediction !== null) &&
      box(
        "Read as",
        [
          row.prediction === null || row.prediction === undefined
            ? dom.h("p", { class: "soft" }, "nothing")
            : dom.block(row.prediction),
          row.reason && dom.h("p", { class: "reason" }, dom.said(row.reason)),
        ],
        long(row.prediction) ? "whole" : "",
      );
    return [
      shown(row),
      dom.h(
        "div",
        {},
        words("Prompt", row.prompt),
        choices(row),
        dom.h(
          "div",
          { class: "compared" },
          words("Answer", row.answer, long(row.answer) ? "whole" : "answer"),
          read,
          words("Gold", row.gold, long(row.gold) ? "whole" : ""),
        ),
        spoken(row),
      ),
    ];
  }

  /** Generation: the picture with what was found in it, beside the questions about it. */
  function made(row) {
    const { questions = [], boxes = [], name } = row.judge || {};
    const figure = pictures.figure(row.drawn, "Drawn picture", { boxes, side: 384 });
    const drawn = dom.h("div", {}, figure);
    const detected =
      row.judge && (boxes.length || !questions.length) ? box("Detections", pictures.detections(boxes, drawn)) : null;
    const asked = questions.map(({ question, expected, answer, right }) => ({
      question,
      gold: expected,
      answers: [{ answer, right }],
    }));
    const judged =
      asked.length > 0 &&
      box(
        `Questions to the judge${name ? `, ${name}` : ""}`,
        parts.questions(["Question", "Expected", "Judge's answer"], asked),
      );
    const why = row.reason && box("Why", dom.block(row.reason));
    const rest = [
      words("Prompt", row.prompt),
      words("Plan of the model", row.plan),
      why,
      judged,
      !asked.length && row.prediction && words("Read as", row.prediction),
      detected,
      words("Gold", row.gold),
      words("Answer", row.answer),
      spoken(row),
    ];
    return dom.h("div", { class: "drawn" }, dom.h("div", {}, drawn, shown(row)), dom.h("div", {}, rest));
  }

  const shown = (row) =>
    row.images &&
    row.images.length > 0 &&
    dom.h(
      "div",
      { class: "pictures" },
      row.images.map((picture, place) =>
        pictures.figure(picture, row.images.length > 1 ? `Picture ${place + 1}` : "Picture shown"),
      ),
    );

  function choices(row) {
    if (!row.choices || !row.choices.length) return null;
    const letter = (place) => String.fromCharCode(65 + place);
    const is = (text, place, wanted) => typeof wanted === "string" && [letter(place), text].includes(wanted.trim());
    const items = row.choices.map((text, place) => {
      const tags = [
        is(text, place, row.gold) && dom.h("span", { class: "tag good" }, "gold"),
        is(text, place, row.prediction) && dom.h("span", { class: "tag" }, "read"),
      ];
      return dom.h("li", {}, dom.h("span", { class: "letter" }, letter(place)), " ", dom.said(text), tags);
    });
    return box("Choices", dom.h("ol", { class: "choices" }, items));
  }

  function spoken(row) {
    const said = (row.judge && row.judge.words) || [];
    return (
      said.length > 0 &&
      box(
        `The judge's words${row.judge.name ? `, ${row.judge.name}` : ""}`,
        said.map((text) => dom.block(text, { class: "quote" })),
      )
    );
  }

  function figures(row) {
    const values = Object.entries(row.values || {}).map(([name, value]) => [dom.said(name), format.plain(value)]);
    return values.length > 0 && box("Values", parts.facts(values));
  }

  function facts(row, links) {
    const tags = Object.entries(row.tags || {}).map(([name, value]) => [dom.said(name), dom.said(String(value))]);
    const time = format.has(row.seconds) ? `${format.number(row.seconds, row.seconds < 1 ? 3 : 1)} s` : null;
    const fixed = [["Group", row.group && dom.said(row.group)], ["Time", time], ...links];
    return box("About", parts.facts([...tags, ...fixed]));
  }

  return { view };
})();
