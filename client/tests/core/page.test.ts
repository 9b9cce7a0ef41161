import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { djust } from "../../src/core/global";
import { Page } from "../../src/core/page";
import { FakeSocket } from "../sockets";

// One page for all tests: its listeners stand on the document.
const heard: [name: string, detail: unknown][] = [];

const socket = () => FakeSocket.last;
const button = () => document.querySelector("button") as HTMLButtonElement;
const text = () => document.querySelector("p")?.textContent;

/** Loses the socket and has another one opened. */
function reconnect(...answer: unknown[]): void {
  socket().lose();
  vi.advanceTimersByTime(500);
  socket().open();
  socket().receive(...answer);
}

const all = (value: string, lastRef = 0, extra = {}) => [
  "all",
  djust.version,
  [value],
  [[0, [0, [["t"]]]]],
  lastRef,
  extra,
];

let ref = 0;

function click(): number {
  button().click();
  return ++ref;
}

beforeAll(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  for (const name of ["connected", "disconnected", "error", "push_event", "ding"])
    document.addEventListener(`djust:${name}`, (event) =>
      heard.push([name, (event as CustomEvent).detail?.text ?? (event as CustomEvent).detail]),
    );
  new Page("ws://djust.test/djust/socket/", "TICKET");
});

afterAll(() => {
  vi.useRealTimers();
});

beforeEach(() => {
  vi.spyOn(console, "error").mockReturnValue();
  document.body.innerHTML = `<p dj>0</p><button dj-click="go"></button>`;
  if (djust.connected) reconnect(...all("0", ref));
  else {
    socket().open();
    socket().receive("joined", 0, 0, {});
  }
  socket().take();
  heard.length = 0;
});

afterEach(() => {
  vi.advanceTimersByTime(2000);
});

test("a page joins with its token, its version and its path", () => {
  expect(FakeSocket.all[0]?.url).toBe("ws://djust.test/djust/socket/");
  reconnect("joined", djust.version, ref, { ticket: "NEXT" });
  const document = expect.stringMatching(/^\d+(,\d+){3}$/);
  expect(socket().take()).toEqual([["join", "TICKET", djust.version, "/page/?a=1", document]]);
  reconnect("joined", djust.version, ref, { ticket: "TICKET" });
  expect(socket().take()).toEqual([["join", "NEXT", djust.version, "/page/?a=1", document]]);
  expect(heard.map(([name]) => name)).toEqual(["disconnected", "connected", "disconnected", "connected"]);
});

test("an event is answered by a diff; then its element no longer waits", () => {
  const event = click();
  expect(socket().take()).toEqual([[event, "go", {}]]);
  expect(button().className).toBe("dj-waiting");
  socket().receive(event, djust.version + 1, [0, "1"], 0, { push: [["ding", { a: 1 }]] });
  expect([text(), button().hasAttribute("class")]).toEqual(["1", false]);
  expect(heard).toEqual([
    ["push_event", { name: "ding", payload: { a: 1 } }],
    ["ding", { a: 1 }],
  ]);
});

test("a second click while the first waits is not sent", () => {
  const event = click();
  button().click();
  expect(socket().take()).toHaveLength(1);
  socket().receive(event);
});

test("what is typed while the last input waits is sent as one", () => {
  document.body.innerHTML = `<p dj>0</p><input dj-input="typed" dj-debounce="0"><b dj-click="go"></b>`;
  const [input, b] = [
    document.querySelector("input") as HTMLInputElement,
    document.querySelector("b") as HTMLElement,
  ];
  const type = (value: string) => {
    input.value = value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  };
  for (const value of ["a", "ab", "abc"]) type(value);
  const values = () =>
    socket()
      .take()
      .map(([, handler, params]) => (params as { value?: string }).value ?? handler);
  expect(values()).toEqual(["a"]);
  socket().receive(++ref);
  expect(values()).toEqual(["abc"]);
  type("abcd");
  b.click();
  expect(values()).toEqual(["abcd", "go"]);
  for (let n = 0; n < 3; n++) socket().receive(++ref);
  expect(document.querySelector(".dj-waiting")).toBeNull();
});

describe("a failure", () => {
  test("of a handler is shown to the user, and the diff is applied", () => {
    const event = click();
    socket().receive(event, djust.version + 1, [0, "1"], 0, { error: "Boom", detail: "Trace" });
    expect([text(), button().className]).toEqual(["1", "dj-failed"]);
    expect(heard).toContainEqual(["error", "Boom"]);
    expect(document.querySelector(".djust-notice[role=alert]")?.textContent).toBe("Boom");
    vi.advanceTimersByTime(8000);
    expect(document.querySelector(".djust-notice")).toBeNull();
  });

  test("of an event is the element's, which says so for a while", () => {
    const event = click();
    socket().receive("error", event, "No");
    expect(button().className).toBe("dj-failed");
    vi.advanceTimersByTime(1500);
    expect(button().hasAttribute("class")).toBe(false);
  });

  test("of the connection is the document's", () => {
    socket().receive("error", 0, "Down");
    expect(heard).toEqual([["error", "Down"]]);
  });

  test("is not shown by djust when a script shows it", () => {
    document.addEventListener("djust:error", (event) => event.preventDefault(), { once: true });
    socket().receive("error", 0, "Down");
    expect(document.querySelector(".djust-notice")).toBeNull();
  });

  test("of an event without answer for half a minute lets the next of its kind go", () => {
    document.body.innerHTML = `<p dj>0</p><input dj-input="typed" dj-debounce="0">`;
    const input = document.querySelector("input") as HTMLInputElement;
    const type = () => input.dispatchEvent(new Event("input", { bubbles: true }));
    type();
    ref++;
    expect(socket().take()).toHaveLength(1);
    vi.advanceTimersByTime(20_000);
    socket().receive("pong");
    vi.advanceTimersByTime(10_000);
    type();
    ref++;
    expect(
      socket()
        .take()
        .map(([, handler]) => handler),
    ).toContain("typed");
    socket().receive(ref);
  });
});

test("promises of pushEvent get the reply", async () => {
  const promise = djust.pushEvent?.("ask", { a: 1 });
  expect(socket().take()).toEqual([[++ref, "ask", { a: 1 }, [], 1]]);
  socket().receive(ref, 0, 0, 0, { reply: { b: 2 } });
  expect(await promise).toEqual({ b: 2 });
});

describe("a resync", () => {
  const resyncs = () =>
    socket()
      .take()
      .filter(([name]) => name === "resync");

  test("is asked for once when a version is missing, and repairs the page", () => {
    const event = click();
    socket().receive(0, djust.version + 2, [0, "x"]);
    socket().receive(0, djust.version + 3, [0, "y"]);
    expect(resyncs()).toHaveLength(1);
    expect(text()).toBe("0");
    socket().receive(...all("z", event - 1));
    expect([text(), button().className]).toEqual(["z", "dj-waiting"]);
    socket().receive(event);
    expect(button().hasAttribute("class")).toBe(false);
  });

  test("is asked for when a diff does not fit", () => {
    socket().receive(0, djust.version + 1, [5, "x"]);
    expect(resyncs()).toHaveLength(1);
    socket().receive(...all("fits"));
    expect(text()).toBe("fits");
  });

  test("is asked for when the server knows another version of the page", () => {
    reconnect("joined", djust.version + 1, ref);
    expect(resyncs()).toHaveLength(1);
    socket().receive(...all("again", ref));
  });
});

describe("when the connection comes back", () => {
  test("events that the server has not seen are sent again, the others end", () => {
    document.body.innerHTML += `<button id="b" dj-click="other"></button>`;
    const seen = click();
    document.getElementById("b")?.click();
    const unseen = ++ref;
    reconnect("joined", djust.version, seen);
    expect(socket().take().slice(1)).toEqual([[unseen, "other", {}]]);
    expect([button().className, document.getElementById("b")?.className]).toEqual(["", "dj-waiting"]);
    socket().receive(unseen);
  });

  test("an event of the meantime is sent", () => {
    socket().lose();
    const event = click();
    expect(button().className).toBe("dj-waiting");
    vi.advanceTimersByTime(500);
    socket().open();
    socket().receive("joined", djust.version, event - 1);
    expect(socket().take().slice(1)).toEqual([[event, "go", {}]]);
    socket().receive(event);
  });

  test("also when the page has gone on without this browser", () => {
    const event = click();
    reconnect(...all("further", event - 1));
    expect(socket().take().slice(1)).toEqual([[event, "go", {}]]);
    expect([text(), button().className]).toEqual(["further", "dj-waiting"]);
    socket().receive(event);
  });

  test.each([
    ["joined", () => ["joined", djust.version, 0, { ticket: "NEXT" }]],
    ["all", () => all("new", 0, { ticket: "NEXT" })],
  ])(
    "with another page (%s), what was sent and not answered has failed, what was not is sent",
    async (_, answer) => {
      document.body.innerHTML += `<button id="b" dj-click="other"></button>`;
      click();
      socket().lose();
      document.getElementById("b")?.click();
      const unsent = ++ref;
      vi.advanceTimersByTime(500);
      socket().open();
      socket().take();
      socket().receive(...answer());
      await vi.advanceTimersByTimeAsync(0);
      expect(socket().take()).toEqual([[unsent, "other", {}]]);
      expect([button().className, document.getElementById("b")?.className]).toEqual([
        "dj-failed",
        "dj-waiting",
      ]);
      expect(heard).toContainEqual([
        "error",
        "The page was reloaded; your last action may not have been saved.",
      ]);
      socket().receive(unsent);
    },
  );

  test("events are sent in their order, also what waited for the answer that was lost", () => {
    document.body.innerHTML += `<input dj-input="typed" dj-debounce="0">`;
    const input = document.querySelector("input") as HTMLInputElement;
    const type = (value: string) => {
      input.value = value;
      input.dispatchEvent(new Event("input", { bubbles: true }));
    };
    type("a");
    const executed = ++ref;
    socket().lose();
    const unsent = click();
    type("ab");
    vi.advanceTimersByTime(500);
    socket().open();
    socket().take();
    socket().receive(...all("further", executed));
    expect(
      socket()
        .take()
        .map(([number, handler]) => [number, handler]),
    ).toEqual([
      [unsent, "go"],
      [++ref, "typed"],
    ]);
    socket().receive(unsent);
    socket().receive(ref);
  });

  test("an event that was sent to the old page is not sent to the new one, however often the connection is lost", async () => {
    click();
    reconnect(...all("new", 0, { ticket: "NEXT" }));
    socket().take();
    reconnect("joined", djust.version, 0);
    expect(socket().take()).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(0);
    expect(button().className).toBe("dj-failed");
  });

  test("the event that was too large has failed, the others are sent again", () => {
    document.body.innerHTML += `<button id="b" dj-click="big" data-x="${"x".repeat(99)}"></button>`;
    const small = click();
    document.getElementById("b")?.click();
    ref++;
    socket().lose(1009);
    expect(document.getElementById("b")?.className).toBe("dj-failed");
    vi.advanceTimersByTime(500);
    socket().open();
    socket().receive("joined", djust.version, small - 1);
    expect(socket().take().slice(1)).toEqual([[small, "go", {}]]);
    socket().receive(small);
  });
});

describe("without a connection", () => {
  const banner = () => document.querySelector(".djust-banner") as HTMLElement | null;

  function endless(): void {
    socket().lose();
    for (let tries = 0; tries < 3; tries++) {
      vi.advanceTimersByTime(2000);
      if (socket().readyState === 0) socket().lose();
    }
  }

  test("nothing shows for two seconds, then a banner, until it is back", () => {
    socket().lose();
    vi.advanceTimersByTime(1999);
    expect(banner()?.hidden ?? true).toBe(true);
    vi.advanceTimersByTime(1);
    expect([banner()?.hidden, banner()?.textContent, banner()?.getAttribute("role")]).toEqual([
      false,
      "Reconnecting…",
      "status",
    ]);
    socket().open();
    socket().receive("joined", djust.version, ref);
    expect(banner()?.hidden).toBe(true);
  });

  test("events are kept for two seconds and refused then", () => {
    socket().lose();
    click();
    vi.advanceTimersByTime(2000);
    expect(button().className).toBe("dj-failed");
    vi.advanceTimersByTime(2000);
    click();
    expect(button().className).toBe("dj-failed");
    socket().open();
    socket().receive("joined", djust.version, ref);
    expect(socket().take()).toHaveLength(1);
  });

  test("what is entered into a field waits as long as it takes, and the latest of it is sent", () => {
    document.body.innerHTML = `<p dj>0</p><input dj-input="typed" dj-debounce="0">`;
    const input = document.querySelector("input") as HTMLInputElement;
    const type = (value: string) => {
      input.value = value;
      input.dispatchEvent(new Event("input", { bubbles: true }));
    };
    endless();
    type("a");
    vi.advanceTimersByTime(40_000);
    type("ab");
    type("abc");
    window.dispatchEvent(new Event("online"));
    socket().open();
    socket().take();
    socket().receive("joined", djust.version, ref);
    const values = () => socket().sent.map(([, , params]) => (params as { value: string }).value);
    expect(values()).toEqual(["a"]);
    socket().receive(++ref);
    expect(values()).toEqual(["a", "abc"]);
    socket().receive(++ref);
    expect(heard.filter(([name]) => name === "error")).toEqual([]);
  });

  test("an event that was sent waits on", () => {
    const event = click();
    endless();
    expect(button().className).toBe("dj-waiting");
    vi.advanceTimersByTime(10_000);
    socket().open();
    socket().receive("joined", djust.version, event);
    expect(button().hasAttribute("class")).toBe(false);
  });
});

describe("a page that was restored or remounted", () => {
  const fields = () => [...document.querySelectorAll("input")] as [HTMLInputElement, ...HTMLInputElement[]];
  const remounted = (value = "new", lastRef = 0) => all(value, lastRef, { ticket: "NEXT" });

  function type(field: HTMLInputElement, value: string): void {
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /** What was sent, without the join; all of it is answered. */
  function sentEvents(): unknown[] {
    const sent = socket()
      .take()
      .filter(([name]) => name !== "join");
    for (const [number] of sent) socket().receive(number);
    ref += sent.length;
    return sent.map(([, handler, params]) => [handler, (params as { value?: unknown }).value ?? params]);
  }

  test("receives again what the user had entered, where it differs", async () => {
    document.body.innerHTML = `<p dj>0</p><input name="a" dj-input="typed" dj-debounce="0"><input name="b" value="x"
      dj-input="typed"><input type="checkbox" name="c" dj-change="ticked">`;
    const [a, , c] = fields();
    type(a, "mine");
    c?.click();
    sentEvents();
    reconnect(...remounted());
    await vi.advanceTimersByTimeAsync(500);
    expect(sentEvents()).toEqual([
      ["typed", "mine"],
      ["ticked", true],
    ]);
  });

  test("that shows the same is not", async () => {
    document.body.innerHTML = `<p dj>0</p><input type="checkbox" name="c" dj-change="ticked">`;
    const [c] = fields();
    c.click();
    sentEvents();
    c.setAttribute("checked", "");
    reconnect(...remounted());
    await vi.advanceTimersByTimeAsync(500);
    expect(sentEvents()).toEqual([]);
  });

  test("receives once what was typed while the server failed, and no error is shown", async () => {
    document.body.innerHTML = `<p dj>0</p><input name="a" dj-input="typed" dj-debounce="0">`;
    const [a] = fields();
    type(a, "m");
    const answered = ++ref;
    socket().receive(answered);
    type(a, "mi");
    ref++;
    socket().lose();
    type(a, "mine");
    vi.advanceTimersByTime(500);
    socket().take();
    socket().open();
    socket().receive(...remounted("restored", answered));
    await vi.advanceTimersByTimeAsync(0);
    expect(a.value).toBe("mine");
    expect(sentEvents()).toEqual([["typed", "mine"]]);
    await vi.advanceTimersByTimeAsync(500);
    expect([sentEvents(), heard.filter(([name]) => name === "error")]).toEqual([[], []]);
  });

  test("receives a field that was emptied, although the template gives it no value", async () => {
    document.body.innerHTML = `<p dj>0</p><input name="a" dj-input="typed" dj-debounce="0">`;
    const [a] = fields();
    type(a, "mine");
    sentEvents();
    type(a, "");
    ref++;
    reconnect(...remounted());
    await vi.advanceTimersByTimeAsync(0);
    expect(sentEvents().pop()).toEqual(["typed", ""]);
  });

  test("receives once what was typed before the first connection", async () => {
    document.body.innerHTML = `<p dj>0</p><input name="a" dj-input="typed" dj-debounce="0">`;
    const [a] = fields();
    socket().lose();
    type(a, "mine");
    vi.advanceTimersByTime(3000);
    expect(a.className).toBe("dj-waiting");
    socket().take();
    socket().open();
    socket().receive(...remounted());
    await vi.advanceTimersByTimeAsync(500);
    expect(sentEvents()).toEqual([["typed", "mine"]]);
    expect(heard.filter(([name]) => name === "error")).toEqual([]);
  });

  test("calls the handler of dj-auto-recover, without asking for confirmation", async () => {
    document.body.innerHTML = `<p dj>0</p>
      <form dj-auto-recover="recover('f')" dj-input="typed" dj-debounce="0" dj-confirm="Sure?" data-id:int="3">
      <input name="a"><input name="b" value="x"></form>
      <input name="c" dj-auto-recover="recover_one" dj-input="typed" dj-debounce="0">`;
    const form = document.forms[0] as HTMLFormElement;
    const [a, , c] = fields();
    form.removeAttribute("dj-confirm");
    type(a, "mine");
    type(c as HTMLInputElement, "also");
    sentEvents();
    form.setAttribute("dj-confirm", "Sure?");
    reconnect(...remounted());
    await vi.advanceTimersByTimeAsync(0);
    const sent = socket().take().slice(1);
    expect(sent).toEqual([
      [++ref, "recover", { id: 3, a: "mine", b: "x" }, ["f"]],
      [++ref, "recover_one", { value: "also", field: "c" }],
    ]);
    for (const [number] of sent) socket().receive(number);
    expect(a.value).toBe("mine");
  });

  test("does not receive again what a submit under way contains", async () => {
    document.body.innerHTML = `<p dj>0</p><form dj-input="typed" dj-submit="save" dj-debounce="0"><input name="a"></form>`;
    const [a] = fields();
    type(a, "mine");
    sentEvents();
    socket().lose();
    document.forms[0]?.dispatchEvent(new SubmitEvent("submit", { bubbles: true, cancelable: true }));
    vi.advanceTimersByTime(500);
    socket().take();
    socket().open();
    socket().receive(...remounted());
    await vi.advanceTimersByTimeAsync(500);
    expect(sentEvents()).toEqual([["save", { a: "mine" }]]);
  });
});

test("a refusal is over when the page is attached again", () => {
  socket().lose(4403);
  window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  socket().open();
  socket().receive("joined", djust.version, ref);
  const event = click();
  expect(socket().take().slice(1)).toEqual([[event, "go", {}]]);
  socket().receive(event);
});

test("an unknown session is reported once, and the page goes on when there is one", () => {
  const ended = "Your session has ended.";
  for (let attempt = 0; attempt < 3; attempt++) {
    socket().receive("error", 0, ended);
    socket().lose(4401);
    vi.advanceTimersByTime(4000);
    socket().open();
  }
  const said = () => heard.filter(([name]) => name === "error").map(([, what]) => what);
  expect(said()).toEqual([ended]);
  click();
  expect(said()).toEqual([ended, ended]);
  // Nobody is logged in while the login page is open.
  socket().receive("error", 0, "This page is another user's.");
  socket().lose(4403);
  vi.advanceTimersByTime(8000);
  socket().open();
  socket().take();
  socket().receive("joined", djust.version, ref);
  const event = click();
  expect(socket().take()).toEqual([[event, "go", {}]]);
  socket().receive(event);
  socket().receive("error", 0, ended);
  expect(said().slice(-2)).toEqual(["This page is another user's.", ended]);
});
