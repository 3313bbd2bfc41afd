// Follows the newest experiments of a namespace and the points of one of their series, by the client of npm's
// graphql-ws. It knows no page: a program that runs under Node can use it as well.
import { createClient } from "graphql-ws/client";

const NEWEST = 6;

const RUNS = `subscription Runs($namespace: String!, $key: String!, $first: Int!, $after: Cursor) {
  experimentUpdates(namespace: $namespace, first: $first, after: $after) {
    cursor
    ids
    added { ...Row }
    updated { ...Row }
  }
}
fragment Row on Experiment { id name status metric(key: $key) { last lastStep min max } }`;

// The cursor is read in the snapshot of the points: what comes after it is not among them, and what is not among them
// comes after it.
const HISTORY = `query History($id: ID!, $ids: [ID!]!, $key: String!) {
  feedCursor(objectIds: $ids)
  node(id: $id) { ... on Experiment { metric(key: $key) { sample(maxPoints: 1000) { x columns { values } } } } }
}`;

const POINTS = `subscription Points($ids: [ID!]!, $keys: [String!]!, $after: Cursor) {
  metricBatches(objectIds: $ids, keys: $keys, after: $after, every: 50) {
    cursor
    series { columns { steps values } }
  }
}`;

// Calls `changed(runs)` whenever something came; a run is {id, name, status, last, lastStep, min, max, points}, and
// points are [x, y]. Calls `failed(error)` when the server refuses: a list of GraphQL errors, or a close event.
// Returns a function that ends it.
export function follow({ url, token, namespace, key, changed, failed, state = () => {} }) {
  const runs = new Map();
  let order = [];
  const client = createClient({
    url,
    connectionParams: token ? { Authorization: `Bearer ${token}` } : undefined,
    retryAttempts: Infinity,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 1000)),
    // The server's refusals are in the range of 4400; all else that closes a socket passes.
    shouldRetry: (event) => !(event.code >= 4400 && event.code < 4500),
    on: { connected: () => state("live"), closed: () => state("away"), connecting: () => state("connecting") },
  });

  const tell = () => changed(order.map((id) => runs.get(id)).filter(Boolean));

  // After a lost connection the client sends its subscriptions again, with the variables as they are then: so a
  // cursor that is kept in them is where the stream goes on.
  function stream(query, variables, take) {
    return new Promise((resolve, reject) => {
      client.subscribe(
        { query, variables },
        {
          next({ data, errors }) {
            if (errors) return reject(errors);
            const frame = Object.values(data)[0];
            if (frame.cursor) variables.after = frame.cursor;
            take(data);
          },
          error: reject,
          complete: resolve,
        },
      );
    });
  }

  async function points(run) {
    await stream(HISTORY, { id: run.id, ids: [run.id], key }, ({ feedCursor, node }) => {
      const sample = node?.metric?.sample;
      run.points = sample ? sample.x.map((x, n) => [x, Number(sample.columns.values[n])]) : [];
      run.after = feedCursor;
      tell();
    });
    await stream(POINTS, { ids: [run.id], keys: [key], after: run.after }, ({ metricBatches }) => {
      for (const { columns } of metricBatches.series) {
        columns.values.forEach((value, n) => run.points.push([columns.steps[n] ?? run.points.length, Number(value)]));
      }
      if (metricBatches.series.length) tell();
    });
  }

  function updated({ experimentUpdates: { ids, added, updated } }) {
    order = ids;
    for (const { id, name, status, metric } of [...added, ...updated]) {
      const known = runs.get(id);
      const run = Object.assign(known ?? { id, points: [] }, { name, status, ...metric });
      runs.set(id, run);
      if (!known) points(run).catch(refused);
    }
    tell();
  }

  // A run that is deleted is no reason to leave the others.
  function refused(error) {
    if (error[0]?.extensions?.code !== "NOT_FOUND") failed(error);
  }

  stream(RUNS, { namespace, key, first: NEWEST }, updated).catch(failed);
  return () => client.dispose();
}
