/**
 * The input rule: djust does not overwrite a field while it has focus or unsaved changes.
 *
 * A field is protected while it has the focus, and when it was changed after the event was sent
 * that an answer belongs to. Time is counted in references of events: a change made after event 7
 * was sent carries 7, and the answer to event 7 or to an earlier one knows nothing of it.
 *
 * The server's value becomes the field's default (its attributes, the text of a textarea) at once.
 * A field that the user has changed does not show its default: the browser calls it dirty. When the
 * field is no longer protected it is reset, unless the server has not seen what the user typed
 * last. So is a field whose content was sent with the event that is answered, even if the server
 * says nothing new of it: a form that was submitted, or a field whose content the template
 * controls.
 *
 * The focus does not count when the user has submitted the field: in the answer to the submit of
 * its form, or to an event of its own that is not typing (a choice, or the Enter key).
 *
 * Radio buttons of one name are one field, and so are a select and its options.
 */
import { holdsText, isBox, setAttribute } from "./dom/attributes";
import { resetField } from "./tree/regions";

type Field = Element;

export interface Control extends HTMLElement {
  value: string;
  type: string;
  form: HTMLFormElement | null;
  name: string;
}

/**
 * The field or form whose content was sent with an event; `submitted` if the user has finished it.
 */
interface Submitted {
  readonly source?: Element | null;
  readonly submitted?: boolean;
}

/**
 * For fields, a page without events answers this one: it is before everything the user has done.
 */
export const BEFORE_FIRST_EVENT = -1;

/** Fields whose content the template seems to write. */
const CONTROLLED =
  "[dj]:is([value],[type=checkbox],textarea:not(:empty)),select:is([dj],:has([dj])):has([selected])";

export class Fields {
  /** The reference of the last event sent. */
  sent = 0;
  /** Fields that the user has changed, and after which event. */
  readonly #changed = new WeakMap<Field, number>();
  /**
   * Fields to reset when they are no longer protected, and the answer that knew or set their
   * content.
   */
  readonly #pendingReset = new Map<Field, number>();
  /** The latest event that was answered, and the one that is being answered. */
  #answered = 0;
  #ref = 0;
  /** The form or field that was submitted by the event being answered. */
  #submitted: Element | null = null;
  #composing = false;
  /** Details that the client opens or closes dispatch the same event as for the user. */
  readonly #toggled = new WeakSet<Element>();

  constructor() {
    const on = (name: string, listener: (target: Element) => void) =>
      document.addEventListener(name, ({ target }) => listener(target as Element), true);
    // A box changes before its click is dispatched, and its input event comes after it.
    on("click", (target) => isBox(target) && this.#markChanged(target));
    on("input", (target) => isBox(target) || this.#markChanged(target));
    on("toggle", (target) => this.#toggled.delete(target) || this.#markChanged(target));
    on("focusin", hold);
    on("focusout", (target) => this.#leave(target));
    on("compositionstart", () => {
      this.#composing = true;
    });
    on("compositionend", () => {
      this.#composing = false;
    });
    hold(document.activeElement);
  }

  isChanged(field: Field): boolean {
    return this.#changed.has(field);
  }

  /**
   * What follows belongs to the answer to event `ref` (0: to none), with which the content of
   * `source` was sent.
   */
  begin(ref: number, event?: Submitted, refused?: string): void {
    this.#ref = ref || this.#answered;
    if (ref > this.#answered) this.#answered = ref;
    const { source, submitted } = event || {};
    if (!source) return;
    const accepted = submitted && refused === undefined;
    this.#submitted = accepted ? source : null;
    const fields =
      accepted && source instanceof HTMLFormElement
        ? fieldsOf(source)
        : group(fieldOf(source)).filter(
            (field) => this.#pendingReset.has(field) || field.matches(CONTROLLED),
          );
    for (const field of fields) this.#pendingReset.set(field, this.#ref);
  }

  /**
   * Everything is in the page: resets fields, whose properties depend on each other (`max` and
   * `value`).
   */
  end(): void {
    for (const field of this.#pendingReset.keys())
      if (!field.isConnected || !this.#isProtected(field)) this.#applyReset(field);
    this.#submitted = null;
  }

  readonly write = (element: Element, name: string, value: string | null, gently = false): void => {
    if (gently && this.serverValue(element, name) === value) return;
    const field = fieldOf(element);
    const isProtected = this.#isProtected(field);
    const { options = [] } = isProtected ? (field as HTMLSelectElement) : {};
    const chosen = [...options].filter((option) => option.selected);
    // Raw HTML repeats at each change that something is open; a modal dialog was opened by a
    // script.
    if (name !== "open") this.#pendingReset.set(field, this.#ref);
    else if (isProtected || (gently && (this.#changed.has(element) || element.matches(":modal")))) return;
    else if (element.hasAttribute(name) !== (value !== null)) this.#toggled.add(element);
    if (name === "checked" && isProtected) dirty(element, name);
    if (element.nodeName === "TEXTAREA") element.textContent = value;
    else setAttribute(element, name, value);
    // Options do not become dirty by being set to what they are.
    for (const option of options) option.selected = chosen.includes(option);
  };

  /** The last value from the server. */
  serverValue(element: Element, name: string): string | null {
    return element.nodeName === "TEXTAREA" ? element.textContent : element.getAttribute(name);
  }

  #markChanged(target: Element): void {
    for (const member of group(target)) this.#changed.set(member, this.sent);
  }

  #isProtected(field: Field): boolean {
    const { activeElement } = document;
    const changed = this.#changed.get(field);
    if (changed !== undefined && changed >= this.#ref) return true;
    const members = group(field);
    if (!activeElement || !members.includes(activeElement)) return false;
    const submitted = this.#submitted;
    if (this.#composing || !submitted) return true;
    return !members.includes(submitted) && (field as Control).form !== submitted;
  }

  #leave(target: Element): void {
    for (const member of group(target)) this.#applyReset(member);
  }

  #applyReset(field: Field): void {
    const changed = this.#changed.get(field);
    const reset = this.#pendingReset.get(field);
    if (reset !== undefined && (changed === undefined || changed < reset)) resetField(field);
    this.#pendingReset.delete(field);
  }
}

/** The select of an option; other elements are fields of their own. */
export const fieldOf = (element: Element): Field =>
  (element.nodeName === "OPTION" && element.closest("select")) || element;

/** A field called "elements" hides the form's elements. */
const fieldsOf = (form: Element): Field[] =>
  [...document.querySelectorAll<Control>("input,textarea,select")].filter((field) => field.form === form);

/** The elements that are one field for the user. */
function group(field: Field): Element[] {
  const { type, name, form } = field as Control;
  if (type !== "radio" || !name) return [field];
  const radios = document.querySelectorAll<Control>(`input[type=radio][name="${CSS.escape(name)}"]`);
  return [...radios].filter((radio) => radio.form === form);
}

/** Makes the field keep its present value when its default changes. */
function dirty(element: Element, name: string): void {
  const control = element as Element & Record<string, unknown>;
  const shown = control[name];
  control[name] = shown;
}

/** For an incomplete date or number, the browser shows more than its value. */
function hold(target: Element | null): void {
  if (holdsText(target) && !target.validity.badInput) dirty(target, "value");
}
