/**
 * Directives for events that happen elsewhere: `dj-window-keydown.escape="close"`, `dj-click-away="close"`.
 *
 * The elements that have them are looked for once, and then in what the server adds, so that an event costs nothing where
 * there are none, and is not slower for a longer page.
 */
import type { Bindings } from "./bindings";
import { addedElements } from "./changes";
import type { Params } from "./protocol";

const WINDOW = ["keydown", "keyup", "scroll", "resize", "focus", "blur"];
const AWAY = "click-away";
/** Between events of scrolling and resizing, which come with every frame. */
const PAUSE = 100;
const DISTANT = /^dj-(window-|click-away)/;

export class Distant {
  private readonly _elements = new Set<Element>();
  /** Where the mouse went down: what was dragged out of an element was not clicked outside it. */
  private _pressed: EventTarget[] = [];

  constructor(private readonly _bindings: Bindings) {
    this._find(document.documentElement);
    for (const name of WINDOW) addEventListener(name, (event) => this._handle(event, `window-${name}`));
    document.addEventListener("mousedown", (event) => {
      this._pressed = event.composedPath();
    });
    document.addEventListener("click", (event) => this._handleClick(event));
  }

  settle(records: readonly MutationRecord[]): void {
    for (const element of addedElements(records)) this._find(element);
    for (const { type, target } of records) if (type === "attributes") this._add(target as Element);
  }

  private _find(root: Element): void {
    for (const element of [root, ...root.querySelectorAll("*")]) this._add(element);
  }

  private _add(element: Element): void {
    if (element.getAttributeNames().some((name) => DISTANT.test(name))) this._elements.add(element);
  }

  private _handle(event: Event, kind: string, inside: EventTarget[] = []): void {
    for (const element of this._elements) {
      if (!element.isConnected) this._elements.delete(element);
      else if (!inside.includes(element)) {
        const pause = /scroll|resize/.test(kind) ? PAUSE : 0;
        this._bindings._distant(event, kind, element, pause, parametersOf(kind));
      }
    }
  }

  /** What cannot be seen is not clicked away. */
  private _handleClick(event: Event): void {
    const hidden = [...this._elements].filter((element) => element.checkVisibility?.() === false);
    this._handle(event, AWAY, [...event.composedPath(), ...this._pressed, ...hidden]);
    this._pressed = [];
  }
}

/** Of keys they are the same as for keys elsewhere. */
function parametersOf(kind: string): Params | undefined {
  if (/key/.test(kind)) return undefined;
  return /scroll|resize/.test(kind) ? { x: scrollX, y: scrollY, width: innerWidth, height: innerHeight } : {};
}
