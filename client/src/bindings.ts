/**
 * From DOM events to events of the protocol: `dj-click`, `dj-input` and their like, read when they are needed by listeners
 * on the document, so that their number costs nothing.
 *
 *     <input name="q" dj-input="search" dj-debounce="200">   →   {handler: "search", params: {value, field: "q"}, …}
 *
 * An attribute may carry suffixes: keys (`dj-keydown.enter`), modifier keys (`.ctrl`), and `.prevent .stop .once .self`.
 * What is held back by a debounce is sent before any other event, so that handlers see things in the user's order.
 */
import { isElement } from "./dom";
import { parseCall, readAttributes, readForm, readValue } from "./parameters";
import type { Json, Params } from "./protocol";

/** An event as the page shall send it. */
export interface Action {
  readonly handler: string;
  readonly args: Json[];
  readonly params: Params;
  readonly element: Element;
  readonly source: Element;
  /** The user has handed over what was sent, and does not go on typing. */
  readonly given: boolean;
  /** Nothing is sent while the element waits. */
  readonly once: boolean;
  /** While an action of the same slot is under way only the latest is kept. */
  readonly slot: string;
}

interface Binding {
  readonly element: Element;
  readonly source: string;
  readonly suffixes: string[];
}

const DEBOUNCE = 300;
const TYPED = /^(text|search|url|tel|email|password|textarea|number)$/;
const MODIFIERS = new Set(["ctrl", "shift", "alt", "meta"]);
const FLAGS = new Set(["prevent", "stop", "once", "self"]);

/** The DOM event of each attribute; the focus events are the ones that bubble. */
const EVENTS: Record<string, string> = {
  click: "click",
  input: "input",
  change: "change",
  submit: "submit",
  keydown: "keydown",
  keyup: "keyup",
  focusin: "focus",
  focusout: "blur",
};

/** What waits for a debounce, or `cooling` down from the last event of a throttle. */
interface Delayed {
  timer: number;
  run: (() => void) | null;
  cooling: boolean;
}

export class Bindings {
  private readonly delayed = new Map<string, Delayed>();
  private readonly used = new WeakSet<Element>();
  private readonly numbers = new WeakMap<Element, number>();
  private last = 0;

  constructor(private readonly act: (action: Action) => void) {
    for (const name of [...Object.keys(EVENTS), "compositionend"])
      document.addEventListener(name, (event) => this.handle(event));
  }

  /** Sends what is held back. */
  flush(): void {
    for (const [key, delayed] of this.delayed) {
      const { run, timer, cooling } = delayed;
      delayed.run = null;
      if (!cooling) {
        clearTimeout(timer);
        this.delayed.delete(key);
      }
      run?.();
    }
  }

  private handle(event: Event): void {
    const kind = EVENTS[event.type] ?? "input";
    if (kind === "blur") this.flush();
    if (!isElement(event.target as Node) || (event as InputEvent).isComposing) return;
    for (const binding of findBindings(event, kind)) this.trigger(event, kind, binding);
  }

  private trigger(event: Event, kind: string, binding: Binding): void {
    const { element, suffixes } = binding;
    const has = (suffix: string) => suffixes.includes(suffix);
    if (has("self") && event.target !== element) return;
    if (has("prevent") || kind === "submit" || (kind === "click" && hasDefault(element)))
      event.preventDefault();
    if (has("stop")) event.stopPropagation();
    if (kind === "click" && (element.hasAttribute("disabled") || element.matches(":disabled"))) return;
    if (has("once") && (this.used.has(element) || !this.used.add(element))) return;
    const question = element.getAttribute("dj-confirm");
    if (question && !confirm(question)) return;
    this.schedule(event, kind, binding);
  }

  private schedule(event: Event, kind: string, binding: Binding): void {
    const target = event.target as Element;
    const slot = `${this.number(target)} ${kind} ${(event as KeyboardEvent).key}`;
    const run = () => {
      const action = makeAction(event, kind, binding, target, slot);
      if (action) this.act(action);
    };
    const throttle = Number(setting("dj-throttle", target, binding));
    if (throttle) this.throttle(slot, throttle, run);
    else this.debounce(slot, debounceOf(kind, target, binding), run);
  }

  private debounce(key: string, wait: number, run: () => void): void {
    clearTimeout(this.delayed.get(key)?.timer);
    this.delayed.delete(key);
    if (wait) {
      // A wait without end is over when the field is left.
      const timer = wait < Number.POSITIVE_INFINITY ? window.setTimeout(() => this.flush(), wait) : 0;
      this.delayed.set(key, { timer, run, cooling: false });
    } else {
      this.flush();
      run();
    }
  }

  private throttle(key: string, wait: number, run: () => void): void {
    const delayed = this.delayed.get(key);
    if (delayed) {
      delayed.run = run;
      return;
    }
    this.flush();
    run();
    this.delayed.set(key, {
      timer: window.setTimeout(() => this.warm(key, wait), wait),
      run: null,
      cooling: true,
    });
  }

  /** The pause of a throttle is over: what came meanwhile is sent and starts the next one. */
  private warm(key: string, wait: number): void {
    const run = this.delayed.get(key)?.run;
    this.delayed.delete(key);
    if (run) this.throttle(key, wait, run);
  }

  private number(element: Element): number {
    const number = this.numbers.get(element) ?? ++this.last;
    this.numbers.set(element, number);
    return number;
  }
}

/** The bindings of the nearest element around the target that has any for this event. */
function findBindings(event: Event, kind: string): Binding[] {
  for (let element = event.target as Element | null; element; element = element.parentElement) {
    const found = bindingsOf(element, `dj-${kind}`, event as KeyboardEvent);
    if (found.length) return found;
  }
  return [];
}

function bindingsOf(element: Element, attribute: string, event: KeyboardEvent): Binding[] {
  const found: Binding[] = [];
  for (const { name, value } of element.attributes) {
    const [base, ...suffixes] = name.split(".");
    if (base === attribute && fits(event, suffixes)) found.push({ element, source: value, suffixes });
  }
  return found;
}

/** Whether the modifier keys and one of the keys that the suffixes ask for are pressed. */
function fits(event: KeyboardEvent, suffixes: string[]): boolean {
  const keys = suffixes.filter((suffix) => !FLAGS.has(suffix) && !MODIFIERS.has(suffix));
  const held = suffixes.every((s) => !MODIFIERS.has(s) || event[`${s}Key` as "ctrlKey"]);
  const name = keyName(`${event.key}`);
  return held && (!keys.length || keys.some((key) => key === name || `arrow-${key}` === name));
}

/** `Enter` is `enter`, `ArrowUp` is `arrow-up`, a blank is `space`. */
const keyName = (key: string): string =>
  key === " " ? "space" : key.replace(/([a-z])([A-Z])/g, "$1-$2").toLowerCase();

/** Whether a click on the element makes the browser leave the page or submit a form. */
const hasDefault = (element: Element): boolean =>
  /^a(rea)?$/i.test(element.nodeName) ||
  (/^(submit|image)$/.test((element as HTMLButtonElement).type) && !!(element as HTMLButtonElement).form);

const setting = (name: string, target: Element, { element }: Binding): string | null =>
  target.getAttribute(name) ?? element.getAttribute(name);

const isTyped = (target: Element): boolean => TYPED.test((target as HTMLInputElement).type);

function debounceOf(kind: string, target: Element, binding: Binding): number {
  const typed = isTyped(target);
  if (/^(submit|blur|focus)$/.test(kind) || (kind === "change" && typed)) return 0;
  const wait = setting("dj-debounce", target, binding);
  if (wait === "blur") return Number.POSITIVE_INFINITY;
  return wait === null ? (kind === "input" && typed ? DEBOUNCE : 0) : Number(wait);
}

function makeAction(
  event: Event,
  kind: string,
  { element, source }: Binding,
  target: Element,
  slot: string,
): Action | null {
  const call = parseCall(source);
  if (!call) return null;
  const fixed = kind === "click" || kind === "submit";
  const typing = kind === "input" && isTyped(target);
  return {
    ...call,
    params: { ...readAttributes(element), ...readEvent(event, kind, target) },
    element: fixed ? element : target,
    source: target,
    given: !typing && kind !== "keyup" && kind !== "focus",
    once: fixed && !element.hasAttribute("dj-multiple"),
    slot: /^(input|key)/.test(kind) ? `${slot} ${source}` : "",
  };
}

function readEvent(event: Event, kind: string, target: Element): Params {
  if (kind === "click") return {};
  if (kind === "submit") return readForm(target as HTMLFormElement, (event as SubmitEvent).submitter);
  const value = readValue(target);
  if (!kind.startsWith("key")) return { value, field: target.getAttribute("name") ?? "" };
  const { key, code } = event as KeyboardEvent;
  return { key, code, value };
}
