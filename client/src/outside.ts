/**
 * Directives for events that happen elsewhere: `dj-window-keydown.escape="close"`,
 * `dj-click-away="close"`.
 *
 * The elements with such directives are looked up once, and then in what the server adds. So an
 * event costs nothing if there are none, and no more on a longer page.
 */
import type { Bindings } from "./core/bindings";
import type { Changes, Module, Services } from "./core/modules";
import type { Params } from "./core/protocol";

const WINDOW = ["keydown", "keyup", "scroll", "resize", "focus", "blur"];
const AWAY = "click-away";
const PREFIXES = ["dj-window-", `dj-${AWAY}`];
/** Events that come with every animation frame, and the pause between two that are handled. */
const CONTINUOUS = ["window-scroll", "window-resize"];
const PAUSE = 100;
/** Their parameters are the same as those of keys elsewhere. */
const KEYS = ["window-keydown", "window-keyup"];

export default (services: Services): Module => new OutsideEvents(services.bindings);

export class OutsideEvents implements Module {
  readonly #elements = new Set<Element>();
  readonly #bindings: Bindings;
  /** Where the mouse went down: what was dragged out of an element was not clicked outside it. */
  #pressed: EventTarget[] = [];

  constructor(bindings: Bindings) {
    this.#bindings = bindings;
    this.#find(document.documentElement);
    for (const name of WINDOW) addEventListener(name, (event) => this.#handle(event, `window-${name}`));
    document.addEventListener("mousedown", (event) => {
      this.#pressed = event.composedPath();
    });
    document.addEventListener("click", (event) => this.#handleClick(event));
  }

  changed({ records, added }: Changes): void {
    for (const element of added()) this.#find(element);
    for (const { type, target } of records) if (type === "attributes") this.#add(target as Element);
  }

  #find(root: Element): void {
    for (const element of [root, ...root.querySelectorAll("*")]) this.#add(element);
  }

  #add(element: Element): void {
    if (element.getAttributeNames().some((name) => PREFIXES.some((prefix) => name.startsWith(prefix))))
      this.#elements.add(element);
  }

  #handle(event: Event, kind: string, inside: EventTarget[] = []): void {
    for (const element of this.#elements) {
      if (!element.isConnected) this.#elements.delete(element);
      else if (!inside.includes(element)) {
        const pause = CONTINUOUS.includes(kind) ? PAUSE : 0;
        this.#bindings.actOutside(event, kind, element, pause, parametersOf(kind));
      }
    }
  }

  /** Elements that are not visible get no `dj-click-away`. */
  #handleClick(event: Event): void {
    const hidden = [...this.#elements].filter((element) => element.checkVisibility?.() === false);
    this.#handle(event, AWAY, [...event.composedPath(), ...this.#pressed, ...hidden]);
    this.#pressed = [];
  }
}

function parametersOf(kind: string): Params | undefined {
  if (KEYS.includes(kind)) return undefined;
  if (!CONTINUOUS.includes(kind)) return {};
  return { x: scrollX, y: scrollY, width: innerWidth, height: innerHeight };
}
