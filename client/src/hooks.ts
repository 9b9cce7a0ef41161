/**
 * Hooks: scripts of the page that belong to elements, `<canvas dj-hook="Chart">`.
 *
 *     djust.registerHook("Chart", {mounted() { … }, updated() { … }, destroyed() { … }})
 *
 * What the server's changes add, touch and remove is heard from the browser, which records it while they are made; what
 * scripts do to the page at other times is theirs.
 */
import type { Hook, HookCallbacks, HookContext, Json } from "../djust";
import { addedElements } from "./changes";
import { djust } from "./global";

interface Mounted {
  readonly name: string;
  readonly hook: HookCallbacks;
  readonly ending: AbortController;
}

const ATTRIBUTE = "dj-hook";
const SELECTOR = `[${ATTRIBUTE}]`;

export class Hooks {
  private readonly _mounted = new Map<Element, Mounted>();
  private _lost = false;
  private readonly _known: Record<string, Hook>;

  constructor(private readonly _push: HookContext["pushEvent"]) {
    this._known = new Proxy(djust.hooks ?? {}, {
      set: (known, name: string, hook) => {
        known[name] = hook;
        this._mount(document.documentElement);
        return true;
      },
    });
    djust.hooks = this._known;
    this._mount(document.documentElement);
  }

  /** Calls what the recorded changes call for. */
  settle(records: readonly MutationRecord[]): void {
    for (const [element, { name }] of this._mounted)
      if (!element.isConnected || element.getAttribute(ATTRIBUTE) !== name) this._destroy(element);
    const touched = new Set<Element>();
    for (const { target } of records)
      for (let node: Node | null | undefined = target; node; node = node.parentNode)
        if (this._mounted.has(node as Element)) touched.add(node as Element);
    for (const element of touched) this._call(element, "updated");
    for (const element of addedElements(records)) this._mount(element);
    for (const { type, target } of records) if (type === "attributes") this._mount(target as Element);
  }

  /** The first connection is none that has come back. */
  all(callback: "disconnected" | "reconnected"): void {
    const was = this._lost;
    this._lost = callback === "disconnected";
    if (was === this._lost) return;
    for (const element of this._mounted.keys()) this._call(element, callback);
  }

  private _mount(root: Element): void {
    for (const element of [root, ...root.querySelectorAll(SELECTOR)]) {
      const name = element.getAttribute(ATTRIBUTE) ?? "";
      const known = this._known[name];
      if (known && !this._mounted.has(element)) this._start(element, name, known);
    }
  }

  private _start(el: Element, name: string, known: Hook): void {
    const ending = new AbortController();
    const handleEvent = (event: string, callback: (payload: Json) => void) =>
      document.addEventListener(
        "djust:push_event",
        ({ detail }: CustomEventInit) => detail.name === event && callback(detail.payload),
        ending,
      );
    const hook = Object.assign(Object.create(known), { el, handleEvent, pushEvent: this._push });
    this._mounted.set(el, { name, hook, ending });
    this._call(el, "mounted");
  }

  private _destroy(element: Element): void {
    this._call(element, "destroyed");
    this._mounted.get(element)?.ending.abort();
    this._mounted.delete(element);
  }

  /** A hook that fails is no defect of the page. */
  private _call(element: Element, callback: keyof HookCallbacks): void {
    try {
      this._mounted.get(element)?.hook[callback]?.();
    } catch (error) {
      console.error(`djust: ${callback} of a hook:`, error);
    }
  }
}
