import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { backoff, Transport } from "../../src/core/transport";
import { FakeSocket } from "../sockets";

test("the pauses between attempts double from half a second to half a minute and are spread", () => {
  const longest = [0, 1, 2, 3, 4, 5, 6, 7, 50].map((attempt) => backoff(attempt, 1));
  expect(longest).toEqual([500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
  expect(backoff(2, 0)).toBe(1000);
  for (let n = 0; n < 100; n++)
    expect(backoff(3)).toSatisfy((pause: number) => pause >= 2000 && pause <= 4000);
});

describe("a transport", () => {
  const log: unknown[] = [];
  const receiver = {
    opened: () => log.push("opened"),
    received: (frame: unknown[]) => log.push(frame),
    lost: (code: number, final: boolean) => log.push(["lost", code, final]),
  };
  const transport = new Transport("ws://djust.test/djust/socket/", receiver as never);

  // One clock for all tests: the transport remembers when the last frame was due.
  beforeAll(() => {
    vi.useFakeTimers();
  });

  afterAll(() => {
    vi.useRealTimers();
  });

  beforeEach(() => {
    vi.stubGlobal("WebSocket", FakeSocket);
    transport.connect();
    FakeSocket.last.open();
    transport.settled();
    FakeSocket.last.take();
    log.length = 0;
  });

  afterEach(() => {
    transport.stop();
  });

  const sockets = () => FakeSocket.all.length;

  test("sends and receives frames as JSON", () => {
    transport.send([1, "save", { a: "é" }]);
    FakeSocket.last.receive(1, 2, 0);
    expect(FakeSocket.last.take()).toEqual([[1, "save", { a: "é" }]]);
    expect(log).toEqual([[1, 2, 0]]);
  });

  test("pings after 12.5 to 25 seconds of silence and gives up 10 seconds later", () => {
    vi.advanceTimersByTime(10_000);
    FakeSocket.last.receive("pong");
    vi.advanceTimersByTime(14_999);
    expect(FakeSocket.last.take()).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(FakeSocket.last.take()).toEqual([["ping"]]);
    vi.advanceTimersByTime(9_999);
    expect(log).toEqual([["pong"]]);
    vi.advanceTimersByTime(1);
    expect(log).toEqual([["pong"], ["lost", 0, false]]);
  });

  test("a pong proves that the connection is alive", () => {
    vi.advanceTimersByTime(12_500);
    FakeSocket.last.receive("pong");
    vi.advanceTimersByTime(22_499);
    expect(FakeSocket.last.take()).toEqual([["ping"]]);
    vi.advanceTimersByTime(1);
    expect(FakeSocket.last.take()).toEqual([["ping"]]);
    expect(log).toEqual([["pong"]]);
  });

  test("is made again after a pause, and ignores the old socket", () => {
    const old = FakeSocket.last;
    const before = sockets();
    old.lose();
    expect(log).toEqual([["lost", 1006, false]]);
    vi.advanceTimersByTime(500);
    expect(sockets()).toBe(before + 1);
    old.receive("late");
    expect(log).toHaveLength(1);
  });

  test("waits longer each time until the page is attached again", () => {
    vi.spyOn(Math, "random").mockReturnValue(1);
    for (const pause of [500, 1000, 2000]) {
      const before = sockets();
      FakeSocket.last.lose();
      vi.advanceTimersByTime(pause - 1);
      expect(sockets()).toBe(before);
      vi.advanceTimersByTime(1);
      expect(sockets()).toBe(before + 1);
    }
    transport.settled();
    const before = sockets();
    FakeSocket.last.lose();
    vi.advanceTimersByTime(500);
    expect(sockets()).toBe(before + 1);
  });

  test("does not wait when the network or the user is back", () => {
    for (const wake of [
      () => window.dispatchEvent(new Event("online")),
      () => document.dispatchEvent(new Event("visibilitychange")),
    ]) {
      FakeSocket.last.lose();
      const before = sockets();
      wake();
      expect(sockets()).toBe(before + 1);
      wake();
      expect(sockets()).toBe(before + 1);
    }
  });

  test("asks for a heartbeat when the user is back", () => {
    document.dispatchEvent(new Event("visibilitychange"));
    expect(FakeSocket.last.take()).toEqual([["ping"]]);
  });

  test("gives up a connection that is never made", () => {
    FakeSocket.last.lose();
    vi.advanceTimersByTime(500);
    log.length = 0;
    vi.advanceTimersByTime(10_000);
    expect(log).toEqual([["lost", 0, false]]);
  });

  test.each([1012, 4401])("comes back within two seconds when many do, after %i", (code) => {
    const random = vi.spyOn(Math, "random");
    for (const chance of [0.25, 0.5, 0.75]) {
      random.mockReturnValue(chance);
      const before = sockets();
      FakeSocket.last.lose(code);
      vi.advanceTimersByTime(2000 * chance - 1);
      expect(sockets()).toBe(before);
      vi.advanceTimersByTime(1);
      expect(sockets()).toBe(before + 1);
      transport.settled();
    }
    random.mockReturnValue(1);
    FakeSocket.last.lose(code);
    vi.advanceTimersByTime(2000);
    const before = sockets();
    FakeSocket.last.lose(code);
    vi.advanceTimersByTime(999);
    expect(sockets()).toBe(before);
    vi.advanceTimersByTime(1);
    expect(sockets()).toBe(before + 1);
  });

  test("is not stopped by a refusal while it waits for a session", () => {
    FakeSocket.last.lose(4401);
    vi.advanceTimersByTime(2000);
    FakeSocket.last.lose(4403);
    const before = sockets();
    vi.advanceTimersByTime(1000);
    expect(sockets()).toBe(before + 1);
    transport.settled();
    FakeSocket.last.lose(4403);
    expect(log.filter((entry) => Array.isArray(entry))).toEqual([
      ["lost", 4401, false],
      ["lost", 4403, false],
      ["lost", 4403, true],
    ]);
  });

  test("stops when the server refuses the page", () => {
    const before = sockets();
    FakeSocket.last.lose(4403);
    window.dispatchEvent(new Event("online"));
    vi.advanceTimersByTime(60_000);
    expect(log).toEqual([["lost", 4403, true]]);
    expect(sockets()).toBe(before);
  });

  test("closes when the page is put away and comes back with it", () => {
    const before = sockets();
    window.dispatchEvent(new Event("pagehide"));
    vi.advanceTimersByTime(60_000);
    expect(sockets()).toBe(before);
    window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
    expect(sockets()).toBe(before + 1);
  });
});
