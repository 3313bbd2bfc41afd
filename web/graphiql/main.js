import "graphiql/style.css";
import "./main.css";

import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { createElement } from "react";
import { createRoot } from "react-dom/client";

import changes from "./queries/changes.graphql?raw";
import checkpoints from "./queries/checkpoints.graphql?raw";
import models from "./queries/models.graphql?raw";

// Relative to the page, not to the origin: the server may live below a base path.
const endpoint = new URL("graphql", document.baseURI);
const socket = new URL(endpoint);
socket.protocol = endpoint.protocol === "https:" ? "wss:" : "ws:";

const fetcher = createGraphiQLFetcher({
  url: endpoint.href,
  // The headers typed below the editor also travel in `connection_init`: one token serves both.
  subscriptionUrl: socket.href,
  enableIncrementalDelivery: false,
});

const page = createElement(
  GraphiQL,
  {
    fetcher,
    defaultQuery: models,
    defaultTabs: [{ query: models }, { query: checkpoints }, { query: changes }],
    defaultHeaders: '{\n  "Authorization": ""\n}',
    defaultEditorToolsVisibility: "headers",
    // A token is kept only by who asks for it in the settings dialog.
    shouldPersistHeaders: false,
  },
  createElement(GraphiQL.Logo, null, "ModelBox"),
);

createRoot(document.getElementById("graphiql")).render(page);
