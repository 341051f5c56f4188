// What lists of homologous items share: a real picture, drawn pictures, the same questions about both.
"use strict";

const items = (() => {
  const SIDES = [
    ["u", "U right, G wrong"],
    ["g", "G right, U wrong"],
    ["both", "both right"],
    ["none", "both wrong"],
  ];
  const HINT = "A side is right where it answers every question of the item rightly.";

  /** Which sides of an item answer everything rightly; empty where one of them was not measured. */
  function side(u, g) {
    if (!format.has(u) || !format.has(g)) return "";
    if (u >= 1) return g >= 1 ? "both" : "u";
    return g >= 1 ? "g" : "none";
  }

  const facet = (of) => facets.choice("sides", "U and G", of, { values: SIDES, hint: HINT });

  /** Whether a question is answered right on one side alone, about any of the drawn pictures. */
  const differs = (one) =>
    typeof one.real_right === "boolean" &&
    one.drawn.some(({ right }) => typeof right === "boolean" && right !== one.real_right);

  /** What a search looks through, one text an item. */
  const texts = (all) => all.caption.map((caption, row) => `${all.id[row]}\n${caption}`.toLowerCase());

  /** How many questions differ; empty where none does and some are not judged on both sides. */
  function alike({ questions }) {
    const many = questions.filter(differs).length;
    if (many) return `${format.many(many, "question")} of ${questions.length} right on one side only`;
    const judged = questions.flatMap((one) => [one.real_right, ...one.drawn.map(({ right }) => right)]);
    return judged.every((right) => typeof right === "boolean") ? "alike on both sides" : "";
  }

  /** What the drawn pictures of an item are called. */
  const names = (drawn) => drawn.map((_, place) => `Drawn picture${drawn.length > 1 ? ` ${place + 1}` : ""}`);

  /** The questions of an item, with the answers about the real picture and about each that was drawn. */
  function questions(item) {
    const rows = item.questions.map((one) => ({
      question: one.question,
      gold: one.gold,
      differ: differs(one),
      answers: [{ answer: one.real_answer, right: one.real_right }, ...one.drawn],
    }));
    const heads = names(item.drawn).map((name) => `${name} (G)`);
    return parts.questions(["Question", "Gold", "Real picture (U)", ...heads], rows, "differs");
  }

  /** "U 1.000", with its sign. */
  const score = (name, value) =>
    dom.h("span", { class: "side-score" }, plots.key(name), `${name.toUpperCase()} ${format.number(value, 3)}`);

  /** What stands below a drawn picture: its own score, and what was planned. */
  const below = ({ g, plan }) => [
    score("g", g),
    plan && dom.h("span", { class: "plan" }, "planned: ", dom.said(plan)),
  ];

  return { side, facet, alike, names, texts, questions, score, below };
})();
