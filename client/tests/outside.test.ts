import { beforeAll, beforeEach, expect, test } from "vitest";
import { type Action, Bindings } from "../src/core/bindings";
import type { Modules } from "../src/core/modules";
import { OutsideEvents } from "../src/outside";
import { modulesWith } from "./modules";

const actions: Action[] = [];
let modules: Modules;

const take = () => actions.splice(0).map(({ handler }) => handler);

function show(html: string): void {
  modules.watch(() => {
    document.body.innerHTML = html;
  });
  modules.changed();
}

beforeAll(async () => {
  modules = await modulesWith(new OutsideEvents(new Bindings((action) => actions.push(action))));
});

beforeEach(() => {
  actions.length = 0;
});

const press = (key: string, init: object = {}) =>
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...init }));

test("a key is handled wherever the focus is, by its filter", () => {
  show(`<p><b dj-window-keydown.escape="close"></b></p><i dj-window-keydown.ctrl.k="find"></i>`);
  press("Escape");
  press("k");
  press("k", { ctrlKey: true });
  expect(take()).toEqual(["close", "find"]);
  show("");
  press("Escape");
  expect(take()).toEqual([]);
});

test("a click elsewhere is one that neither began nor ended inside", () => {
  show(`<div id="menu" dj-click-away="close"><b></b></div><u></u>`);
  const [inside, outside] = [document.querySelector("b"), document.querySelector("u")] as [
    HTMLElement,
    HTMLElement,
  ];
  inside.click();
  inside.dispatchEvent(new MouseEvent("mousedown", { bubbles: true }));
  outside.click();
  expect(take()).toEqual([]);
  outside.click();
  expect(take()).toEqual(["close"]);
});
