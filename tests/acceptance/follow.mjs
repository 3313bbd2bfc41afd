// Runs what the page of live curves is built of under Node: prints each run when it is told of its end, with all its
// points. Arguments: the file of the bundle, the address of the socket, the namespace, how many runs.
import { pathToFileURL } from "node:url";

const [file, url, namespace, count] = process.argv.slice(2);
const { follow } = await import(pathToFileURL(file));

const end = follow({
  url,
  namespace,
  key: "loss",
  failed(error) {
    console.log(JSON.stringify({ refused: error[0]?.extensions?.code ?? error.code }));
    end();
  },
  changed(runs) {
    const over = runs.filter((run) => run.status !== "RUNNING" && run.points.length === Number(run.lastStep) + 1);
    if (over.length < Number(count)) return;
    for (const { name, status, points } of over) console.log(JSON.stringify({ name, status, points }));
    end();
  },
});
