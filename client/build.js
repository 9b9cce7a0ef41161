/**
 * Builds the files that ship: node build.js. The same sources give the same bytes.
 *
 * `djust.js` is the client; it loads `djust.more.js` for pages that need it, and `djust.post.js` where no socket can be had. `djust.debug.js` comes with it in DEBUG, and
 * `djust.d.ts` is for authors of hooks.
 */
import { copyFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build } from "esbuild";
import { minify } from "terser";

const FOLDER = "../src/djust/static/djust";

/** Names of members that are ours alone: not the wire's, not public, not used of the platform. Others begin with `_`. */
const OURS = `
  after anchor anchors answered args assignBranch assignLoop assignPart assignParts attribute bare before begin bindBranch branchAt
  changeBranch changed changeLoop changePart closed composing cooling createBranch createLoop createRows
  edited element ending ends entry fail fillContent fillInner fillPart fillRow flush focused forget fragment fragments frame given
  handler hook inner instance isEditing isUsers kept kind known knownBranch knownLoop lead leaf leave loopAt lost marks namespace
  next nodes once opened params parts pause placeRows plain plan quick received register reject release replaceBranch
  resend resolve root route rows run said seen sent settle settled settling single skeleton slot source model stencil stencils
  suffixes tell timer toggled touch trail update watch whole write writeAttribute writeBranch writeContent writeNewTag writePart writeParts writeRow writeRows writeTag writer
`;

/** Those of them that both files know, and what they become: the other names are chosen for each file. */
const SHARED = {
  _act: "A",
  _distant: "L",
  args: "B",
  changed: "M",
  element: "C",
  entry: "D",
  flush: "E",
  given: "F",
  handler: "G",
  once: "H",
  params: "I",
  resend: "N",
  said: "O",
  slot: "J",
  source: "K",
  tell: "P",
  watch: "Q",
};

/** @param {string} folder */
export const options = (folder) => ({
  entryPoints: {
    djust: "src/index.ts",
    "djust.more": "src/more.ts",
    "djust.debug": "src/debug.ts",
    "djust.post": "src/post.ts",
  },
  outdir: folder,
  absWorkingDir: import.meta.dirname,
  bundle: true,
  format: /** @type {const} */ ("iife"),
  target: "es2022",
  minify: true,
  mangleProps: new RegExp(`^(_.*|${OURS.trim().replace(/\s+/g, "|")})$`),
  mangleCache: SHARED,
  sourcemap: true,
  legalComments: /** @type {const} */ ("none"),
  charset: /** @type {const} */ ("utf8"),
});

/** Chromium compiles the functions of such a file while it loads, not one by one in the first change of the page. */
const EAGER = "//# allFunctionsCalledOnLoad";

/**
 * The files by path. esbuild joins and shortens names, terser then writes less: together they are 4 % smaller. `unsafe`
 * is what our code does not notice: `"" + x` for a template, `Error()` without `new`.
 *
 * @param {string} folder
 * @returns {Promise<Map<string, string>>}
 */
export async function bundle(folder) {
  const { outputFiles } = await build({ ...options(folder), write: false });
  const files = new Map(outputFiles.map(({ path, text }) => [path, text]));
  for (const [path, text] of files) {
    if (!path.endsWith(".js")) continue;
    const map = `${path}.map`;
    const result = await minify(text, {
      ecma: 2020,
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
