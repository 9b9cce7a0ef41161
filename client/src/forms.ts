/**
 * The input rule: what the user is typing or has just chosen is the user's.
 *
 * A field is the user's while it has the focus, and when it was changed after the event was sent that an answer belongs
 * to. Time is counted in references of events: a change made after event 7 was sent carries 7, and the answer to event 7
 * or to an earlier one knows nothing of it. A value that comes for such a field is kept aside until the field is left; it
 * is dropped then if the server had not seen what the user typed last.
 *
 * The focus does not count when the user has handed the field over: in the answer to the submit of its form, or to an event
 * of its own that is no typing (a choice made, Enter pressed).
 *
 * Radio buttons of one name are one field, and so are a select and its options.
 */
import { setAttribute } from "./dom";

type Field = Element;

/** A value kept aside, from the answer to event `ref`. */
interface Kept {
  element: Element;
  name: string;
  value: string | null;
  ref: number;
}

export interface Control extends HTMLElement {
  value: string;
  type: string;
  form: HTMLFormElement | null;
  name: string;
}

const NOTHING: Kept[] = [];

export class Fields {
  /** The reference of the last event sent. */
  sent = 0;
  /** Fields that the user has changed, and after which event. */
  readonly changed = new WeakMap<Field, number>();
  private readonly seen = new WeakMap<Field, number>();
  private readonly kept = new Map<Field, Kept[]>();
  private settling: (() => void)[] = [];
  private answered = 0;
  private ref = 0;
  /** The form or field that was handed over by the event being answered. */
  private given: Element | null = null;
  private composing = false;
  /** Details that we open or close report it as the user's doing does. */
  private readonly toggled = new WeakSet<Element>();

  constructor() {
    const on = (name: string, listener: (target: Element) => void) =>
      document.addEventListener(name, ({ target }) => listener(target as Element), true);
    // A box changes before its click is heard of, and says so after it.
    on("click", (target) => isBox(target) && this.touch(target));
    on("input", (target) => isBox(target) || this.touch(target));
    on("toggle", (target) => this.toggled.delete(target) || this.touch(target));
    on("focusout", (target) => this.leave(target));
    on("compositionstart", () => {
      this.composing = true;
    });
    on("compositionend", () => {
      this.composing = false;
    });
  }

  /** What follows belongs to the answer to event `ref` (0: to none), with which the content of `source` was sent. */
  begin(ref: number, source: Element | null, given: boolean): void {
    this.answered = Math.max(this.answered, ref);
    this.ref = ref || this.answered;
    this.given = given ? source : null;
    const sent = source instanceof HTMLFormElement ? source.elements : [source];
    for (const field of sent) if (field) this.seen.set(fieldOf(field), ref);
  }

  /** Everything is in the page: writes properties, which depend on each other (`max` and `value`, options and select). */
  end(): void {
    for (const settle of this.settling) settle();
    this.settling = [];
    this.given = null;
    for (const field of [...this.kept.keys()]) if (!this.isUsers(field)) this.release(field);
  }

  readonly write = (element: Element, name: string, value: string | null, gently = false): void => {
    const field = fieldOf(element);
    const others = (this.kept.get(field) ?? NOTHING).filter((k) => k.element !== element || k.name !== name);
    if (gently && this.said(field, element, name) === value) return;
    if (this.isUsers(field)) {
      this.kept.set(field, [...others, { element, name, value, ref: this.ref }]);
    } else {
      this.kept.set(field, others);
      this.show(element, name, value);
      this.settling.push(() => setProperty(element, name, value));
    }
  };

  /** What the server last said. */
  said(field: Field, element: Element, name: string): string | null {
    const kept = (this.kept.get(field) ?? NOTHING).find((k) => k.element === element && k.name === name);
    if (kept) return kept.value;
    return element.nodeName === "TEXTAREA" ? element.textContent : element.getAttribute(name);
  }

  private show(element: Element, name: string, value: string | null): void {
    if (element.nodeName === "TEXTAREA") element.textContent = value;
    else {
      if (name === "open" && element.hasAttribute(name) !== (value !== null)) this.toggled.add(element);
      setAttribute(element, name, value);
    }
  }

  private touch(target: Element): void {
    for (const member of group(target)) this.changed.set(member, this.sent);
  }

  private isUsers(field: Field): boolean {
    const { activeElement } = document;
    if ((this.changed.get(field) ?? -1) >= this.ref) return true;
    const members = group(field);
    if (!activeElement || !members.includes(activeElement)) return false;
    const { given } = this;
    return this.composing || !given || !(members.includes(given) || (field as Control).form === given);
  }

  private leave(target: Element): void {
    for (const member of group(target)) this.release(member);
  }

  private release(field: Field): void {
    const list = this.kept.get(field) ?? NOTHING;
    this.kept.delete(field);
    const changed = this.changed.get(field) ?? -1;
    for (const { element, name, value, ref } of list) {
      if (changed >= Math.max(ref, this.seen.get(field) ?? 0)) continue;
      this.show(element, name, value);
      setProperty(element, name, value);
    }
  }
}

const isBox = ({ type }: Element & { type?: string }): boolean => /^(checkbox|radio)$/.test(`${type}`);

const fieldOf = (element: Element): Field =>
  (element.nodeName === "OPTION" && element.closest("select")) || element;

/** The elements that are one field for the user. */
function group(field: Field): Element[] {
  const { type, name, form } = field as Control;
  if (type !== "radio" || !name) return [field];
  const radios = (field.getRootNode() as Document).querySelectorAll<Control>(
    `input[type=radio][name="${CSS.escape(name)}"]`,
  );
  return [...radios].filter((radio) => radio.form === form);
}

function setProperty(element: Element, name: string, value: string | null): void {
  const control = element as Control & Record<string, unknown>;
  if (name === "value") {
    if (control.value !== value) control.value = value ?? "";
  } else if (name !== "open") control[name] = value !== null;
}
