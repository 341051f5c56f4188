// The address after "#": where the reader is, which filters are set, which sample is open.
"use strict";

const routes = (() => {
  /** "#/run/KEY/TASK/3?is=wrong" is {path: ["run", "KEY", "TASK", "3"], query: {is: "wrong"}}. */
  function read(hash) {
    const [where, query] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
    return {
      path: where.split("/").filter(Boolean).map(decoded),
      query: Object.fromEntries(new URLSearchParams(query || "")),
    };
  }

  function decoded(part) {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  }

  function hash(path, query) {
    const kept = Object.entries(query || {}).filter(
      ([, value]) => value !== "" && value !== null && value !== undefined,
    );
    const search = new URLSearchParams(kept).toString();
    return `#/${path.map((part) => encodeURIComponent(part)).join("/")}${search ? `?${search}` : ""}`;
  }

  /** Go there; `replace` leaves no step for the Back button. Who listens to hashchange does the rest. */
  function go(path, query, replace) {
    if (replace) window.location.replace(hash(path, query));
    else window.location.hash = hash(path, query);
  }

  return { read, hash, go };
})();
