/**
 * Builds the one file that ships: node build.js. The same sources give the same bytes.
 */
import { build } from "esbuild";

/** @param {string} folder */
export const options = (folder) => ({
  entryPoints: ["src/index.ts"],
  outfile: `${folder}/djust.js`,
  absWorkingDir: import.meta.dirname,
  bundle: true,
  format: /** @type {const} */ ("iife"),
  target: "es2021",
  minify: true,
  sourcemap: true,
  legalComments: /** @type {const} */ ("none"),
  charset: /** @type {const} */ ("utf8"),
});

if (process.argv[1] === import.meta.filename) await build(options("../src/djust/static/djust"));
