/**
 * Builds the files that ship: node build.js. The same sources give the same bytes.
 *
 * `djust.js` is the core. Every file in `src/` is one more, `src/hooks.ts` is `djust.hooks.js`:
 * modules that the core loads for the pages that need them, the transport for pages without a
 * socket, and the tools of DEBUG. `djust.d.ts` is for authors of hooks.
 */
import { copyFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build } from "esbuild";
import { minify } from "terser";

const FOLDER = "../src/djust/static/djust";

/** Files that come by a script tag, where they must leave nothing behind in the page's scope. */
const TAGGED = ["djust", "djust.post", "djust.debug"];

const MODULES = readdirSync(join(import.meta.dirname, "src"))
  .filter((name) => name.endsWith(".ts"))
  .map((name) => basename(name, ".ts"));

/** @type {Record<string, string>} */
const ENTRIES = Object.fromEntries([
  ["djust", "src/core/index.ts"],
  ...MODULES.map((name) => [`djust.${name}`, `src/${name}.ts`]),
]);

/**
 * Chromium compiles the functions of such a file while it loads, not one by one in the first change
 * of the page.
 */
const EAGER = "//# allFunctionsCalledOnLoad";

/**
 * @param {string} folder
 * @param {"iife" | "esm"} format
 * @param {string[]} names
 */
async function bundleAs(folder, format, names) {
  const { outputFiles } = await build({
    entryPoints: Object.fromEntries(names.map((name) => [name, `${ENTRIES[name]}`])),
    outdir: folder,
    absWorkingDir: import.meta.dirname,
    bundle: true,
    format,
    target: "es2022",
    minify: true,
    sourcemap: true,
    legalComments: "none",
    charset: "utf8",
    write: false,
  });
  return outputFiles;
}

/**
 * The files by path. esbuild joins the modules and shortens names; terser after it saves another
 * 4 %. Its `unsafe` options make no difference to our code: `"" + x` for a template, `Error()`
 * without `new`.
 *
 * @param {string} folder
 * @returns {Promise<Map<string, string>>}
 */
export async function bundle(folder) {
  const loaded = Object.keys(ENTRIES).filter((name) => !TAGGED.includes(name));
  const outputs = [...(await bundleAs(folder, "iife", TAGGED)), ...(await bundleAs(folder, "esm", loaded))];
  const files = new Map(outputs.map(({ path, text }) => [path, text]));
  for (const [path, text] of files) {
    if (!path.endsWith(".js")) continue;
    const map = `${path}.map`;
    const result = await minify(text, {
      ecma: 2020,
      module: loaded.includes(basename(path, ".js")),
      compress: { passes: 3, unsafe: true, unsafe_arrows: true, lhs_constants: false },
      format: { preamble: path.endsWith("/djust.js") ? EAGER : "" },
      sourceMap: { content: `${files.get(map)}`, filename: basename(path), url: basename(map) },
    });
    files.set(path, `${result.code}`).set(map, `${result.map}`);
  }
  return files;
}

if (process.argv[1] === import.meta.filename) {
  for (const [path, text] of await bundle(FOLDER)) writeFileSync(path, text);
  copyFileSync(join(import.meta.dirname, "djust.d.ts"), join(import.meta.dirname, FOLDER, "djust.d.ts"));
}
