import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Action, Bindings } from "../../src/core/bindings";

const actions: Action[] = [];
const bindings = new Bindings((action) => actions.push(action));

function show<T extends HTMLElement>(html: string): T {
  document.body.innerHTML = html;
  return document.body.firstElementChild as T;
}

/** Handler and parameters of what came since the last call. */
const take = () => actions.splice(0).map(({ handler, args, params }) => [handler, ...args, params]);

function fire(target: Element, type: string, init: object = {}): Event {
  const event = new (type.startsWith("key") ? KeyboardEvent : Event)(type, {
    bubbles: true,
    cancelable: true,
    ...init,
  });
  target.dispatchEvent(event);
  return event;
}

function type(input: HTMLInputElement, text: string): void {
  input.value = text;
  fire(input, "input");
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.advanceTimersByTime(100_000);
  bindings.flush();
  actions.length = 0;
  vi.useRealTimers();
});

describe("a click", () => {
  test("finds the nearest element with the attribute", () => {
    const outer = show(`<div dj-click="outer"><b dj-click="inner(1)" data-id="7"><i></i></b><u></u></div>`);
    (outer.querySelector("i") as HTMLElement).click();
    (outer.querySelector("u") as HTMLElement).click();
    expect(take()).toEqual([
      ["inner", 1, { id: "7" }],
      ["outer", {}],
    ]);
  });

  test("on a link or a submit button does not leave the page, elsewhere nothing is prevented", () => {
    const form = show(
      `<form><button dj-click="go"></button><a href="/x" dj-click="go"></a><input type="checkbox" dj-click="go"></form>`,
    );
    const prevented = [...form.children].map((child) => fire(child, "click").defaultPrevented);
    expect(prevented).toEqual([true, true, false]);
  });

  test("on something disabled does nothing", () => {
    const set = show(
      `<fieldset disabled><b dj-click="go" disabled></b><button dj-click="go"></button></fieldset>`,
    );
    for (const child of set.children) fire(child, "click");
    expect(take()).toEqual([]);
  });

  test("may have to be confirmed", () => {
    const button = show(`<button dj-click="go" dj-confirm="Sure?"></button>`);
    const confirm = vi.fn(() => false);
    vi.stubGlobal("confirm", confirm);
    button.click();
    confirm.mockReturnValue(true);
    button.click();
    expect(take()).toEqual([["go", {}]]);
    expect(confirm).toHaveBeenCalledWith("Sure?");
  });

  test("may be meant for the element itself, once, and prevented", () => {
    const self = show(`<b dj-click.self="go"><i></i></b>`);
    (self.firstElementChild as HTMLElement).click();
    self.click();
    expect(take()).toEqual([["go", {}]]);
    const once = show(`<b dj-click.once.prevent="go"></b>`);
    expect(fire(once, "click").defaultPrevented).toBe(true);
    once.click();
    expect(take()).toEqual([["go", {}]]);
  });

  test("with a bad attribute is reported and not sent", () => {
    const error = vi.spyOn(console, "error").mockReturnValue();
    show(`<b dj-click="go("></b>`).click();
    expect(take()).toEqual([]);
    expect(error).toHaveBeenCalledOnce();
  });
});

describe("a key", () => {
  const html = `<div dj-keydown.escape="close"><input value="v" dj-keydown.enter="send" dj-keydown.ctrl.s.prevent="save"
    dj-keydown.page-down="page" dj-keydown.up="up" dj-keydown.space="blank" dj-keyup="any"></div>`;

  test.each([
    ["Enter", "send"],
    ["Escape", "close"],
    ["ArrowUp", "up"],
    ["PageDown", "page"],
    [" ", "blank"],
  ])("%j is sent to %s", (key, handler) => {
    fire(show(html).firstElementChild as Element, "keydown", { key, code: "C" });
    expect(take()).toEqual([[handler, { key, code: "C", value: "v" }]]);
  });

  test("may need others to be held", () => {
    const input = show(html).firstElementChild as Element;
    expect(fire(input, "keydown", { key: "s" }).defaultPrevented).toBe(false);
    expect(fire(input, "keydown", { key: "s", ctrlKey: true }).defaultPrevented).toBe(true);
    expect(take().map(([handler]) => handler)).toEqual(["save"]);
  });

  test("without filter is any key", () => {
    fire(show(html).firstElementChild as Element, "keyup", { key: "q", code: "KeyQ" });
    expect(take()).toEqual([["any", { key: "q", code: "KeyQ", value: "v" }]]);
  });
});

describe("what is typed", () => {
  test("is sent 300 ms after the last key", () => {
    const input = show<HTMLInputElement>(`<input name="q" dj-input="search" data-n:int="1">`);
    type(input, "a");
    vi.advanceTimersByTime(299);
    type(input, "ab");
    vi.advanceTimersByTime(299);
    expect(take()).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(take()).toEqual([["search", { n: 1, value: "ab", field: "q" }]]);
  });

  test("may be sent at once, later, or on leaving the field", () => {
    const input = show<HTMLInputElement>(`<input dj-input="go" dj-debounce="0">`);
    type(input, "a");
    expect(take()).toHaveLength(1);
    input.setAttribute("dj-debounce", "1000");
    type(input, "b");
    vi.advanceTimersByTime(999);
    expect(take()).toHaveLength(0);
    vi.advanceTimersByTime(1);
    expect(take()).toHaveLength(1);
    input.setAttribute("dj-debounce", "blur");
    type(input, "c");
    vi.advanceTimersByTime(60_000);
    expect(take()).toHaveLength(0);
    fire(input, "focusout");
    expect(take()).toEqual([["go", { value: "c", field: "" }]]);
  });

  test("is sent before any other event", () => {
    const form = show(
      `<form dj-submit="save"><input name="a" dj-input="typed" dj-change="changed" dj-blur="left"><b dj-click="go"></b></form>`,
    );
    const [input, b] = form.children as unknown as [HTMLInputElement, HTMLElement];
    for (const other of [
      () => b.click(),
      () => fire(input, "change"),
      () => fire(input, "focusout"),
      () => fire(form, "submit"),
    ]) {
      type(input, "x");
      other();
    }
    expect(take().map(([handler]) => handler)).toEqual([
      "typed",
      "go",
      "typed",
      "changed",
      "typed",
      "left",
      "typed",
      "save",
    ]);
  });

  test("waits for the end of a composition", () => {
    const input = show<HTMLInputElement>(`<input dj-input="go" dj-debounce="0">`);
    input.dispatchEvent(new InputEvent("input", { bubbles: true, isComposing: true }));
    expect(take()).toEqual([]);
    fire(input, "compositionend");
    expect(take()).toHaveLength(1);
  });

  test("in a field of a form with the attribute belongs to the field", () => {
    const form = show(
      `<form dj-change="check" data-id="1"><input name="a" value="x"><input name="b" type="checkbox" checked></form>`,
    );
    for (const field of form.children) fire(field, "change");
    expect(take()).toEqual([
      ["check", { id: "1", value: "x", field: "a" }],
      ["check", { id: "1", value: true, field: "b" }],
    ]);
  });
});

test("a throttle lets the first through and the latest after each pause", () => {
  const button = show(`<b dj-click="go" dj-throttle="100" data-n="1"></b>`);
  button.click();
  button.click();
  button.setAttribute("data-n", "2");
  button.click();
  expect(take()).toEqual([["go", { n: "1" }]]);
  vi.advanceTimersByTime(100);
  expect(take()).toEqual([["go", { n: "2" }]]);
  vi.advanceTimersByTime(100);
  button.click();
  expect(take()).toHaveLength(1);
});

test("focus and blur are handled", () => {
  const input = show<HTMLInputElement>(`<input name="a" value="x" dj-focus="on" dj-blur="off">`);
  fire(input, "focusin");
  fire(input, "focusout");
  expect(take()).toEqual([
    ["on", { value: "x", field: "a" }],
    ["off", { value: "x", field: "a" }],
  ]);
});

test("a form is sent instead of submitted, with the parameters of its element", () => {
  const form = show(`<form dj-submit="save" data-id:int="3"><input name="a" value="1"></form>`);
  expect(fire(form, "submit").defaultPrevented).toBe(true);
  expect(take()).toEqual([["save", { id: 3, a: "1" }]]);
});

test("clicks and submits happen once at a time unless they may be many, input always", () => {
  const form = show(
    `<form dj-submit="a"><b dj-click="b"></b><i dj-click="c" dj-multiple></i><input dj-change="d"></form>`,
  );
  for (const child of form.children) fire(child, child.nodeName === "INPUT" ? "change" : "click");
  fire(form, "submit");
  expect(actions.map(({ handler, exclusive }) => [handler, exclusive])).toEqual([
    ["b", true],
    ["c", false],
    ["d", false],
    ["a", true],
  ]);
});
