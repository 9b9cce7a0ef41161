/**
 * From DOM events to events of the protocol: `dj-click`, `dj-input` and their like, read when they are needed by listeners
 * on the document, so that their number costs nothing.
 *
 *     <input name="q" dj-input="search" dj-debounce="200">   →   {handler: "search", params: {value, field: "q"}, …}
 *
 * An attribute may carry suffixes: keys (`dj-keydown.enter`), modifier keys (`.ctrl`), and `.prevent .stop .once .self`.
 * What listens to events that happen elsewhere (`dj-window-keydown`, `dj-click-away`) is found by `distant.ts`.
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
  /** What a field holds: refused to nobody, and told again to a server that has forgotten it. */
  readonly entry: boolean;
  /** Nothing is sent while the element waits. */
  readonly once: boolean;
  /** While an action of the same slot is under way only the latest is kept. */
  readonly slot: string;
}

interface Binding {
  readonly element: Element;
  readonly attribute: string;
  readonly source: string;
  readonly suffixes: string[];
}

const DEBOUNCE = 300;
const UNTIL_BLUR = -1;
const TYPED = /^(text|search|url|tel|email|password|textarea|number)$/;
const MODIFIER = /^(ctrl|shift|alt|meta)$/;
const FLAG = /^(prevent|stop|once|self)$/;

const EVENTS = "click input change submit keydown keyup focusin focusout compositionend";
/** The directive of an event, where it is not the event's name; the focus events are the ones that bubble. */
const KINDS: Record<string, string> = { focusin: "focus", focusout: "blur", compositionend: "input" };

/** What waits for a debounce, or `cooling` down from the last event of a throttle. */
interface Delayed {
  timer: number;
  run: (() => void) | null;
  cooling: boolean;
}

export class Bindings {
  private readonly _delayed = new Map<string, Delayed>();
  private readonly _used = new Set<string>();
  private readonly _numbers = new WeakMap<Element, number>();
  private _last = 0;

  constructor(readonly _act: (action: Action) => void) {
    for (const name of EVENTS.split(" ")) document.addEventListener(name, (event) => this._handle(event));
  }

  /** Sends what is held back. */
  flush(): void {
    for (const [key, delayed] of this._delayed) {
      const { run, timer, cooling } = delayed;
      delayed.run = null;
      if (!cooling) {
        clearTimeout(timer);
        this._delayed.delete(key);
      }
      run?.();
    }
  }

  private _handle(event: Event): void {
    const kind = KINDS[event.type] ?? event.type;
    if (kind === "blur") this.flush();
    const { target } = event;
    if (!isElement(target as Node) || (event as InputEvent).isComposing) return;
    for (const binding of findBindings(event, kind)) this._trigger(event, kind, binding, target as Element);
  }

  /** Acts on the directives `dj-${kind}` of an element, for an event elsewhere; `pause` is its throttle if it has none. */
  _distant(event: Event, kind: string, element: Element, pause: number, params?: Params): void {
    for (const binding of bindingsOf(element, `dj-${kind}`, event as KeyboardEvent))
      this._trigger(event, kind, binding, element, pause, params);
  }

  private _trigger(
    event: Event,
    kind: string,
    binding: Binding,
    target: Element,
    pause?: number,
    params?: Params,
  ): void {
    const { element, suffixes, attribute } = binding;
    const has = (suffix: string) => suffixes.includes(suffix);
    if (has("self") && event.target !== element) return;
    if (has("prevent") || hasDefault(kind, element)) event.preventDefault();
    if (has("stop")) event.stopPropagation();
    if (kind === "click" && element.matches("[disabled],:disabled")) return;
    const question = element.getAttribute("dj-confirm");
    if (question && !confirm(question)) return;
    const use = `${this._number(element)} ${attribute}`;
    if (has("once") && (this._used.has(use) || !this._used.add(use))) return;
    const slot = `${this._number(target)} ${kind} ${(event as KeyboardEvent).key}`;
    const run = () => {
      const action = makeAction(event, kind, binding, target, slot, params);
      if (action) this._act(action);
    };
    const throttle = Number(setting("dj-throttle", target, binding) ?? pause);
    if (throttle) this._throttle(slot, throttle, run);
    else this._debounce(slot, debounceOf(kind, target, binding), run);
  }

  private _debounce(key: string, wait: number, run: () => void): void {
    clearTimeout(this._delayed.get(key)?.timer);
    this._delayed.delete(key);
    if (wait) {
      // A wait without end is over when the field is left.
      const timer = wait > 0 ? window.setTimeout(() => this.flush(), wait) : 0;
      this._delayed.set(key, { timer, run, cooling: false });
    } else {
      this.flush();
      run();
    }
  }

  private _throttle(key: string, wait: number, run: () => void): void {
    const delayed = this._delayed.get(key);
    if (delayed) {
      delayed.run = run;
      return;
    }
    this.flush();
    run();
    this._delayed.set(key, {
      timer: window.setTimeout(() => this._warm(key, wait), wait),
      run: null,
      cooling: true,
    });
  }

  /** The pause of a throttle is over: what came meanwhile is sent and starts the next one. */
  private _warm(key: string, wait: number): void {
    const run = this._delayed.get(key)?.run;
    this._delayed.delete(key);
    if (run) this._throttle(key, wait, run);
  }

  private _number(element: Element): number {
    const number = this._numbers.get(element) ?? ++this._last;
    this._numbers.set(element, number);
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
  // Names, because a field called "attributes" hides the form's attributes.
  for (const name of element.getAttributeNames()) {
    const [base, ...suffixes] = name.split(".");
    if (base === attribute && fits(event, suffixes))
      found.push({ element, attribute: name, source: `${element.getAttribute(name)}`, suffixes });
  }
  return found;
}

/** Whether the modifier keys and one of the keys that the suffixes ask for are pressed. */
function fits(event: KeyboardEvent, suffixes: string[]): boolean {
  const keys = suffixes.filter((s) => !FLAG.test(s) && !MODIFIER.test(s));
  const held = suffixes.every((s) => !MODIFIER.test(s) || event[`${s}Key` as "ctrlKey"]);
  const name = keyName(`${event.key}`);
  return held && (!keys.length || keys.some((key) => key === name || `arrow-${key}` === name));
}

/** `Enter` is `enter`, `ArrowUp` is `arrow-up`, a blank is `space`. */
const keyName = (key: string): string =>
  key === " " ? "space" : key.replace(/([a-z])([A-Z])/g, "$1-$2").toLowerCase();

/** Whether the browser would leave the page or send a form. */
const hasDefault = (kind: string, element: Element): boolean =>
  kind === "submit" ||
  (kind === "click" &&
    (/^a(rea)?$/i.test(element.nodeName) ||
      (/^(submit|image)$/.test((element as HTMLButtonElement).type) &&
        !!(element as HTMLButtonElement).form)));

const setting = (name: string, target: Element, { element }: Binding): string | null =>
  target.getAttribute(name) ?? element.getAttribute(name);

const isTyped = (target: Element): boolean => TYPED.test((target as HTMLInputElement).type);

function debounceOf(kind: string, target: Element, binding: Binding): number {
  const typed = isTyped(target);
  if (/^(submit|blur|focus)$/.test(kind) || (kind === "change" && typed)) return 0;
  const wait = setting("dj-debounce", target, binding);
  if (wait === "blur") return UNTIL_BLUR;
  return wait === null ? (kind === "input" && typed ? DEBOUNCE : 0) : Number(wait);
}

function makeAction(
  event: Event,
  kind: string,
  { element, source }: Binding,
  target: Element,
  slot: string,
  given?: Params,
): Action | null {
  const call = parseCall(source);
  if (!call) return null;
  const fixed = /^(click|submit)/.test(kind);
  const typing = kind === "input" && isTyped(target);
  return {
    ...call,
    params: { ...readAttributes(element), ...(given ?? readEvent(event, kind, target)) },
    element: fixed ? element : target,
    source: target,
    given: !typing && kind !== "keyup" && kind !== "focus",
    entry: /^(input|change)$/.test(kind),
    once: fixed && !element.hasAttribute("dj-multiple"),
    slot: /^(input|key|window)/.test(kind) ? `${slot} ${source}` : "",
  };
}

function readEvent(event: Event, kind: string, target: Element): Params {
  const { key, code } = event as KeyboardEvent;
  if (kind === "submit") return readForm(target as HTMLFormElement, (event as SubmitEvent).submitter);
  if (/key/.test(kind)) return { key, code, value: readValue(event.target as Element) };
  if (kind === "click") return {};
  return { value: readValue(target), field: target.getAttribute("name") ?? "" };
}
