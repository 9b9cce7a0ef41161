/**
 * Events that wait for their answer, and how their elements show it.
 *
 * Every event stays here from the moment it is asked for until it was answered, refused, given up
 * or lost. While an element waits it carries the class `dj-waiting` and `aria-busy`, and what
 * `dj-loading`, `dj-disable-with` and `dj-lock` ask for; all of that is one overlay.
 */
import { report } from "./notices";
import { type Overlay, type Overlays, type Undo, withAttribute, withClass, withText } from "./overlays";
import type { EventFrame, Json } from "./protocol";

export interface Waiting {
  readonly ref: number;
  readonly frame: EventFrame;
  /** Shows that it waits. */
  readonly element?: Element | null;
  /** The field or form whose content went with the event. */
  readonly source?: Element | null;
  /** The user has submitted the content, and does not go on typing. */
  readonly submitted?: boolean;
  /** It reports the value of a field, and is sent until the server has received it. */
  readonly isInput?: boolean;
  readonly resolve?: (reply: Json) => void;
  readonly reject?: (error: Error) => void;
  /** When it was sent, by the clock of `performance`; undefined while it waits for a connection. */
  sentAt?: number | undefined;
  /** What had the focus: an element that is disabled loses it. */
  focused?: Element | null;
  /** It was sent to a page that is gone. */
  lost?: boolean;
  /** What shows that it waits. */
  overlay?: Overlay | undefined;
}

/** So many milliseconds after it was sent, an event without answer has failed. */
export const EVENT_TIMEOUT = 30_000;
/** How long an element shows that its event has failed. */
const FAILED_SHOWN = 1500;

export class Pending {
  readonly #waiting = new Map<number, Waiting>();
  /** One for all events: a timer costs as much as the rest of what is done here for an event. */
  #timer = 0;
  readonly #overlays: Overlays;
  readonly #expire: (ref: number) => void;

  /** `expire` ends an event that has waited for too long. */
  constructor(overlays: Overlays, expire: (ref: number) => void) {
    this.#overlays = overlays;
    this.#expire = expire;
  }

  add(event: Waiting): void {
    const { ref, element } = event;
    this.#waiting.set(ref, event);
    this.#timer ||= window.setTimeout(() => this.#expireLate(), EVENT_TIMEOUT);
    event.focused = document.activeElement;
    if (element) event.overlay = this.#overlays.lay(element, showWaiting);
  }

  get(ref: number): Waiting | undefined {
    return this.#waiting.get(ref);
  }

  all(): Waiting[] {
    return [...this.#waiting.values()];
  }

  isWaiting(element: Element): boolean {
    return this.all().some((event) => event.overlay?.element === element);
  }

  /** The event was answered. */
  end(ref: number, reply: Json = null): void {
    this.#remove(ref)?.resolve?.(reply);
  }

  /** The event was refused or lost: its element says so for a moment. */
  fail(ref: number, text: string, detail = ""): void {
    const event = this.#remove(ref);
    const { element = null } = event ?? {};
    if (element) {
      const failed = this.#overlays.lay(element, showFailed);
      setTimeout(() => this.#overlays.remove(failed), FAILED_SHOWN);
    }
    report(element, { text, detail, ref });
    event?.reject?.(new Error(text));
  }

  /**
   * Makes a change of the page as the server knows it; the element of the event `answered` waits no
   * longer.
   */
  lift(change: () => void, answered = 0): void {
    const event = this.#waiting.get(answered);
    if (event) this.#stopShowing(event);
    this.#overlays.lift(change);
  }

  /** Ends what has waited for too long, and comes back when the next event will have. */
  #expireLate(): void {
    const now = performance.now();
    this.#timer = 0;
    for (const { ref, sentAt = now } of this.all()) {
      const left = sentAt + EVENT_TIMEOUT - now;
      if (left <= 0) this.#expire(ref);
      else this.#timer ||= window.setTimeout(() => this.#expireLate(), left);
    }
  }

  #remove(ref: number): Waiting | undefined {
    const event = this.#waiting.get(ref);
    if (!event) return undefined;
    this.#stopShowing(event);
    this.#waiting.delete(ref);
    const { focused } = event;
    if (document.activeElement === document.body && focused?.matches("[dj-disable-with],[dj-lock]"))
      (focused as HTMLElement).focus();
    return event;
  }

  #stopShowing(event: Waiting): void {
    if (event.overlay) this.#overlays.remove(event.overlay);
    event.overlay = undefined;
  }
}

const showFailed = (element: Element): Undo => withClass(element, "dj-failed");

function showWaiting(element: Element): Undo {
  const undos = [withClass(element, "dj-waiting"), withAttribute(element, "aria-busy", "true")];
  if (element.hasAttribute("dj-loading")) undos.push(withClass(element, "dj-loading"));
  if (element.hasAttribute("dj-lock"))
    undos.push(withAttribute(element, "disabled" in element ? "disabled" : "inert", ""));
  const holders = element.matches("form") ? element.querySelectorAll("[dj-disable-with]") : [element];
  for (const holder of holders) {
    const text = holder.getAttribute("dj-disable-with");
    if (text !== null) undos.push(withAttribute(holder, "disabled", ""));
    if (text) undos.push(withText(holder, text));
  }
  return () => {
    for (const undo of undos.reverse()) undo();
  };
}
