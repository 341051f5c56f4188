// Right, wrong, unparsed, error, cut: each with a sign, a word and a colour, so that no one of them carries the meaning.
"use strict";

const marks = (() => {
  const ALL = {
    right: { sign: "✓", word: "Right" },
    partly: { sign: "◐", word: "Partly" },
    wrong: { sign: "✗", word: "Wrong" },
    scored: { sign: "•", word: "Scored" },
    unparsed: { sign: "?", word: "Unparsed" },
    error: { sign: "!", word: "Error" },
    answered: { sign: "…", word: "Answered" },
  };

  /** What became of an answer: one that is unparsed, failed or not scored yet is that, whatever value it has. */
  function outcome(status, right, value) {
    if (status !== "scored" && status in ALL) return status;
    if (right === 1) return "right";
    if (right !== 0) return "scored";
    return value > 0 ? "partly" : "wrong";
  }

  /** Sign and word. */
  const badge = (name) =>
    dom.h(
      "span",
      { class: `mark ${name}` },
      dom.h("span", { class: "sign", "aria-hidden": "true" }, ALL[name].sign),
      ALL[name].word,
    );

  /** The sign alone, its word for those who do not see it. */
  function sign(right) {
    const name = right === null || right === undefined ? null : right ? "right" : "wrong";
    if (!name) return dom.h("span", { class: "mark none", title: "not judged" }, "–", dom.unseen("not judged"));
    const seen = dom.h("span", { class: "sign", "aria-hidden": "true" }, ALL[name].sign);
    return dom.h("span", { class: `mark ${name}`, title: ALL[name].word }, seen, dom.unseen(ALL[name].word));
  }

  const word = (name) => ALL[name].word;

  return { names: Object.keys(ALL), outcome, badge, sign, word };
})();
