/**
 * What an event sends to the server: the handler, literal arguments, and parameters read from
 * elements.
 *
 *     parseCall("select('a', 1, true)")   {handler: "select", args: ["a", 1, true]}
 *     readAttributes(<b data-item-id:int="3" dj-value-kind="x">)   {item_id: 3, kind: "x"}
 */

import type { Json, Params } from "./protocol";
import { OWN } from "./tree/marks";

interface Call {
  handler: string;
  args: Json[];
}

const CALL = /^\s*([\w.]+)\s*(?:\((.*)\)\s*)?$/s;
const LITERAL =
  /\s*(?:(['"])((?:\\.|(?!\1).)*)\1|(-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)|(true|false|null|none))\s*(,|$)/isy;
const ESCAPES: Record<string, string> = { n: "\n", t: "\t", r: "\r" };
const WORDS: Record<string, Json> = { true: true, false: false, null: null, none: null };
/** Texts that `:bool` reads as false. */
const FALSE = ["", "0", "false", "no", "off"];

/**
 * `handler` or `handler('a', 1, true, null)`; null, with a message on the console, if it is
 * neither.
 */
export function parseCall(source: string): Call | null {
  const [, handler, list] = CALL.exec(source) ?? [];
  const args = parseLiterals(list?.trim() ?? "");
  if (handler && args) return { handler, args };
  console.error(`djust: expected handler or handler('a', 1, true, null), got ${JSON.stringify(source)}`);
  return null;
}

function parseLiterals(list: string): Json[] | null {
  const values: Json[] = [];
  LITERAL.lastIndex = 0;
  let more = list !== "";
  while (more) {
    const found = LITERAL.exec(list);
    if (!found) return null;
    values.push(literal(found));
    more = found[5] === ",";
  }
  return values;
}

function literal([, , text = "", number, word]: RegExpExecArray): Json {
  if (number) return Number(number);
  if (word) return WORDS[word.toLowerCase()] as Json;
  return text.replace(/\\(.)/gs, (_, char: string) => ESCAPES[char] ?? char);
}

/** `data-*` and `dj-value-*` of an element; the latter win. */
export function readAttributes(element: Element): Params {
  const params: Params = {};
  for (const prefix of ["data-", "dj-value-"])
    for (const name of element.getAttributeNames())
      if (name.startsWith(prefix) && !name.startsWith(OWN)) {
        const [key = "", type = ""] = name.slice(prefix.length).split(":");
        params[key.replace(/-/g, "_")] = convert(`${element.getAttribute(name)}`, type);
      }
  return params;
}

function convert(value: string, type: string): Json {
  if (type === "json") return parseJson(value);
  if (type === "bool") return !FALSE.includes(value.toLowerCase());
  const number =
    type === "int" ? Number.parseInt(value, 10) : type === "float" ? Number.parseFloat(value) : Number.NaN;
  return Number.isNaN(number) ? value : number;
}

function parseJson(value: string): Json {
  try {
    return JSON.parse(value);
  } catch {
    console.error(`djust: expected JSON, got ${value}`);
    return value;
  }
}

/** The value of a field: a boolean for a checkbox, a list for a multiple selection, else text. */
export function readValue(element: Element): Json {
  if (element instanceof HTMLInputElement && element.type === "checkbox") return element.checked;
  if (element instanceof HTMLSelectElement && element.multiple)
    return Array.from(element.selectedOptions, ({ value }) => value);
  return (element as HTMLInputElement).value ?? (isEdited(element) ? element.textContent : "");
}

/**
 * The text of an element is a value only if it is being edited. Else, for a key outside of all
 * fields, it would be the whole page.
 */
const isEdited = (element: Element): boolean => !!element.closest?.("[contenteditable]");

/** All fields of a form and its submitter; repeated names become lists, files are ignored. */
export function readForm(form: HTMLFormElement, submitter: HTMLElement | null): Params {
  const params: Params = {};
  const data = new FormData(form, submitter);
  for (const name of new Set(data.keys())) {
    const values = data.getAll(name).filter((value): value is string => typeof value === "string");
    if (values.length) params[name] = values.length > 1 ? values : (values[0] as string);
  }
  return params;
}
