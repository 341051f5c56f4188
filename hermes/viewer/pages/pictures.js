// Pictures: small ones enlarged without blur, missing ones said as such, detections drawn on top.
"use strict";

const pictures = (() => {
  const SMALL = 96; // Pixels; up to here a picture is enlarged by a whole factor.
  const SIDE = 240; // How large the longer side of an enlarged picture becomes, at most.

  const PAUSE = 150; // Milliseconds that a row stays in sight before its pictures are asked for.
  const LETTER = 7; // About how wide a letter in a picture is, in pixels.

  const there = (picture) => Boolean(picture && typeof picture.src === "string" && picture.src.startsWith("media/"));

  /** A picture with its name below; it opens on its own when it is followed. `side` is the longest side shown. */
  function figure(picture, name, { boxes = [], side = SIDE, below = null } = {}) {
    const caption = dom.h("figcaption", {}, dom.h("span", { class: "name" }, name), below);
    if (!there(picture)) {
      const why = (picture && picture.missing) || "no picture";
      return dom.h(
        "figure",
        {},
        dom.h("div", { class: "lost", style: { width: `${side}px` } }, dom.said(why)),
        caption,
      );
    }
    const [width, height] = shown(picture, side);
    const image = dom.h("img", {
      src: picture.src,
      alt: name,
      width,
      height,
      loading: "lazy",
      class: isSmall(picture) ? "small" : "",
    });
    const frame = dom.h(
      "a",
      { class: "frame", href: picture.src, target: "_blank", rel: "noopener", title: title(picture) },
      image,
    );
    image.addEventListener("error", () => {
      frame.replaceWith(
        dom.h("div", { class: "lost", style: { width: `${width}px` } }, `${picture.src} could not be read`),
      );
    });
    if (boxes.length) frame.append(overlay(boxes, width, height));
    return dom.h("figure", { style: { "max-width": `${Math.max(width, 140)}px` } }, frame, caption);
  }

  const title = (picture) =>
    picture.width ? `${picture.width} × ${picture.height} pixels; opens the picture` : "opens the picture";

  function shown(picture, side) {
    const longest = Math.max(picture.width || 0, picture.height || 0);
    if (!longest) return [side, side];
    const fit = side / longest;
    const factor = longest <= SMALL && fit > 1 ? Math.max(1, Math.floor(fit)) : Math.min(1, fit);
    return [Math.round(picture.width * factor), Math.round(picture.height * factor)];
  }

  /** Boxes in pixels of the shown picture: a dark line on a light one is seen on every ground. */
  function overlay(boxes, width, height) {
    const drawn = boxes.map(({ label, box }, place) => {
      const [left, top, right, bottom] = box.map((part, axis) => part * (axis % 2 ? height : width));
      const area = { x: left, y: top, width: Math.max(right - left, 1), height: Math.max(bottom - top, 1) };
      const whole = `${place + 1} ${label}`;
      const name = whole.length * LETTER <= area.width ? whole : String(place + 1);
      const words = { x: Math.min(left + 4, width - 20), y: top > 16 ? top - 5 : Math.min(top + 14, height - 4) };
      return dom.s(
        "g",
        { "data-box": place },
        dom.s("rect", { ...area, class: "halo" }),
        dom.s("rect", area),
        dom.s("text", words, name),
      );
    });
    const names = boxes.map(({ label }) => label).join(", ");
    return dom.s(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, class: "boxes", role: "img", "aria-label": `Detected: ${names}` },
      drawn,
    );
  }

  /** The detections in words; the one that is pointed at stands out in the picture of `owner`. */
  function detections(boxes, owner) {
    if (!boxes.length) return dom.h("p", { class: "soft" }, "Nothing was detected.");
    const point = (place, on) => {
      for (const box of owner.querySelectorAll("[data-box]"))
        box.classList.toggle("dim", on && Number(box.dataset.box) !== place);
    };
    const rows = boxes.map(({ label, score }, place) =>
      dom.h(
        "tr",
        { onpointerenter: () => point(place, true), onpointerleave: () => point(place, false) },
        dom.h("td", { class: "number" }, place + 1),
        dom.h("td", {}, dom.said(label)),
        dom.h("td", { class: "number" }, format.number(score, 2)),
      ),
    );
    return parts.table(["#", "Detected", "Score"], rows, { numbers: [0, 2], label: "Detections" });
  }

  /** Small pictures for a row of a list; `find` promises them. A row that has left by then asks for nothing. */
  function thumbs(count, find, wait) {
    const frames = Array.from({ length: count }, () => dom.h("span", { class: "thumb" }));
    const node = dom.h("span", { class: "thumbs", "aria-hidden": "true" }, frames);
    const fill = async () => {
      const found = node.isConnected ? await find().catch(() => []) : [];
      frames.forEach((frame, place) => there(found[place]) && frame.append(thumb(found[place])));
    };
    window.setTimeout(fill, wait ? PAUSE : 0);
    return node;
  }

  const thumb = (picture) => dom.h("img", { src: picture.src, alt: "", class: isSmall(picture) ? "small" : "" });
  const isSmall = (picture) => Math.max(picture.width || 0, picture.height || 0) <= SMALL;

  return { figure, thumbs, detections };
})();
