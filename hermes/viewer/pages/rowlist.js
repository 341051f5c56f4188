// A list of any length of which only the rows in sight exist.
"use strict";

const rowlist = (() => {
  const SPARE = 6; // Rows beyond the edges that are there already.

  /** `draw(row)` gives the content of a row as a link; all rows are `height` pixels high. */
  function create(height, draw) {
    const inner = dom.h("ol", { class: "rows" });
    const node = dom.h("div", { class: "scroll", tabindex: "0" }, inner);
    const drawn = new Map(); // position -> element
    let order = [];
    let current = -1;
    let asked = 0;

    function paint() {
      asked = 0;
      const first = Math.max(0, Math.floor(node.scrollTop / height) - SPARE);
      const last = Math.min(order.length, Math.ceil((node.scrollTop + node.clientHeight) / height) + SPARE);
      for (const [position, element] of drawn) {
        if (position >= first && position < last) continue;
        element.remove();
        drawn.delete(position);
      }
      for (let position = first; position < last; position += 1) if (!drawn.has(position)) add(position);
    }

    function add(position) {
      const row = order[position];
      const item = dom.h(
        "li",
        {
          "aria-posinset": position + 1,
          "aria-setsize": order.length,
          style: { top: `${position * height}px`, height: `${height}px` },
        },
        draw(row),
      );
      item.firstChild.toggleAttribute("aria-current", row === current);
      drawn.set(position, item);
      const next = drawn.get(position + 1);
      if (next) next.before(item);
      else inner.append(item);
    }

    const later = () => (asked = asked || window.requestAnimationFrame(paint));
    node.addEventListener("scroll", later, { passive: true });
    new ResizeObserver(later).observe(node);

    /** These rows in this order; the place in the list is kept unless `top`. */
    function show(rows, top) {
      order = rows;
      inner.style.height = `${rows.length * height}px`;
      for (const element of drawn.values()) element.remove();
      drawn.clear();
      if (top) node.scrollTop = 0;
      paint();
    }

    /** Mark this row as the open one and bring it into sight. */
    function open(row) {
      current = row;
      for (const [position, element] of drawn)
        element.firstChild.toggleAttribute("aria-current", order[position] === row);
      const position = order.indexOf(row);
      if (position < 0 || !node.clientHeight) return;
      const top = position * height;
      if (top < node.scrollTop) node.scrollTop = top;
      else if (top + height > node.scrollTop + node.clientHeight) node.scrollTop = top + height - node.clientHeight;
    }

    return { node, show, open };
  }

  return { create };
})();
