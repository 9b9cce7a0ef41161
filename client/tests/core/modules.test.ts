import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { djust } from "../../src/core/global";
import { type Module, Modules, type Services } from "../../src/core/modules";

const services = {} as Services;
/** The addresses that were asked for, and how to answer. */
const asked: string[] = [];
let fails = false;
let module: Module = {};

const load = async (url: string) => {
  asked.push(url);
  if (fails) throw new Error("offline");
  return { default: () => module };
};

const take = () => asked.splice(0).map((url) => url.split("/").pop());
const loaded = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
  document.body.innerHTML = "";
  fails = false;
  module = {};
});

afterEach(() => {
  asked.length = 0;
  vi.useRealTimers();
});

test("a file is loaded when the page or a frame mentions what is in it, and once", async () => {
  document.body.innerHTML = `<b dj-click="go" dj-hook="A"></b>`;
  const modules = new Modules(services, load);
  modules.loadIfMentioned(document.body.innerHTML);
  modules.loadIfMentioned(`[0,1,[0,["<i dj-window-keydown>"]]]`);
  expect(take()).toEqual(["djust.hooks.js", "djust.outside.js"]);
  await loaded();
  modules.loadIfMentioned(`dj-hook dj-click-away`);
  expect(take()).toEqual([]);
  modules.loadIfMentioned(`dj-update`);
  expect(take()).toEqual(["djust.ignored.js"]);
});

test("hooks can be registered before their file is there", () => {
  new Modules(services, load);
  djust.registerHook?.("A", {});
  expect(Object.keys(djust.hooks ?? {})).toEqual(["A"]);
  expect(take()).toEqual([]);
});

test("a file that cannot be loaded is tried again after a while, under another address", async () => {
  const error = vi.spyOn(console, "error").mockReturnValue();
  fails = true;
  const modules = new Modules(services, load);
  modules.load("hooks");
  await vi.advanceTimersByTimeAsync(600);
  expect(take()).toEqual(["djust.hooks.js", "djust.hooks.js#1"]);
  expect(error.mock.calls[0]?.[0]).toBe("djust: djust.hooks.js cannot be loaded yet:");
  fails = false;
  await vi.advanceTimersByTimeAsync(1000);
  expect(take()).toEqual(["djust.hooks.js#2"]);
  await vi.advanceTimersByTimeAsync(100_000);
  expect(take()).toEqual([]);
});

test("the next mention does not wait for that", async () => {
  vi.spyOn(console, "error").mockReturnValue();
  fails = true;
  const modules = new Modules(services, load);
  for (let attempt = 0; attempt < 5; attempt++) {
    modules.loadIfMentioned("dj-hook");
    modules.loadIfMentioned("dj-hook");
    await loaded();
  }
  expect(take()).toHaveLength(5);
});

test("what a change did to the page is seen by modules afterwards, and what others do is not", async () => {
  const seen: unknown[] = [];
  module = {
    changed: ({ records, added }) =>
      seen.push([added().map(({ id }) => id), ...records.map(({ type, target }) => [type, target])]),
  };
  const modules = new Modules(services, load);
  modules.load("hooks");
  await loaded();
  document.body.innerHTML = `<p id="a"></p>`;
  modules.watch(() => {
    document.body.insertAdjacentHTML("beforeend", `<p id="b"><i></i></p>`);
    document.getElementById("a")?.setAttribute("title", "x");
  });
  document.body.append("not the server's");
  modules.changed();
  expect(seen).toEqual([[["b"], ["childList", document.body], ["attributes", document.getElementById("a")]]]);
});

test("a storage that renames files puts their addresses into the tag", async () => {
  vi.resetModules();
  const script = document.createElement("script");
  script.setAttribute("data-djust", "");
  script.setAttribute("src", "/static/djust/djust.123.js");
  script.setAttribute(
    "data-modules",
    "/static/djust/djust.hooks.456.js https://cdn.test/djust/djust.post.7.js?sig=8",
  );
  document.head.prepend(script);
  const fresh = await import("../../src/core/modules");
  const modules = new fresh.Modules(services, load);
  for (const name of ["hooks", "post", "outside"]) modules.load(name);
  expect(asked).toEqual([
    "http://djust.test/static/djust/djust.hooks.456.js",
    "https://cdn.test/djust/djust.post.7.js?sig=8",
    "http://djust.test/static/djust/djust.outside.js",
  ]);
  script.remove();
});
