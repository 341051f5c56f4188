// The samples of one task, or of all tasks of a run one after the other, as columns that are read by row.
"use strict";

const table = (() => {
  /** A promise of the table; `fresh` asks for the columns again. */
  async function load(run, tasks, fresh) {
    const files = await Promise.all(tasks.map((task) => data.load(name(run, task), fresh)));
    return build(run, tasks, files);
  }

  const name = (run, task) => `runs/${run.key}/${task.key}/rows`;

  function build(run, tasks, files) {
    const starts = [];
    let size = 0;
    for (const file of files) {
      starts.push(size);
      size += file.n;
    }
    const texts = new Array(size);

    function part(row) {
      let at = starts.length - 1;
      while (starts[at] > row) at -= 1;
      return at;
    }

    const at = (row, column) => {
      const place = part(row);
      return files[place][column][row - starts[place]];
    };

    /** Everything that is searched, in small letters. */
    function text(row) {
      if (texts[row] === undefined)
        texts[row] = ["id", "prompt", "answer", "gold", "category"]
          .map((column) => at(row, column) || "")
          .join("\n")
          .toLowerCase();
      return texts[row];
    }

    const state = JSON.stringify(files.map((file) => [file.n, file.status, file.value]));
    const problems = files.flatMap((file) => file.problems || []);
    const has = (column) => files.some((file) => file[column].some((value) => value !== "" && value !== null));

    const find = (file, id, index) => file.id.findIndex((one, number) => one === id && file.index[number] === index);

    /** Where an answer is; -1 where it is not. */
    function row(task, id, index) {
      const place = tasks.indexOf(task);
      const number = find(files[place], id, index);
      return number < 0 ? -1 : starts[place] + number;
    }

    const newest = files.map((file) => Promise.resolve(file));

    /** A promise of the whole sample. Chunks may be of a later moment than the columns: then both are asked for again. */
    async function detail(row, tries = 2) {
      const place = part(row);
      const where = name(run, tasks[place]);
      const [id, index] = [at(row, "id"), at(row, "index")];
      const known = newest[place];
      const file = await known;
      const number = file === files[place] ? row - starts[place] : find(file, id, index);
      const chunk = number < 0 ? { rows: [] } : await data.load(`${where}-${Math.floor(number / file.chunk)}`);
      const found = chunk.rows[number % file.chunk];
      if (found && found.id === id && found.index === index) return found;
      if (!tries) throw new Error(`${id} has moved while the run went on. Open it again in a moment.`);
      if (newest[place] === known) {
        data.forget(`${where}-`);
        newest[place] = data.load(where, true);
      }
      return detail(row, tries - 1);
    }

    return {
      size,
      state,
      problems,
      at,
      text,
      has,
      row,
      detail,
      task: (row) => tasks[part(row)],
      outcome: (row) => marks.outcome(at(row, "status"), at(row, "right"), at(row, "value")),
      forget: () => tasks.forEach((task) => data.forget(`${name(run, task)}-`)),
    };
  }

  return { load };
})();
