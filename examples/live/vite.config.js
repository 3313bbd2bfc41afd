import { readFileSync } from "node:fs";
import { defineConfig } from "vite";

const license = readFileSync(new URL("node_modules/graphql-ws/LICENSE.md", import.meta.url), "utf8");

export default defineConfig({
  // Relative addresses everywhere, so that the page works below any base path.
  base: "./",
  build: {
    outDir: "../../app/static/live",
    emptyOutDir: true,
    assetsDir: "live",
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rolldownOptions: {
      // What follows the server is a file of its own that exports its functions by their names, for programs too.
      input: { index: "index.html", follow: "follow.js" },
      preserveEntrySignatures: "strict",
      output: {
        minifyInternalExports: false,
        postBanner: (chunk) => (chunk.moduleIds.some((id) => id.includes("graphql-ws")) ? `/*! Holds graphql-ws 6.4.2.\n\n${license.trim()}\n*/` : ""),
      },
    },
  },
});
