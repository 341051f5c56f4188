// Builds elements. What comes from outside only ever becomes text, so nothing in it is markup.
"use strict";

const dom = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const LONG = 1500; // Characters of a text that are shown before "Show all".

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "style") for (const [key, text] of Object.entries(value)) node.style.setProperty(key, text);
      else node.setAttribute(name, value === true ? "" : String(value));
    }
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  }

  /** An element; attributes that are null or false are left out, `on...` are listeners, children may be nested. */
  const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

  /** The same for SVG. */
  const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

  /** A text from outside within a line of ours: its direction does not touch what stands around it. */
  const said = (text, attributes) => h("bdi", attributes, text);

  /** A text from outside as a block of its own, line breaks kept; a long one is folded. */
  function block(text, attributes) {
    const body = h("div", { dir: "auto", ...attributes, class: `text ${(attributes && attributes.class) || ""}` });
    if (text.length <= LONG) {
      body.append(text);
      return body;
    }
    const all = h("button", { type: "button", class: "more" }, `Show all ${format.count(text.length)} characters`);
    all.addEventListener("click", () => {
      body.textContent = text;
      all.remove();
    });
    body.append(`${text.slice(0, LONG)}…`);
    return h("div", {}, body, all);
  }

  /** Texts that only a screen reader gives. */
  const unseen = (text) => h("span", { class: "unseen" }, text);

  const link = (path, query, attributes, ...children) =>
    h("a", { ...attributes, href: routes.hash(path, query) }, ...children);

  function show(node, ...children) {
    node.replaceChildren(...children.flat(Infinity).filter(Boolean));
  }

  return { h, s, said, block, unseen, link, show };
})();
