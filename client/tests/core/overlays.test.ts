import { beforeEach, expect, test } from "vitest";
import { Overlays, withAttribute, withClass, withText } from "../../src/core/overlays";

let overlays: Overlays;
let button: HTMLElement;

beforeEach(() => {
  document.body.innerHTML = "<button>Go</button>";
  button = document.querySelector("button") as HTMLElement;
  overlays = new Overlays();
});

test("an overlay shows until it is removed, and leaves nothing behind", () => {
  const overlay = overlays.lay(button, (element) => withClass(element, "x"));
  expect(button.outerHTML).toBe(`<button class="x">Go</button>`);
  overlays.remove(overlay);
  overlays.remove(overlay);
  expect(button.outerHTML).toBe("<button>Go</button>");
});

test("a change is made below the overlays, which lie on what it leaves", () => {
  overlays.lay(button, (element) => withText(element, "Wait"));
  overlays.lay(button, (element) => withAttribute(element, "title", "busy"));
  overlays.lift(() => {
    expect(button.outerHTML).toBe("<button>Go</button>");
    button.firstChild?.replaceWith("Went");
    button.title = "done";
  });
  expect(button.outerHTML).toBe(`<button title="busy">Wait</button>`);
  overlays.lift(() => expect(button.outerHTML).toBe(`<button title="done">Went</button>`));
});

test("overlays of one attribute are removed in any order", () => {
  const first = overlays.lay(button, (element) => withAttribute(element, "title", "1"));
  const second = overlays.lay(button, (element) => withAttribute(element, "title", "2"));
  const third = overlays.lay(button, (element) => withAttribute(element, "title", "3"));
  overlays.remove(first);
  expect(button.title).toBe("3");
  overlays.remove(third);
  expect(button.title).toBe("2");
  overlays.remove(second);
  expect(button.hasAttribute("title")).toBe(false);
});

test("a change that fails does not take the overlays away", () => {
  overlays.lay(button, (element) => withClass(element, "x"));
  expect(() =>
    overlays.lift(() => {
      throw new Error("broken");
    }),
  ).toThrow("broken");
  expect(button.className).toBe("x");
});

test("an element that is out of the page for a while is covered when it is back", () => {
  overlays.lay(button, (element) => withClass(element, "x"));
  overlays.lift(() => button.remove());
  expect(button.hasAttribute("class")).toBe(false);
  overlays.lift(() => document.body.append(button));
  expect(button.className).toBe("x");
});

test("what a script lays while a change is made lies on what the change leaves", () => {
  overlays.lift(() => {
    overlays.lay(button, (element) => withAttribute(element, "title", "busy"));
    expect(button.hasAttribute("title")).toBe(false);
    button.title = "done";
  });
  expect(button.title).toBe("busy");
  overlays.lift(() => expect(button.title).toBe("done"));
});
