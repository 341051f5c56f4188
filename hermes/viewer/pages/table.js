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

    function detail(row) {
      const place = part(row);
      return data.entry(name(run, tasks[place]), "rows", files[place].chunk, row - starts[place]);
    }

    return {
      size,
      state,
      problems,
      at,
      text,
      has,
      detail,
      task: (row) => tasks[part(row)],
      outcome: (row) => marks.outcome(at(row, "status"), at(row, "right"), at(row, "value")),
      forget: () => tasks.forEach((task) => data.forget(`${name(run, task)}-`)),
    };
  }

  return { load };
})();
