/**
 * Hooks: scripts of the page that belong to elements, `<canvas dj-hook="Chart">`.
 *
 *     djust.registerHook("Chart", {mounted() { … }, updated() { … }, destroyed() { … }})
 *
 * The browser records what a change of the server adds, changes and removes. Changes that scripts
 * make at other times are not reported. Before the first hook runs, the rows of loops are noted:
 * hooks may move them.
 */
import type { Hook, HookCallbacks, HookContext, Json } from "../djust";
import type { Changes, Module, Services } from "./core/modules";
import { noteInitialRows } from "./hooks/initialRows";

interface Mounted {
  readonly name: string;
  readonly hook: HookCallbacks;
  readonly ending: AbortController;
}

const ATTRIBUTE = "dj-hook";
const SELECTOR = `[${ATTRIBUTE}]`;

export default function start(services: Services): Module {
  noteInitialRows(services.initialRows);
  return new Hooks(services.pushEvent);
}

export class Hooks implements Module {
  readonly #mounted = new Map<Element, Mounted>();
  readonly #push: Services["pushEvent"];
  readonly #known: Record<string, Hook>;
  #disconnected = false;

  constructor(push: Services["pushEvent"]) {
    this.#push = push;
    this.#known = new Proxy(window.djust.hooks, {
      set: (known, name: string, hook) => {
        known[name] = hook;
        this.#mount(document.documentElement);
        return true;
      },
    });
    window.djust.hooks = this.#known;
    this.#mount(document.documentElement);
  }

  /** Calls what the changes call for. */
  changed({ records, added }: Changes): void {
    for (const [element, { name }] of this.#mounted)
      if (!element.isConnected || element.getAttribute(ATTRIBUTE) !== name) this.#destroy(element);
    const updated = new Set<Element>();
    for (const { target } of records)
      for (let node: Node | null | undefined = target; node; node = node.parentNode)
        if (this.#mounted.has(node as Element)) updated.add(node as Element);
    for (const element of updated) this.#call(element, "updated");
    for (const element of added()) this.#mount(element);
    for (const { type, target } of records) if (type === "attributes") this.#mount(target as Element);
  }

  /** The first connection is not a reconnection. */
  notify(callback: "disconnected" | "reconnected"): void {
    const was = this.#disconnected;
    this.#disconnected = callback === "disconnected";
    if (was === this.#disconnected) return;
    for (const element of this.#mounted.keys()) this.#call(element, callback);
  }

  #mount(root: Element): void {
    for (const element of [root, ...root.querySelectorAll(SELECTOR)]) {
      const name = element.getAttribute(ATTRIBUTE) ?? "";
      const known = this.#known[name];
      if (known && !this.#mounted.has(element)) this.#start(element as HTMLElement, name, known);
    }
  }

  #start(el: HTMLElement, name: string, known: Hook): void {
    const ending = new AbortController();
    const handleEvent = (event: string, callback: (payload: Json) => void) =>
      document.addEventListener(
        "djust:push_event",
        ({ detail }: CustomEventInit) => detail.name === event && callback(detail.payload),
        ending,
      );
    const pushEvent: HookContext["pushEvent"] = (handler, params) => this.#push(handler, params, el);
    const hook = Object.assign(Object.create(known), { el, handleEvent, pushEvent });
    this.#mounted.set(el, { name, hook, ending });
    this.#call(el, "mounted");
  }

  #destroy(element: Element): void {
    this.#call(element, "destroyed");
    this.#mounted.get(element)?.ending.abort();
    this.#mounted.delete(element);
  }

  /** An error in a hook must not break the page. */
  #call(element: Element, callback: keyof HookCallbacks): void {
    try {
      this.#mounted.get(element)?.hook[callback]?.();
    } catch (error) {
      console.error(`djust: ${callback} of a hook:`, error);
    }
  }
}
