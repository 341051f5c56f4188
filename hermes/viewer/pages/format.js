// How numbers, intervals and times are spelled: one format for one unit.
"use strict";

const format = (() => {
  const MINUS = "−";
  const EMPTY = "–";
  const has = (value) => typeof value === "number" && Number.isFinite(value);
  const number = (value, digits) =>
    has(value)
      ? value
          .toFixed(digits)
          .replace(/^-(?=.*[1-9])/, MINUS)
          .replace(/^-/, "")
      : EMPTY;
  const count = (value) => (has(value) ? value.toLocaleString("en-US") : EMPTY);

  /** Three digits for fractions, one for percent and points. */
  const digits = (unit) => (unit === "0..1" ? 3 : 1);
  const value = (amount, unit) => number(amount, digits(unit));
  const signed = (amount, places) => (has(amount) && amount > 0 ? "+" : "") + number(amount, places);
  const span = (low, high, places) =>
    has(low) && has(high) ? `[${number(low, places)}, ${number(high, places)}]` : "";

  /** A number whose unit is unknown: whole numbers as they are, others with up to three digits. */
  const plain = (amount) => (Number.isInteger(amount) ? count(amount) : number(amount, 3));
  /** How many answers of a task are counted, and "of 900" where more are expected. */
  const answers = ({ n, counts: { scored, unparsed = 0, error = 0 } }) => (has(scored) ? scored + unparsed + error : n);
  const missing = (task) => has(task.n_expected) && answers(task) < task.n_expected && `of ${count(task.n_expected)}`;
  const many = (amount, noun) => `${count(amount)} ${noun}${amount === 1 ? "" : "s"}`;

  /** "2026-11-26 14:05" of an ISO time, in the reader's own zone; a text that is no time stays as it is. */
  function time(text) {
    const date = new Date(text);
    if (!text || Number.isNaN(date.getTime())) return text || "";
    const two = (part) => String(part).padStart(2, "0");
    const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
    return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
  }

  return { EMPTY, has, number, count, digits, value, signed, span, plain, answers, missing, many, time };
})();
