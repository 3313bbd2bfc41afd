import { defineConfig } from "vite";

export default defineConfig({
  // Relative addresses everywhere, so that the page works below any base path.
  base: "./",
  build: {
    outDir: "../../app/static/graphiql",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 2048,
    rolldownOptions: {
      // "use client" marks code for React servers, of which there is none here.
      onLog: (level, log, report) => log.code === "MODULE_LEVEL_DIRECTIVE" || report(level, log),
    },
  },
});
