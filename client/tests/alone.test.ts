/** A page without `djust.more.js`, on which a diff that comes alone takes a shorter way. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { djust } from "../src/global";
import { Page } from "../src/page";
import { FakeSocket } from "./sockets";

const socket = () => FakeSocket.last;
const text = () => document.querySelector("p")?.textContent;

beforeAll(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.spyOn(console, "error").mockReturnValue();
  document.body.innerHTML = `<p dj>0</p>`;
  new Page("ws://djust.test/djust/socket/", "TICKET");
  socket().open();
  socket().receive("joined", 0, 0, {});
  socket().receive(0, 1, [0, "1"], [[0, [0, [["t"]]]]]);
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

test("a diff that does not fit asks for all values, and its event has been answered", async () => {
  const promise = djust.pushEvent?.("go");
  socket().take();
  socket().receive(4, 3, [7, "x"]);
  await expect(promise).resolves.toBeNull();
  expect(socket().take()).toEqual([["resync", "a part is missing", 0]]);
});
