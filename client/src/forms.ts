/**
 * The input rule: what the user is typing or has just chosen is the user's.
 *
 * A field is the user's while it has the focus, and when it was changed after the event was sent that an answer belongs
 * to. Time is counted in references of events: a change made after event 7 was sent carries 7, and the answer to event 7
 * or to an earlier one knows nothing of it.
 *
 * What the server says becomes the field's default (its attributes, the text of a textarea) at once. A field that the
 * user has touched does not show its default: the browser calls it dirty. When the field is no longer the user's it is
 * reset, unless the server has not seen what the user typed last. So is a field whose content was sent with the event
 * that is answered, even if the server says nothing new of it: a form that was submitted, or a field of which the
 * template tells the content.
 *
 * The focus does not count when the user has handed the field over: in the answer to the submit of its form, or to an event
 * of its own that is no typing (a choice made, Enter pressed).
 *
 * Radio buttons of one name are one field, and so are a select and its options.
 */
import { setAttribute } from "./dom";
import { holdsText, resetField } from "./regions";

type Field = Element;

export interface Control extends HTMLElement {
  value: string;
  type: string;
  form: HTMLFormElement | null;
  name: string;
}

/** What an event has handed over: the field or form whose content went with it, for good or just to be known. */
interface Handed {
  readonly source?: Element | null;
  readonly given?: boolean;
}

/** Fields of which the template seems to tell what is in them. */
const TOLD =
  "[dj]:is([value],[type=checkbox],textarea:not(:empty)),select:is([dj],:has([dj])):has([selected])";

export class Fields {
  /** The reference of the last event sent. */
  sent = 0;
  /** Fields that the user has changed, and after which event. */
  readonly changed = new WeakMap<Field, number>();
  /** Fields to reset when they are no longer the user's, and the answer that knew their content or told it. */
  private readonly _due = new Map<Field, number>();
  private answered = 0;
  private _ref = 0;
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
    on("focusin", hold);
    on("focusout", (target) => this.leave(target));
    on("compositionstart", () => {
      this.composing = true;
    });
    on("compositionend", () => {
      this.composing = false;
    });
    hold(document.activeElement);
  }

  /** What follows belongs to the answer to event `ref` (0: to none), with which the content of `source` was sent. */
  begin(ref: number, handed?: Handed, refused?: string): void {
    this._ref = ref || this.answered;
    if (ref > this.answered) this.answered = ref;
    const { source, given } = handed || {};
    if (!source) return;
    const isGiven = given && refused === undefined;
    this.given = isGiven ? source : null;
    const submitted = isGiven && source instanceof HTMLFormElement;
    // A field called "elements" hides the form's elements.
    const sent = submitted
      ? [...document.querySelectorAll<Control>("input,textarea,select")].filter(({ form }) => form === source)
      : [source];
    for (const field of sent.flatMap((element) => group(fieldOf(element))))
      if (submitted || this._due.has(field) || field.matches(TOLD)) this._due.set(field, this._ref);
  }

  /** Everything is in the page: resets fields, whose properties depend on each other (`max` and `value`). */
  end(): void {
    if (this._due.size)
      for (const field of this._due.keys())
        if (!field.isConnected || !this.isUsers(field)) this.settle(field);
    this.given = null;
  }

  readonly write = (element: Element, name: string, value: string | null, gently = false): void => {
    if (gently && this.said(element, name) === value) return;
    const field = fieldOf(element);
    const users = this.isUsers(field);
    const { options = [] } = users ? (field as HTMLSelectElement) : {};
    const chosen = [...options].filter((option) => option.selected);
    // Raw HTML says again and again that something is open, and what is modal was opened by a script.
    if (name !== "open") this._due.set(field, this._ref);
    else if (users || (gently && (this.changed.has(element) || element.matches(":modal")))) return;
    else if (element.hasAttribute(name) !== (value !== null)) this.toggled.add(element);
    if (name === "checked" && users) dirty(element, name);
    if (element.nodeName === "TEXTAREA") element.textContent = value;
    else setAttribute(element, name, value);
    // Options do not become dirty by being set to what they are.
    for (const option of options) option.selected = chosen.includes(option);
  };

  /** What the server last said. */
  said(element: Element, name: string): string | null {
    return element.nodeName === "TEXTAREA" ? element.textContent : element.getAttribute(name);
  }

  private touch(target: Element): void {
    for (const member of group(target)) this.changed.set(member, this.sent);
  }

  private isUsers(field: Field): boolean {
    const { activeElement } = document;
    if ((this.changed.get(field) ?? -1) >= this._ref) return true;
    const members = group(field);
    if (!activeElement || !members.includes(activeElement)) return false;
    const { given } = this;
    return this.composing || !given || !(members.includes(given) || (field as Control).form === given);
  }

  private leave(target: Element): void {
    for (const member of group(target)) this.settle(member);
  }

  private settle(field: Field): void {
    if ((this.changed.get(field) ?? -1) < (this._due.get(field) ?? -1)) resetField(field);
    this._due.delete(field);
  }
}

const isBox = ({ type }: Element & { type?: string }): boolean => /^(checkbox|radio)$/.test(`${type}`);

const fieldOf = (element: Element): Field =>
  (element.nodeName === "OPTION" && element.closest("select")) || element;

/** The elements that are one field for the user. */
function group(field: Field): Element[] {
  const { type, name, form } = field as Control;
  if (type !== "radio" || !name) return [field];
  const radios = document.querySelectorAll<Control>(`input[type=radio][name="${CSS.escape(name)}"]`);
  return [...radios].filter((radio) => radio.form === form);
}

/** From now on the field shows what it shows, whatever becomes its default. */
function dirty(element: Element, name: string): void {
  const control = element as Element & Record<string, unknown>;
  const shown = control[name];
  control[name] = shown;
}

/** Of half a date or number the browser shows more than its value. */
function hold(target: Element | null): void {
  if (holdsText(target) && !target.validity.badInput) dirty(target, "value");
}
