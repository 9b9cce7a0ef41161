import { afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import type { Debug } from "../djust";

class Socket extends EventTarget {
  static readonly OPEN = 1;
  readyState = 1;
  sent: string[] = [];
  send(text: string): void {
    this.sent.push(text);
  }
}

let debug: Debug;
const heard: string[] = [];
let socket: Socket & { onmessage: (event: MessageEvent) => void };

beforeAll(async () => {
  vi.stubGlobal("WebSocket", Socket);
  await import("../src/debug");
  debug = window.djust.debug as Debug;
});

beforeEach(() => {
  vi.useFakeTimers();
  const made = (window.djust as unknown as { Socket: typeof WebSocket }).Socket;
  socket = new made("ws://x/") as unknown as typeof socket;
  socket.onmessage = ({ data }) => heard.push(data);
});

afterEach(() => {
  vi.advanceTimersByTime(1000);
  vi.useRealTimers();
  heard.length = 0;
});

const receive = (text: string) => socket.dispatchEvent(new MessageEvent("message", { data: text }));

test("frames are delayed in both directions, and stay in order", () => {
  debug.latency(100);
  socket.send('[1,"a",{}]');
  receive('["pong"]');
  debug.latency(0);
  socket.send('[2,"b",{}]');
  vi.advanceTimersByTime(99);
  expect([socket.sent, heard]).toEqual([[], []]);
  vi.advanceTimersByTime(1);
  expect([socket.sent, heard]).toEqual([['[1,"a",{}]', '[2,"b",{}]'], ['["pong"]']]);
});

test("the last hundred frames are kept, resyncs are counted", () => {
  const before = debug.resyncs;
  socket.send('["resync","x"]');
  for (let n = 0; n < 120; n++) receive("[1,2]");
  expect([debug.frames.length, debug.frames[99]?.slice(0, 2), debug.resyncs]).toEqual([
    100,
    ["in", [1, 2]],
    before + 1,
  ]);
});

test("an error stays until it is closed", () => {
  debug.failed({ text: "Boom", detail: "Trace", ref: 1 });
  const overlay = document.querySelector(".djust-error[role=alert]") as HTMLElement;
  expect(overlay.textContent).toBe("BoomTraceClose");
  overlay.querySelector("button")?.click();
  expect(document.querySelector(".djust-error")).toBeNull();
});
