/**
 * Events that wait for their answer, and how their elements show it.
 *
 * Every event stays here from the moment it is asked for until it was answered, refused, given up or lost. While an
 * element waits it carries the class `dj-waiting` and `aria-busy`, and what `dj-loading`, `dj-disable-with` and `dj-lock` ask for.
 * `pause` takes all that away while the page is changed, so that what the server wrote is what is changed.
 */
import { addClass } from "./dom";
import { report } from "./notices";
import type { EventFrame, Json } from "./protocol";

export interface Waiting {
  readonly ref: number;
  readonly frame: EventFrame;
  /** Shows that it waits. */
  readonly element?: Element | null;
  /** The field or form whose content went with the event. */
  readonly source?: Element | null;
  readonly given?: boolean;
  /** What a field holds, which is told until it was heard. */
  readonly entry?: boolean;
  readonly resolve?: (reply: Json) => void;
  readonly reject?: (error: Error) => void;
  /** What had the focus: an element that is disabled loses it. */
  focused?: Element | null;
  /** It was sent to a page that is gone. */
  lost?: boolean;
}

/** After this many milliseconds an event without answer has failed. */
export const PATIENCE = 30_000;

type Undo = () => void;

export class Pending {
  private readonly _waiting = new Map<number, Waiting>();
  /** Elements that show that they wait. */
  readonly marks = new Map<Element, Undo>();

  /** `expire` ends an event that has waited for too long. */
  constructor(private readonly _expire: (ref: number) => unknown) {}

  add(event: Waiting): void {
    const { ref } = event;
    // The timer is not ended with the event: it must not hold the element.
    setTimeout(() => this._waiting.has(ref) && this._expire(ref), PATIENCE);
    this._waiting.set(ref, event);
    event.focused = document.activeElement;
    this._mark(event.element);
  }

  get(ref: number): Waiting | undefined {
    return this._waiting.get(ref);
  }

  all(): Waiting[] {
    return [...this._waiting.values()];
  }

  /** The event was answered. */
  end(ref: number, reply: Json = null): void {
    this._take(ref)?.resolve?.(reply);
  }

  /** The event was refused or lost: its element says so for a moment. */
  fail(ref: number, text: string, detail = ""): void {
    const event = this._take(ref);
    report(event?.element ?? null, { text, detail, ref });
    event?.reject?.(new Error(text));
  }

  /** Runs `change` on the page as the server knows it, without the signs of waiting; event `ending` ends with it. */
  pause(change: () => void, ending = 0): void {
    for (const undo of this.marks.values()) undo();
    this.marks.clear();
    try {
      change();
    } finally {
      for (const { element, ref } of this._waiting.values()) if (ref !== ending) this._mark(element);
    }
  }

  private _take(ref: number): Waiting | undefined {
    const event = this._waiting.get(ref);
    this._waiting.delete(ref);
    if (event?.element) this._unmark(event.element, event.focused);
    return event;
  }

  private _mark(element?: Element | null): void {
    if (element?.isConnected && !this.marks.has(element)) this.marks.set(element, showWaiting(element));
  }

  private _unmark(element: Element, focused?: Element | null): void {
    if (this.all().some((event) => event.element === element)) return;
    this.marks.get(element)?.();
    this.marks.delete(element);
    if (document.activeElement === document.body && focused?.matches("[dj-disable-with],[dj-lock]"))
      (focused as HTMLElement).focus();
  }
}

function showWaiting(element: Element): Undo {
  const undo = [addClass(element, "dj-waiting"), setFor(element, "aria-busy", "true")];
  if (element.hasAttribute("dj-loading")) undo.push(addClass(element, "dj-loading"));
  if (element.hasAttribute("dj-lock"))
    undo.push(setFor(element, "disabled" in element ? "disabled" : "inert", ""));
  const holders = element.matches("form") ? element.querySelectorAll("[dj-disable-with]") : [element];
  for (const holder of holders) if (holder.hasAttribute("dj-disable-with")) undo.push(disable(holder));
  return () => {
    for (const step of undo.reverse()) step();
  };
}

/** Sets an attribute; the function returned gives it back its old value. */
function setFor(element: Element, name: string, value: string): Undo {
  const old = element.getAttribute(name);
  element.setAttribute(name, value);
  return () => (old === null ? element.removeAttribute(name) : element.setAttribute(name, old));
}

function disable(element: Element): Undo {
  const enable = setFor(element, "disabled", "");
  const text = element.getAttribute("dj-disable-with");
  if (!text) return enable;
  const nodes = [...element.childNodes];
  const restore =
    element.nodeName === "INPUT" ? setFor(element, "value", text) : () => element.replaceChildren(...nodes);
  if (nodes.length) element.replaceChildren(text);
  return () => {
    restore();
    enable();
  };
}
