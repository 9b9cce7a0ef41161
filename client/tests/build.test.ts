// @vitest-environment node
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { bundle, options } from "../build.js";

const GZIPPED = 14_000;
const ALL_GZIPPED = 20 * 1024;

/** From low to high: a module imports only from lower rows, or from earlier ones of its row. */
const LAYERS = [
  ["protocol", "marks", "global", "dom", "changes"],
  ["fragments", "loops", "regions", "parts", "transport"],
  ["notices", "pending", "forms", "parameters"],
  ["bindings", "extras"],
  ["page"],
  ["index"],
  ["debug", "post", "distant", "hooks", "ignored", "recovery", "written", "more"],
];

const source = (name: string): string => readFileSync(`src/${name}.ts`, "utf8");

test("the client stays small", async () => {
  const files = [...(await bundle("unused"))];
  const size = (end: string) =>
    files
      .filter(([path]) => path.endsWith(end))
      .reduce((sum, [, text]) => sum + gzipSync(text, { level: 9 }).length, 0);
  expect(size("/djust.js")).toBeLessThanOrEqual(GZIPPED);
  expect(size(".js")).toBeLessThanOrEqual(ALL_GZIPPED);
});

test("modules import only from lower layers", () => {
  const order = LAYERS.flat();
  expect(readdirSync("src").sort()).toEqual(order.map((name) => `${name}.ts`).sort());
  for (const name of order) {
    const imported = [...source(name).matchAll(/^(?!import type).*from "\.\/(\w+)"/gm)].map(
      ([, module]) => module as string,
    );
    const higher = imported.filter((module) => order.indexOf(module) >= order.indexOf(name));
    expect([name, higher]).toEqual([name, []]);
  }
});

test("nothing that a strict content security policy forbids is in the client", () => {
  for (const name of LAYERS.flat())
    expect(source(name)).not.toMatch(/\beval\(|new Function|\.style\b|outerHTML =|document\.write/);
});

test("what is exported is imported somewhere", () => {
  // The names of the wire are there to be compared with the server's.
  const names = LAYERS.flat().filter((name) => name !== "protocol");
  const tests = readdirSync("tests").map((name) => [name, readFileSync(`tests/${name}`, "utf8")]);
  const texts = [...LAYERS.flat().map((name) => [name, source(name)]), ...tests];
  const unused = names.flatMap((name) =>
    [...source(name).matchAll(/^export (?:const|function|class|interface|type) (\w+)/gm)]
      .map(([, found]) => `${found}`)
      .filter((found) => !texts.some(([other, text]) => other !== name && text?.match(`\\b${found}\\b`))),
  );
  expect(unused).toEqual([]);
});

test("no name that the build shortens is the wire's or public", () => {
  const fixed = `${readFileSync("djust.d.ts", "utf8").replace(/\/\*\*.*?\*\/|\(.*?\)|\[.*?\]/gs, "")} ${source("protocol").match(/EXTRA_.*/g)}`;
  const { mangleProps } = options("unused");
  const words = new Set(fixed.match(/\w+/g));
  expect([...words].filter((word) => mangleProps.test(word))).toEqual([]);
  // Fields of ours that are methods of the platform's nodes.
  for (const name of LAYERS.flat()) expect(source(name)).not.toMatch(/\.(after|before)\(/);
});

test("only the client itself makes the policy for Trusted Types", async () => {
  const makers = [...(await bundle("unused"))].filter(
    ([path, text]) => path.endsWith(".js") && text.includes("createPolicy"),
  );
  expect(makers.map(([path]) => path.split("/").pop())).toEqual(["djust.js"]);
});

test("every module says what it is for", () => {
  for (const name of LAYERS.flat()) expect(source(name)).toMatch(/^\/\*\*\n \* /);
});
