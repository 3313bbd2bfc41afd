// PostGraphile v5 as its documentation sets it up for production, over the database that is named.
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { printSchema } from "postgraphile/graphql";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { makePgSmartTagsFromFilePlugin } from "postgraphile/utils";

const [connectionString, port, schemaFile] = process.argv.slice(2);

const instance = postgraphile({
  extends: [PostGraphileAmberPreset],
  // It would hide what no plain index begins with; we ask for what our partial indexes serve.
  disablePlugins: ["PgIndexBehaviorsPlugin"],
  plugins: [makePgSmartTagsFromFilePlugin(fileURLToPath(new URL("tags.json5", import.meta.url)))],
  pgServices: [makePgService({ connectionString, schemas: ["public"], poolConfig: { max: 10 } })],
  grafserv: { watch: false, graphiql: false },
});

if (schemaFile) {
  writeFileSync(schemaFile, printSchema(await instance.getSchema()));
}
const server = createServer();
await instance.createServ(grafserv).addTo(server);
server.listen(Number(port), "127.0.0.1", () => console.log("listening"));
