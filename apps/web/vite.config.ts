// Builds the UI into dist/, which the program embeds. Everything is a file of its own: the hub's content
// security policy allows no inline script or style.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** Gives the service worker the list of the shell's files, with a version that changes with them. */
function shell(): Plugin {
  return {
    name: "accord-shell",
    apply: "build",
    generateBundle(_options, bundle) {
      const files = Object.keys(bundle).filter((name) => name.startsWith("assets/")).map((name) => `/${name}`);
      const list = ["/", "/theme.js", "/manifest.webmanifest", "/icon.svg", ...files.sort()];
      const source = readFileSync("src/sw.js", "utf8");
      const page = bundle["index.html"];
      const seed = JSON.stringify([list, source, page && "source" in page ? String(page.source) : ""]);
      const version = createHash("sha256").update(seed).digest("hex").slice(0, 12);
      const text = source.replace("__SHELL__", JSON.stringify(list)).replace("__VERSION__", version);
      this.emitFile({ type: "asset", fileName: "sw.js", source: text });
    },
  };
}

export default defineConfig({
  plugins: [react(), shell()],
  build: {
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": process.env.ACCORD_URL ?? "http://127.0.0.1:8421" } },
});
