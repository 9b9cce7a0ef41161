import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Overlays } from "../../src/core/overlays";
import { EVENT_TIMEOUT, Pending, type Waiting } from "../../src/core/pending";

let pending: Pending;
const errors: unknown[] = [];

function show(html: string): Element {
  document.body.innerHTML = html;
  return document.body.firstElementChild as Element;
}

function wait(ref: number, element: Element | null, more: Partial<Waiting> = {}): void {
  pending.add({ ref, frame: [ref, "go", {}], element, source: null, sentAt: performance.now(), ...more });
}

document.addEventListener("djust:error", (event) => errors.push((event as CustomEvent).detail));

beforeEach(() => {
  vi.useFakeTimers();
  pending = new Pending(new Overlays(), (ref) => pending.fail(ref, "The server did not answer."));
  vi.spyOn(console, "error").mockReturnValue();
  errors.length = 0;
});

afterEach(() => {
  for (const { ref } of pending.all()) pending.end(ref);
  vi.useRealTimers();
});

describe("an element that waits", () => {
  test("shows it, and looks as before when it is answered", () => {
    const button = show("<button>Go</button>");
    wait(1, button);
    expect(button.outerHTML).toBe(`<button class="dj-waiting" aria-busy="true">Go</button>`);
    pending.end(1);
    expect(button.outerHTML).toBe("<button>Go</button>");
  });

  test("keeps its classes and its own aria-busy", () => {
    const html = `<button class="a" aria-busy="false">Go</button>`;
    const button = show(html);
    wait(1, button);
    expect(button.className).toBe("a dj-waiting");
    pending.end(1);
    expect(button.outerHTML).toBe(html);
  });

  test("waits until all its events are answered", () => {
    const button = show("<button>Go</button>");
    wait(1, button);
    wait(2, button);
    pending.end(1);
    expect(pending.isWaiting(button)).toBe(true);
    pending.end(2);
    expect(pending.isWaiting(button)).toBe(false);
  });

  test("may be disabled, show another text, and load", () => {
    const html = `<button dj-disable-with="Wait" dj-loading="">Go <b>now</b></button>`;
    const button = show(html);
    const bold = button.lastChild;
    wait(1, button);
    expect(button.outerHTML).toBe(
      `<button dj-disable-with="Wait" dj-loading="" class="dj-waiting dj-loading" aria-busy="true" disabled="">Wait</button>`,
    );
    pending.end(1);
    expect(button.outerHTML).toBe(html);
    expect(button.lastChild).toBe(bold);
  });

  test("may be locked: disabled if it can be, else inert", () => {
    const button = show("<button dj-lock></button>");
    wait(1, button);
    expect(button.hasAttribute("disabled")).toBe(true);
    pending.end(1);
    const row = show("<div dj-lock></div>");
    wait(2, row);
    expect(row.hasAttribute("inert")).toBe(true);
    pending.end(2);
    expect(row.outerHTML).toBe(`<div dj-lock=""></div>`);
  });

  test("that is a form disables its buttons that ask for it", () => {
    const html = `<form><button dj-disable-with="Saving">Save</button><input type="submit" value="Go" dj-disable-with="W"><button>x</button></form>`;
    const form = show(html);
    wait(1, form);
    const [save, go, other] = form.children as unknown as HTMLButtonElement[];
    expect([save?.textContent, go?.value, save?.disabled, go?.disabled, other?.disabled]).toEqual([
      "Saving",
      "W",
      true,
      true,
      false,
    ]);
    pending.end(1);
    expect(form.innerHTML).toBe(show(html).innerHTML);
  });

  test("gets the focus back that disabling took", () => {
    const button = show(`<button dj-lock></button>`) as HTMLButtonElement;
    button.focus();
    wait(1, button);
    button.blur();
    pending.end(1);
    expect(document.activeElement).toBe(button);
  });

  test("is as the server wrote it while the page changes", () => {
    const button = show(`<button dj-disable-with="Wait">Go</button>`);
    wait(1, button);
    pending.lift(() => {
      expect(button.outerHTML).toBe(`<button dj-disable-with="Wait">Go</button>`);
      button.firstChild?.replaceWith("Went");
    });
    expect(button.textContent).toBe("Wait");
    expect(() =>
      pending.lift(() => {
        throw new Error("broken");
      }),
    ).toThrow("broken");
    expect(button.className).toBe("dj-waiting");
    pending.end(1);
    expect(button.outerHTML).toBe(`<button dj-disable-with="Wait">Went</button>`);
  });
});

describe("an event that fails", () => {
  test("says so on its element, to scripts and to the console", () => {
    const button = show("<button>Go</button>");
    wait(1, button);
    pending.fail(1, "No", "because");
    expect(button.outerHTML).toBe(`<button class="dj-failed">Go</button>`);
    expect(errors).toEqual([{ text: "No", detail: "because", ref: 1 }]);
    expect(console.error).toHaveBeenCalledWith("djust: No", "because");
    vi.advanceTimersByTime(2000);
    expect(button.outerHTML).toBe("<button>Go</button>");
  });

  test("is known to the page when its element is gone", () => {
    const button = show("<button>Go</button>");
    wait(1, button);
    button.remove();
    pending.fail(1, "No");
    expect(errors).toHaveLength(1);
  });

  test("has waited for half a minute", () => {
    const button = show("<button>Go</button>");
    wait(1, button);
    vi.advanceTimersByTime(EVENT_TIMEOUT);
    expect(errors).toEqual([{ text: "The server did not answer.", detail: "", ref: 1 }]);
    expect(pending.all()).toEqual([]);
  });

  test("has waited for half a minute since it was sent, however long there was no connection", () => {
    wait(1, null, { sentAt: undefined });
    vi.advanceTimersByTime(EVENT_TIMEOUT + 10_000);
    Object.assign(pending.get(1) as Waiting, { sentAt: performance.now() });
    vi.advanceTimersByTime(EVENT_TIMEOUT - 1);
    expect(errors).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(errors).toEqual([{ text: "The server did not answer.", detail: "", ref: 1 }]);
  });

  test("has its own half minute", () => {
    wait(1, null);
    vi.advanceTimersByTime(10_000);
    wait(2, null);
    vi.advanceTimersByTime(EVENT_TIMEOUT - 10_000);
    expect(pending.all().map(({ ref }) => ref)).toEqual([2]);
    vi.advanceTimersByTime(10_000);
    expect(pending.all()).toEqual([]);
  });
});

test("promises are kept or broken", async () => {
  const kept = new Promise((resolve) => wait(1, null, { resolve }));
  const broken = new Promise((_, reject) => wait(2, null, { reject }));
  pending.end(1, { a: 1 });
  pending.fail(2, "No");
  expect(await kept).toEqual({ a: 1 });
  await expect(broken).rejects.toThrow("No");
});
