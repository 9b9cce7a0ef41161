// @vitest-environment node
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, test } from "vitest";
import { options } from "../build.js";

const GZIPPED = 12 * 1024;

/** From low to high: a module imports only from lower rows, or from earlier ones of its row. */
const LAYERS = [
  ["protocol", "marks", "dom"],
  ["fragments", "loops", "regions", "parts", "transport"],
  ["pending", "forms", "notices", "parameters"],
  ["bindings"],
  ["page"],
  ["index"],
];

const source = (name: string): string => readFileSync(`src/${name}.ts`, "utf8");

test("the client stays small", async () => {
  const { outputFiles } = await build({ ...options("unused"), write: false });
  const script = outputFiles.find(({ path }) => path.endsWith(".js"));
  expect(gzipSync(script?.contents ?? "", { level: 9 }).length).toBeLessThanOrEqual(GZIPPED);
});

test("modules import only from lower layers", () => {
  const order = LAYERS.flat();
  expect(readdirSync("src").sort()).toEqual(order.map((name) => `${name}.ts`).sort());
  for (const name of order) {
    const imported = [...source(name).matchAll(/from "\.\/(\w+)"/g)].map(([, module]) => module as string);
    const higher = imported.filter((module) => order.indexOf(module) >= order.indexOf(name));
    expect([name, higher]).toEqual([name, []]);
  }
});

test("nothing that a strict content security policy forbids is in the client", () => {
  for (const name of LAYERS.flat())
    expect(source(name)).not.toMatch(/\beval\(|new Function|\.style\b|outerHTML =|document\.write/);
});

test("every module says what it is for", () => {
  for (const name of LAYERS.flat()) expect(source(name)).toMatch(/^\/\*\*\n \* /);
});
