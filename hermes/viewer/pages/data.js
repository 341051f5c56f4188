// Fetches data by script tags, which work from a server and from the disk alike: data/NAME.js calls hermesData(NAME, ...).
"use strict";

const data = (() => {
  const KEPT = 40; // Files held in memory; the oldest goes first.
  const files = new Map();
  const arrived = new Map();

  window.hermesData = (name, content) => arrived.set(name, content);

  /** A promise of what data/NAME.js holds. `fresh` asks again, past every cache. */
  function load(name, fresh) {
    if (!fresh && files.has(name)) return files.get(name);
    const promise = ask(name, fresh);
    files.delete(name);
    files.set(name, promise);
    if (files.size > KEPT) files.delete(files.keys().next().value);
    promise.catch(() => files.get(name) === promise && files.delete(name));
    return promise;
  }

  function ask(name, fresh) {
    return new Promise((resolve, reject) => {
      const address = `data/${name}.js`;
      const script = dom.h("script", { src: fresh ? `${address}?t=${Date.now()}` : address });
      script.addEventListener("load", () => {
        script.remove();
        if (!arrived.has(name)) return reject(new Error(`${address} does not hold what it should.`));
        resolve(arrived.get(name));
        arrived.delete(name);
      });
      script.addEventListener("error", () => {
        script.remove();
        reject(new Error(`${address} could not be read. ${remedy()}`));
      });
      document.head.append(script);
    });
  }

  const remedy = () =>
    window.location.protocol === "file:"
      ? "Is the folder complete? Write it again with hermes view --static."
      : "Is hermes view still running? Start it again and reload this page.";

  /** Forget all files whose names begin so. */
  function forget(start) {
    for (const name of [...files.keys()]) if (name.startsWith(start)) files.delete(name);
  }

  /** Entry `number` of a file that is divided into chunks NAME-0, NAME-1, ..., each with a list under `list`. */
  async function entry(name, list, chunk, number) {
    const part = await load(`${name}-${Math.floor(number / chunk)}`);
    const found = part[list][number % chunk];
    if (!found) throw new Error(`data/${name} has no entry ${number}.`);
    return found;
  }

  return { load, forget, entry };
})();
