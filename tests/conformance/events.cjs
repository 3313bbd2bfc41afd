// Drives a stream with the reference client of GraphQL over SSE; prints what came of each step as JSON.
const { createClient } = require("graphql-sse");

const [url] = process.argv.slice(2);

const FOLLOW = `subscription Follow { changes(namespace: "events") { cursor changes { action } } }`;
const MAKE = `mutation Make($path: String!) {
  createNamespace(input: { path: $path }) { created namespace { path } userErrors { message } }
}`;

async function all(client, request) {
  const results = [];
  for await (const result of client.iterate(request)) results.push(result);
  return results;
}

async function refused(client, request) {
  try {
    return await all(client, request);
  } catch (error) {
    return { status: error.response?.status, body: await error.response?.json() };
  }
}

// Follows a namespace until a change in it is seen, made once the first frame is there.
async function followed(client) {
  let frames = 0;
  for await (const { data } of client.iterate({ query: FOLLOW })) {
    if (frames++ === 0) await all(client, { query: MAKE, variables: { path: "events/made" } });
    if (data.changes.changes.length) return data.changes;
  }
}

async function main() {
  const client = createClient({ url, retryAttempts: 0 });
  const steps = {
    query: await all(client, { query: "{ __typename }" }),
    refused: await refused(client, { query: "{ nope }" }),
    absent: await refused(client, { query: FOLLOW.replace("events", "absent") }),
    made: await all(client, { query: MAKE, variables: { path: "events" } }),
    followed: await followed(client),
  };
  client.dispose();
  console.log(JSON.stringify(steps));
}

main();
