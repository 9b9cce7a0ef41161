/**
 * Builds the one file that ships: node build.js [folder]. The same sources give the same bytes.
 */
import { build } from "esbuild";

const [folder = "../src/djust/static/djust"] = process.argv.slice(2);

await build({
  entryPoints: ["src/index.ts"],
  outfile: `${folder}/djust.js`,
  absWorkingDir: import.meta.dirname,
  bundle: true,
  format: "iife",
  target: "es2021",
  minify: true,
  sourcemap: true,
  legalComments: "none",
  charset: "utf8",
});
