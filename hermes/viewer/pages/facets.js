// Filters that combine: which rows fit all of them, how many would fit each option, and in which order.
"use strict";

const facets = (() => {
  /** One value of many; `of` gives a row's value. */
  const choice = (name, label, of, more) => ({
    name,
    label,
    of,
    kind: "choice",
    test: (wanted) => (row) => of(row) === wanted,
    ...more,
  });

  /** Several values, any of them; their names hold no commas. */
  const several = (name, label, of, more) => ({
    name,
    label,
    of,
    kind: "several",
    ...more,
    test(wanted) {
      const values = new Set(wanted.split(","));
      return (row) => values.has(of(row));
    },
  });

  /** On or off; `of` says whether a row is of that kind. */
  const toggle = (name, label, of, more) => ({ name, label, of, kind: "toggle", test: () => of, ...more });

  /** One value that only a link sets, such as a group of which there are as many as rows; it is shown while it is set. */
  const only = (name, label, of) => ({ name, label, kind: "only", test: (wanted) => (row) => of(row) === wanted });

  /** A text that must occur; `text` gives a row's text in small letters. */
  const search = (name, label, text, more) => ({
    name,
    label,
    kind: "search",
    ...more,
    test(wanted) {
      const part = wanted.trim().toLowerCase();
      return part ? (row) => text(row).includes(part) : null;
    },
  });

  /**
   * The rows that fit, in their order, and for each facet a map from value to the number of rows that would fit with it.
   * A row is counted for a facet where it passes all others, so one pass is enough.
   */
  function select(size, list, query) {
    const tests = list.map((facet) => (query[facet.name] ? facet.test(query[facet.name]) : null));
    const counts = list.map(() => new Map());
    const rows = [];
    for (let row = 0; row < size; row += 1) {
      let fails = 0;
      let failing = -1;
      for (let place = 0; place < tests.length && fails < 2; place += 1) {
        if (tests[place] && !tests[place](row)) {
          fails += 1;
          failing = place;
        }
      }
      if (fails > 1) continue;
      if (!fails) rows.push(row);
      for (let place = 0; place < list.length; place += 1) {
        if (!list[place].of || (fails && place !== failing)) continue;
        const value = list[place].of(row);
        counts[place].set(value, (counts[place].get(value) || 0) + 1);
      }
    }
    return { rows, counts: new Map(list.map((facet, place) => [facet.name, counts[place]])) };
  }

  const collator = new Intl.Collator("en", { numeric: true });

  /** Sorts in place by `key`, numbers or texts; what has none comes last either way. */
  function sort(rows, { key, down }) {
    const keys = new Map(rows.map((row) => [row, key(row)]));
    const none = (value) => value === null || value === undefined || value === "";
    const way = down ? -1 : 1;
    return rows.sort((one, other) => {
      const [a, b] = [keys.get(one), keys.get(other)];
      if (none(a) || none(b)) return none(a) - none(b) || one - other;
      return way * (typeof a === "number" ? a - b : collator.compare(a, b)) || one - other;
    });
  }

  return { choice, several, toggle, only, search, select, sort };
})();
