/**
 * Answers that carry a diff and nothing else, on a page without modules: what almost every click
 * gets.
 */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { djust } from "../../src/core/global";
import { Page } from "../../src/core/page";
import { FakeSocket } from "../sockets";

const socket = () => FakeSocket.last;
const text = () => document.querySelector("p")?.textContent;
const html = (name: string) => document.querySelector(name)?.innerHTML;

beforeAll(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.spyOn(console, "error").mockReturnValue();
  document.body.innerHTML = `<p dj>0</p><div dj></div><table><tbody dj></tbody></table>`;
  new Page("ws://djust.test/djust/socket/", "TICKET");
  socket().open();
  socket().receive("joined", 0, 0, {});
  const rows = [
    0,
    0,
    0,
    [
      0,
      [
        ["a", "b", "c"],
        ["d", "e", "f"],
      ],
    ],
  ];
  const fragments = [
    [0, [0, [["t"], ["b"], ["l2"]]]],
    [1, [0, [["@class", "t"]]], "<i dj></i>"],
    [
      2,
      [
        [0, 0],
        [["@title"], ["t"], ["t"]],
      ],
      "<tr dj><td dj></td><td dj></td></tr>",
    ],
  ];
  socket().receive(0, 1, [0, "1", 1, [1, ["k", "x"]], 2, rows], fragments);
  socket().take();
});

afterAll(() => {
  vi.useRealTimers();
});

test("a diff alone changes the page and answers its event", async () => {
  const promise = djust.pushEvent?.("go");
  socket().receive(1, 2, [0, "2"]);
  await expect(promise).resolves.toBeNull();
  expect([text(), djust.version]).toEqual(["2", 2]);
});

test("a refusal is no diff, even of the event whose number is that of the next version", async () => {
  const promises = [djust.pushEvent?.("go"), djust.pushEvent?.("go")];
  const refused = expect(promises[1]).rejects.toThrow("No");
  socket().take();
  socket().receive("error", 3, "No");
  await refused;
  expect([text(), djust.version, socket().take()]).toEqual(["2", 2, []]);
});

test("branches and rows are changed inside", () => {
  socket().receive(0, 3, [1, [1, [1, "z"], 1]]); // finds what is in the branch
  socket().receive(0, 4, [1, [1, [0, "l", 1, "y"], 1], 2, [[0, [0, "A", 2, "C"], 1, [1, "E"]]]]);
  expect(html("div")).toBe(`<i dj="" class="l">y</i>`);
  expect(html("tbody")?.replace(/ dj="\d"/g, "")).toBe(
    `<tr title="A"><td>b</td><td>C</td></tr><tr title="d"><td>E</td><td>f</td></tr>`,
  );
  expect(djust.version).toBe(4);
});

test("rows are changed before others are removed", () => {
  const rows = [
    [1, [2, "F"]],
    [0, 1],
  ];
  socket().receive(0, 5, [0, "3", 2, rows]);
  expect([text(), html("tbody")?.replace(/ dj="\d"/g, "")]).toEqual([
    "3",
    `<tr title="d"><td>E</td><td>F</td></tr>`,
  ]);
  expect(djust.version).toBe(5);
});

test("a diff that does not fit asks for all values, and its event has been answered", async () => {
  const promise = djust.pushEvent?.("go");
  socket().take();
  socket().receive(4, 6, [7, "x"]);
  await expect(promise).resolves.toBeNull();
  expect(socket().take()).toEqual([["resync", "a part is missing", 0]]);
});
