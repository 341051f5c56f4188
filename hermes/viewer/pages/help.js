// The dialog behind "?": which keys there are, and what the words and signs on the pages mean.
"use strict";

const help = (() => {
  const KEYS = [
    ["j or ↓ or →", "next"],
    ["k or ↑ or ←", "previous"],
    ["/", "search"],
    ["Esc", "back: from a sample to its list, from there to the run"],
    ["?", "this help"],
  ];
  const TERMS = [
    ["U", "understanding: the share of an item's questions that the model answers rightly about the real picture"],
    [
      "G",
      "generation: the share of the same questions that are answered rightly about the picture that the model drew",
    ],
    ["Gap", "U − G over the same items, with its 95 % interval; nearer to 0 is better; on a line it is the whisker, drawn from U"],
    ["Partly", "a sample whose value lies between wrong and right, such as a share of its questions"],
    ["Unparsed", "an answer that the scorer could not read; it counts as its protocol says, mostly as wrong"],
    ["Error", "a sample that could not be answered or judged; it is counted, and in no mean"],
    ["Cut", "an answer that reached the limit of new tokens, or a prompt of which the model read a part only"],
    ["Gold", "the answer that is expected"],
    ["Margin", "the winner's score less the loser's"],
  ];
  let dialog = null;

  function open() {
    dialog = dialog || build();
    if (!dialog.open) dialog.showModal();
  }

  function build() {
    const rows = (pairs, tag) =>
      pairs.map(([name, text]) => dom.h("div", {}, dom.h("dt", {}, dom.h(tag, {}, name)), dom.h("dd", {}, text)));
    const close = dom.h("button", { type: "button", onclick: () => node.close() }, "Close");
    const node = dom.h("dialog", { id: "about", "aria-labelledby": "about-title" });
    node.append(
      dom.h("h1", { id: "about-title" }, "Keyboard and terms"),
      dom.h("dl", {}, rows(KEYS, "kbd")),
      dom.h("dl", {}, rows(TERMS, "b")),
      close,
    );
    document.body.append(node);
    return node;
  }

  return { open };
})();
