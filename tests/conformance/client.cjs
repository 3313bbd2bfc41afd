// Drives a socket with the reference client of graphql-transport-ws; prints what came of each step as JSON.
const { createClient } = require("graphql-ws");

const [url, token] = process.argv.slice(2);

const FOLLOW = `subscription Follow { changes(namespace: "conformance") { cursor changes { action } } }`;
const MAKE = `mutation Make($path: String!) {
  createNamespace(input: { path: $path }) { created namespace { path } userErrors { message } }
}`;

async function first(client, request) {
  for await (const result of client.iterate(request)) return result;
}

async function refused(client, request) {
  try {
    return await first(client, request);
  } catch (error) {
    return Array.isArray(error) ? { errors: error } : { code: error.code, reason: error.reason };
  }
}

// Follows a namespace until a change in it is seen; the change is made again until that happens.
async function followed(client) {
  const changes = client.iterate({ query: FOLLOW });
  let count = 0;
  const making = setInterval(
    () => first(client, { query: MAKE, variables: { path: `conformance/made-${count++}` } }),
    200,
  );
  for await (const { data } of changes) {
    if (data.changes.changes.length) {
      clearInterval(making);
      return { ...data.changes, after: data.changes.cursor };
    }
  }
}

async function main() {
  const closes = [];
  const client = createClient({
    url,
    lazy: false,
    onNonLazyError: () => {},
    retryAttempts: 0,
    keepAlive: 100,
    connectionParams: token ? { Authorization: `Bearer ${token}` } : undefined,
    on: { closed: (event) => closes.push({ code: event.code, reason: event.reason }) },
  });
  const steps = { query: await refused(client, { query: "{ __typename }" }) };
  if (!steps.query.code) {
    steps.refused = await refused(client, { query: "{ nope }" });
    steps.made = await first(client, { query: MAKE, variables: { path: "conformance" } });
    steps.followed = await followed(client);
    const many = Array.from({ length: 20 }, (_, n) => first(client, { query: `{ a${n}: __typename }` }));
    steps.many = await Promise.all(many);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await client.dispose();
  }
  await new Promise((resolve) => setTimeout(resolve, 200));
  console.log(JSON.stringify({ ...steps, closes }));
}

main();
