/**
 * From DOM events to events of the protocol. Listeners on the document read `dj-click`, `dj-input`
 * and the other directives when an event happens, so that the number of directives costs nothing.
 *
 *     <input name="q" dj-input="search" dj-debounce="200">   →   {handler: "search", params: {value, field: "q"}, …}
 *
 * An attribute may carry suffixes: keys (`dj-keydown.enter`), modifier keys (`.ctrl`), and
 * `.prevent .stop .once .self`. `outside.ts` finds the directives for events that happen elsewhere
 * (`dj-window-keydown`, `dj-click-away`). A debounced event is sent before any other event, so that
 * handlers see the events in the user's order.
 */
import { isElement } from "./dom/spans";
import { parseCall, readAttributes, readForm, readValue } from "./parameters";
import type { Json, Params } from "./protocol";
import { targetOf } from "./targets";

/** An event that the page has to send. */
export interface Action {
  readonly handler: string;
  readonly args: Json[];
  readonly params: Params;
  /** The node of the page whose handler it is; null for the root. */
  readonly target: string | null;
  readonly element: Element;
  readonly source: Element;
  /** The user has submitted what was sent, and does not go on typing. */
  readonly submitted: boolean;
  /**
   * It reports the value of a field: never refused, and sent again to a server that has lost it.
   */
  readonly isInput: boolean;
  /** Nothing is sent while the element waits. */
  readonly exclusive: boolean;
  /** While an action of the same slot is under way only the latest is kept. */
  readonly slot: string;
}

interface Binding {
  readonly element: Element;
  readonly attribute: string;
  readonly source: string;
  readonly suffixes: string[];
}

/** What is known of an event before its parameters are read. */
interface Trigger extends Binding {
  readonly event: Event;
  /** The directive without `dj-`. */
  readonly kind: string;
  /** Where the event happened; of events elsewhere the element that has the directive. */
  readonly origin: Element;
  /** The throttle if the element has none. */
  readonly pause?: number | undefined;
  readonly params?: Params | undefined;
}

const DEBOUNCE = 300;
const UNTIL_BLUR = "blur";

/** Types of fields whose content is typed. */
const TYPED = ["text", "search", "url", "tel", "email", "password", "textarea", "number"];
const MODIFIERS = ["ctrl", "shift", "alt", "meta"];
const FLAGS = ["prevent", "stop", "once", "self"];
const LINKS = ["a", "area"];
const SUBMITTERS = ["submit", "image"];
const KEYS = ["keydown", "keyup", "window-keydown", "window-keyup"];
/**
 * Kinds of events that wait on the element of the directive, not on the one where they happened.
 */
const FIXED = ["click", "click-away", "submit"];
const NEVER_DEBOUNCED = ["submit", "blur", "focus"];
const INPUTS = ["input", "change"];
/** After these the user goes on typing. */
const UNFINISHED = ["keyup", "focus"];

const EVENTS = [
  "click",
  "input",
  "change",
  "submit",
  "keydown",
  "keyup",
  "focusin",
  "focusout",
  "compositionend",
];
/**
 * The directive of an event, if it is not the event's name. Of the focus events, these are the ones
 * that bubble.
 */
const KINDS: Record<string, string> = { focusin: "focus", focusout: "blur", compositionend: "input" };

/** What waits for a debounce, or `cooling` down from the last event of a throttle. */
interface Delayed {
  timer: number;
  run: (() => void) | null;
  cooling: boolean;
}

export class Bindings {
  readonly #delayed = new Map<string, Delayed>();
  readonly #used = new Set<string>();
  readonly #numbers = new WeakMap<Element, number>();
  #last = 0;

  constructor(readonly act: (action: Action) => void) {
    for (const name of EVENTS) document.addEventListener(name, (event) => this.#handle(event));
  }

  /** Sends what a debounce holds back. */
  flush(): void {
    for (const [key, delayed] of this.#delayed) {
      const { run, timer, cooling } = delayed;
      delayed.run = null;
      if (!cooling) {
        clearTimeout(timer);
        this.#delayed.delete(key);
      }
      run?.();
    }
  }

  #handle(event: Event): void {
    const kind = KINDS[event.type] ?? event.type;
    if (kind === "blur") this.flush();
    const origin = event.target as Element;
    if (!isElement(origin) || (event as InputEvent).isComposing) return;
    for (const binding of findBindings(event, kind)) this.#trigger({ ...binding, event, kind, origin });
  }

  /**
   * Acts on the directives `dj-${kind}` of an element, for an event elsewhere; `pause` is its
   * throttle if it has none.
   */
  actOutside(event: Event, kind: string, element: Element, pause: number, params?: Params): void {
    for (const binding of bindingsOf(element, `dj-${kind}`, event as KeyboardEvent))
      this.#trigger({ ...binding, event, kind, origin: element, pause, params });
  }

  #trigger(trigger: Trigger): void {
    const { event, kind, element, suffixes, attribute, origin, pause } = trigger;
    const has = (suffix: string) => suffixes.includes(suffix);
    if (has("self") && event.target !== element) return;
    if (has("prevent") || hasDefault(kind, element)) event.preventDefault();
    if (has("stop")) event.stopPropagation();
    if (kind === "click" && element.matches("[disabled],:disabled")) return;
    const question = element.getAttribute("dj-confirm");
    if (question && !confirm(question)) return;
    if (has("once")) {
      const use = `${this.#number(element)} ${attribute}`;
      if (this.#used.has(use)) return;
      this.#used.add(use);
    }
    const slot = `${this.#number(origin)} ${kind} ${(event as KeyboardEvent).key}`;
    const target = targetOf(element);
    const run = () => {
      const action = makeAction(trigger, slot, target);
      if (action) this.act(action);
    };
    const throttle = Number(setting("dj-throttle", trigger) ?? pause);
    if (throttle) this.#throttle(slot, throttle, run);
    else this.#debounce(slot, debounceOf(trigger), run);
  }

  #debounce(key: string, wait: number | typeof UNTIL_BLUR, run: () => void): void {
    clearTimeout(this.#delayed.get(key)?.timer);
    this.#delayed.delete(key);
    if (wait) {
      const timer = wait === UNTIL_BLUR ? 0 : window.setTimeout(() => this.flush(), wait);
      this.#delayed.set(key, { timer, run, cooling: false });
    } else {
      this.flush();
      run();
    }
  }

  #throttle(key: string, wait: number, run: () => void): void {
    const delayed = this.#delayed.get(key);
    if (delayed) {
      delayed.run = run;
      return;
    }
    this.flush();
    run();
    this.#delayed.set(key, {
      timer: window.setTimeout(() => this.#endThrottle(key, wait), wait),
      run: null,
      cooling: true,
    });
  }

  /** Sends the event that came during the pause of a throttle, which starts the next pause. */
  #endThrottle(key: string, wait: number): void {
    const run = this.#delayed.get(key)?.run;
    this.#delayed.delete(key);
    if (run) this.#throttle(key, wait, run);
  }

  #number(element: Element): number {
    const number = this.#numbers.get(element) ?? ++this.#last;
    this.#numbers.set(element, number);
    return number;
  }
}

/** The bindings of the nearest element around the event's target that has any for this event. */
function findBindings(event: Event, kind: string): Binding[] {
  for (let element = event.target as Element | null; element; element = element.parentElement) {
    const found = bindingsOf(element, `dj-${kind}`, event as KeyboardEvent);
    if (found.length) return found;
  }
  return [];
}

function bindingsOf(element: Element, attribute: string, event: KeyboardEvent): Binding[] {
  const found: Binding[] = [];
  // Names, because a field called "attributes" hides the form's attributes.
  for (const name of element.getAttributeNames()) {
    // Most attributes are no directives, and need not be taken apart.
    if (!name.startsWith(attribute)) continue;
    const [base, ...suffixes] = name.split(".");
    if (base === attribute && fits(event, suffixes))
      found.push({ element, attribute: name, source: `${element.getAttribute(name)}`, suffixes });
  }
  return found;
}

/** Whether the modifier keys and one of the keys that the suffixes ask for are pressed. */
function fits(event: KeyboardEvent, suffixes: string[]): boolean {
  if (!suffixes.length) return true;
  const keys = suffixes.filter((s) => !FLAGS.includes(s) && !MODIFIERS.includes(s));
  const held = suffixes.every((s) => !MODIFIERS.includes(s) || event[`${s}Key` as "ctrlKey"]);
  const name = keyName(`${event.key}`);
  return held && (!keys.length || keys.some((key) => key === name || `arrow-${key}` === name));
}

/** `Enter` is `enter`, `ArrowUp` is `arrow-up`, a blank is `space`. */
const keyName = (key: string): string =>
  key === " " ? "space" : key.replace(/([a-z])([A-Z])/g, "$1-$2").toLowerCase();

/** Whether the browser would leave the page or send a form. */
function hasDefault(kind: string, element: Element): boolean {
  if (kind !== "click") return kind === "submit";
  const { type, form } = element as HTMLButtonElement;
  return LINKS.includes(element.localName) || (SUBMITTERS.includes(type) && !!form);
}

const setting = (name: string, { origin, element }: Trigger): string | null =>
  origin.getAttribute(name) ?? element.getAttribute(name);

/** Whether only the latest of many events counts. */
const isRepeated = (kind: string): boolean =>
  kind === "input" || KEYS.includes(kind) || kind.startsWith("window-");

const isTyped = (element: Element): boolean => TYPED.includes((element as HTMLInputElement).type);

function debounceOf(trigger: Trigger): number | typeof UNTIL_BLUR {
  const { kind, origin } = trigger;
  const typed = isTyped(origin);
  if (NEVER_DEBOUNCED.includes(kind) || (kind === "change" && typed)) return 0;
  const wait = setting("dj-debounce", trigger);
  if (wait === UNTIL_BLUR) return wait;
  return wait === null ? (kind === "input" && typed ? DEBOUNCE : 0) : Number(wait);
}

function makeAction(trigger: Trigger, slot: string, target: string | null): Action | null {
  const { kind, element, source, origin } = trigger;
  const call = parseCall(source);
  if (!call) return null;
  const fixed = FIXED.includes(kind);
  const typing = kind === "input" && isTyped(origin);
  return {
    ...call,
    params: { ...readAttributes(element), ...(trigger.params ?? readEvent(trigger)) },
    target,
    element: fixed ? element : origin,
    source: origin,
    submitted: !typing && !UNFINISHED.includes(kind),
    isInput: INPUTS.includes(kind),
    exclusive: fixed && !element.hasAttribute("dj-multiple"),
    slot: isRepeated(kind) ? `${slot} ${source}` : "",
  };
}

function readEvent({ event, kind, origin }: Trigger): Params {
  const { key, code } = event as KeyboardEvent;
  if (kind === "submit") return readForm(origin as HTMLFormElement, (event as SubmitEvent).submitter);
  if (KEYS.includes(kind)) return { key, code, value: readValue(event.target as Element) };
  if (kind === "click") return {};
  return { value: readValue(origin), field: origin.getAttribute("name") ?? "" };
}
