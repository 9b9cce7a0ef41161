import { afterEach, expect, test, vi } from "vitest";
import { djust } from "../../src/core/global";
import { Page } from "../../src/core/page";
import { noteSpans, targetOf } from "../../src/core/targets";
import { FakeSocket } from "../sockets";

vi.stubGlobal("WebSocket", FakeSocket);
new Page("ws://djust.test/djust/socket/", "TOKEN");
FakeSocket.last.open();
FakeSocket.last.receive("joined", 0);

const get = (id: string) => document.getElementById(id) as HTMLElement;

/** What was sent since the last call; all of it is answered. */
function sent(): unknown[][] {
  const frames = FakeSocket.last.take().filter(([ref]) => typeof ref === "number");
  for (const [ref] of frames) FakeSocket.last.receive(ref);
  return frames.map(([, ...rest]) => rest);
}

function show(html: string): void {
  document.body.innerHTML = html;
  noteSpans(html);
  sent();
}

afterEach(() => {
  vi.useRealTimers();
});

test("an event names the node around its element, and none for the page's root", () => {
  show(`<button id="root" dj-click="go"></button>
    <div dj-node="a"><button id="a" dj-click="go"></button></div>
    <div dj-node="b"><p><button id="b" dj-click="go(1)" data-x="2"></button></p></div>`);
  for (const id of ["root", "a", "b"]) get(id).click();
  expect(sent()).toEqual([
    ["go", {}],
    ["go", {}, "a"],
    ["go", { x: "2" }, "b", [1]],
  ]);
});

test("the nearest of nested nodes is the event's", () => {
  show(`<section dj-node="outer"><i id="before" dj-click="go"></i>
    <div dj-node="inner" id="inner" dj-click="go"><b id="within" dj-click="go"></b></div>
    <i id="behind" dj-click="go"></i></section>`);
  for (const id of ["before", "inner", "within", "behind"]) get(id).click();
  expect(sent().map(([, , target]) => target)).toEqual(["outer", "inner", "inner", "outer"]);
});

test("the node is that of the directive's element, not of the element that was clicked in it", () => {
  show(`<div dj-click="go"><div dj-node="a"><b id="b"></b></div></div>`);
  get("b").click();
  expect(sent()).toEqual([["go", {}]]);
});

test("nodes without a root element are found by the comments around them", () => {
  show(`<i id="before"></i><!--[ dj-node="a"--><i id="first"></i><!--[--><i id="inside"></i><!--]--><p><i id="deep"></i></p>
    <!--[ dj-node="b"--><i id="nested"></i><!--]--><i id="last"></i><!--]--><i id="behind"></i>`);
  const ids = ["before", "first", "inside", "deep", "nested", "last", "behind"];
  expect(ids.map((id) => targetOf(get(id)))).toEqual([null, "a", "a", "a", "b", "a", null]);
});

test("a span of comments that holds a node's mark is bound like any other", () => {
  show(`<p dj><!--[ dj-node="a"-->x<!--]--></p>`);
  FakeSocket.last.receive(0, djust.version + 1, [0, "y"], [[0, [0, [[], "t"]]]]);
  expect(document.querySelector("p")?.innerHTML).toBe(`<!--[ dj-node="a"-->y<!--]-->`);
});

test("an element that was moved belongs to the node where it is", () => {
  show(
    `<div dj-node="a" id="a"><button id="moving" dj-click="go"></button></div><div dj-node="b" id="b"></div>`,
  );
  get("moving").click();
  get("b").append(get("moving"));
  expect(sent()).toEqual([["go", {}, "a"]]);
  get("moving").click();
  document.body.append(get("moving"));
  expect(sent()).toEqual([["go", {}, "b"]]);
  get("moving").click();
  expect(sent()).toEqual([["go", {}]]);
});

test("what a debounce held back is for the node where the user typed", () => {
  vi.useFakeTimers();
  show(
    `<div dj-node="a"><input id="field" name="q" dj-input="typed" dj-debounce="100"></div><div dj-node="b" id="b"></div>`,
  );
  get("field").dispatchEvent(new Event("input", { bubbles: true }));
  get("b").append(get("field"));
  vi.advanceTimersByTime(100);
  expect(sent()).toEqual([["typed", { value: "", field: "q" }, "a"]]);
});

test("pushEvent asks the node of the element that it is given, else the page's root", () => {
  show(`<div dj-node="a"><i id="i"></i></div>`);
  void djust.pushEvent?.("ask");
  void djust.pushEvent?.("ask", { x: 1 }, get("i"));
  expect(sent()).toEqual([
    ["ask", {}, [], 1],
    ["ask", { x: 1 }, "a", [], 1],
  ]);
});

test("a field that is replayed to a remounted page names its node", () => {
  show(
    `<div dj-node="a"><input id="field" name="q" dj-auto-recover="recover" dj-input="typed" dj-debounce="0"></div>`,
  );
  const field = get("field") as HTMLInputElement;
  field.value = "mine";
  field.dispatchEvent(new Event("input", { bubbles: true }));
  expect(sent()).toEqual([["typed", { value: "mine", field: "q" }, "a"]]);
  FakeSocket.last.receive("all", djust.version, [], [[0, [0, []]]], 0, {});
  vi.useFakeTimers();
  FakeSocket.last.lose();
  vi.advanceTimersByTime(500);
  FakeSocket.last.open();
  FakeSocket.last.receive("all", djust.version, [], [[0, [0, []]]], 0, { ticket: "NEXT" });
  expect(sent()).toEqual([["recover", { value: "mine", field: "q" }, "a"]]);
});
