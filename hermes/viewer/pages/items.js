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

  /** Whether a question is answered right on one side alone. */
  const differs = (one) =>
    typeof one.real_right === "boolean" && typeof one.drawn_right === "boolean" && one.real_right !== one.drawn_right;

  /** What a search looks through, one text an item. */
  const texts = (all) => all.caption.map((caption, row) => `${all.id[row]}\n${caption}`.toLowerCase());

  /** The questions, those first that the two sides do not answer alike right. */
  function questions(list) {
    const rows = list.map((one) => ({
      question: one.question,
      gold: one.gold,
      differ: differs(one),
      answers: [
        { answer: one.real_answer, right: one.real_right },
        { answer: one.drawn_answer, right: one.drawn_right },
      ],
    }));
    return parts.questions(["Question", "Gold", "Real picture (U)", "Drawn picture (G)"], rows, "differs");
  }

  /** "U 1.000", with its sign. */
  const score = (name, value) =>
    dom.h("span", { class: "side-score" }, plots.key(name), `${name.toUpperCase()} ${format.number(value, 3)}`);

  return { side, facet, differs, texts, questions, score };
})();
