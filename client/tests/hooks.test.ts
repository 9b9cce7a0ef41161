import { afterEach, expect, test, vi } from "vitest";
import type { HookCallbacks, HookContext } from "../djust";
import { djust } from "../src/core/global";
import { Hooks } from "../src/hooks";
import { modulesWith } from "./modules";

const log: string[] = [];
const named = (name: string): HookCallbacks => ({
  mounted() {
    log.push(`${name} mounted`);
  },
  updated() {
    log.push(`${name} updated`);
  },
  destroyed() {
    log.push(`${name} destroyed`);
  },
  disconnected() {
    log.push(`${name} disconnected`);
  },
  reconnected() {
    log.push(`${name} reconnected`);
  },
});

document.body.innerHTML = `<div dj-hook="A"><i>1</i></div><p></p>`;
djust.hooks = { A: named("A") };
const pushed: unknown[][] = [];
const hooks = new Hooks(async (...args) => {
  pushed.push(args);
  return null;
});
const modules = await modulesWith(hooks);

function change(make: () => void): void {
  modules.watch(make);
  modules.changed();
}

const take = () => log.splice(0);

afterEach(() => {
  log.length = 0;
});

test("a hook lives with its element, and is called when the element changes", () => {
  expect(take()).toEqual(["A mounted"]);
  const text = document.querySelector("i")?.firstChild as Text;
  change(() => {
    text.data = "2";
  });
  expect(take()).toEqual(["A updated"]);
  change(() => document.querySelector("p")?.append("x"));
  text.data = "not the server's";
  change(() => {});
  expect(take()).toEqual([]);
  change(() => document.querySelector("p")?.insertAdjacentHTML("beforeend", `<b><u dj-hook="B"></u></b>`));
  expect(take()).toEqual([]);
  djust.hooks = Object.assign(djust.hooks ?? {}, { B: named("B") });
  expect(take()).toEqual(["B mounted"]);
  change(() => document.querySelector("b")?.remove());
  expect(take()).toEqual(["B destroyed"]);
});

test("a lost and a restored connection are reported, the first one is not", () => {
  hooks.notify("reconnected");
  hooks.notify("disconnected");
  hooks.notify("reconnected");
  expect(take()).toEqual(["A disconnected", "A reconnected"]);
});

test("events of a hook come from its element, which tells the node they are meant for", async () => {
  let ask: () => Promise<unknown> = async () => null;
  Object.assign(djust.hooks as object, {
    D: {
      mounted(this: HookContext) {
        ask = () => this.pushEvent("go", { a: 1 });
      },
    },
  });
  change(() => document.querySelector("p")?.insertAdjacentHTML("beforeend", `<s dj-hook="D"></s>`));
  await ask();
  expect(pushed).toEqual([["go", { a: 1 }, document.querySelector("s")]]);
});

test("another name is another hook, and an error in a hook stops no other one", () => {
  const error = vi.spyOn(console, "error").mockReturnValue();
  Object.assign(djust.hooks as object, {
    C: {
      mounted() {
        throw new Error("broken");
      },
    },
  });
  change(() => document.querySelector("div")?.setAttribute("dj-hook", "C"));
  expect(take()).toEqual(["A destroyed"]);
  expect(error).toHaveBeenCalledOnce();
});
