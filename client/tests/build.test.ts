// @vitest-environment node
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { bundle } from "../build.js";

/**
 * Bytes, gzip -9: of the core, of each other file, and of all that a page may load (without the
 * tools of DEBUG).
 */
const CORE = 14_000;
const MODULE = 3_000;
const ALL = 24_000;
/** So close to a budget is worth a warning. */
const CLOSE = 500;

/** From low to high: a module imports only from lower rows, or from earlier ones of its row. */
const LAYERS = [
  ["protocol", "global", "tree/marks", "dom/spans", "dom/html", "dom/attributes"],
  ["tree/plans", "tree/templates", "tree/match", "tree/instances", "tree/rows", "tree/regions"],
  ["tree/values", "tree/create", "tree/change", "tree/assign", "tree/tree"],
  ["targets", "transport", "leave", "notices", "overlays", "pending", "fields", "parameters"],
  ["bindings", "recovery", "modules"],
  ["page"],
  ["index"],
].map((row) => row.map((name) => `core/${name}`));
/**
 * What modules on demand may import: names, and `window.djust`, which is looked up and not made.
 */
const SHARED = ["core/global", "core/tree/marks"];
/** Files that no HTML asks for: the tools of DEBUG, and the way without a socket. */
const UNMENTIONED = ["debug", "post"];

const files = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => name.replaceAll("\\", "/").slice(0, -".ts".length));

const source = (name: string): string => readFileSync(`src/${name}.ts`, "utf8");

/** The modules of `src/` from which `name` imports more than types. */
const importsOf = (name: string): string[] =>
  [...source(name).matchAll(/^(?:import|export)(?! type)[^;]*? from "(\.[^"]+)";/gms)]
    .map(([, path]) => new URL(`${path}`, `file:///${name}`).pathname.slice(1))
    .filter((path) => files.includes(path));

const built = bundle("unused");

test("the client stays small", { timeout: 60_000 }, async () => {
  let all = 0;
  for (const [path, text] of await built) {
    if (!path.endsWith(".js") || path.endsWith(".debug.js")) continue;
    const size = gzipSync(text, { level: 9 }).length;
    const budget = path.endsWith("/djust.js") ? CORE : MODULE;
    if (size > budget - CLOSE) console.warn(`${basename(path)} has ${size} of ${budget} bytes`);
    expect([basename(path), size]).toEqual([basename(path), Math.min(size, budget)]);
    all += size;
  }
  if (all > ALL - CLOSE) console.warn(`all files have ${all} of ${ALL} bytes`);
  expect(all).toBeLessThanOrEqual(ALL);
});

test("modules of the core import only from lower layers", () => {
  const order = LAYERS.flat();
  expect(files.filter((name) => name.startsWith("core/")).sort()).toEqual([...order].sort());
  for (const name of order) {
    const higher = importsOf(name).filter((module) => order.indexOf(module) >= order.indexOf(name));
    expect([name, higher]).toEqual([name, []]);
  }
});

test("every file beside the core is in the table of what pages mention", () => {
  const table = /const MENTIONS.*?\n};/s.exec(source("core/modules"))?.[0] ?? "";
  const mentioned = [...table.matchAll(/^ {2}(\w+): /gm)].map(([, name]) => `${name}`);
  expect(files.filter((name) => !name.includes("/")).sort()).toEqual([...mentioned, ...UNMENTIONED].sort());
});

test("modules on demand get the core's services handed in, so nothing is in two files", () => {
  for (const name of files.filter((file) => !file.startsWith("core/"))) {
    const others = importsOf(name).filter((module) => !module.startsWith(`${name}/`));
    expect([name, others.filter((module) => !SHARED.includes(module))]).toEqual([name, []]);
  }
});

test("nothing that a strict content security policy forbids is in the client", () => {
  for (const name of files)
    expect(source(name)).not.toMatch(/\beval\(|new Function|\.style\b|outerHTML =|document\.write/);
});

test("what is exported is imported somewhere", () => {
  // The names of the wire are there to be compared with the server's.
  const names = files.filter((name) => name !== "core/protocol");
  const tests = readdirSync("tests", { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => [name, readFileSync(`tests/${name}`, "utf8")]);
  const texts = [...files.map((name) => [name, source(name)]), ...tests];
  const unused = names.flatMap((name) =>
    [...source(name).matchAll(/^export (?:const|function|class|interface|type) (\w+)/gm)]
      .map(([, found]) => `${found}`)
      .filter((found) => !texts.some(([other, text]) => other !== name && text?.match(`\\b${found}\\b`))),
  );
  expect(unused).toEqual([]);
});

test("only the client itself makes the policy for Trusted Types", async () => {
  const makers = [...(await built)].filter(
    ([path, text]) => path.endsWith(".js") && text.includes("createPolicy"),
  );
  expect(makers.map(([path]) => path.split("/").pop())).toEqual(["djust.js"]);
});

test("every module says what it is for", () => {
  for (const name of files) expect(source(name)).toMatch(/^\/\*\*\n \* /);
});
