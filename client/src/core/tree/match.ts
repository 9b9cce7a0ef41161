/**
 * Comparison with the skeleton: whether exactly a given fragment stands somewhere in the page,
 * where the marks alone would not tell one fragment from another.
 */
import { isElement } from "../dom/spans";
import { MARK, TAG } from "./marks";
import {
  addAnchor,
  closing,
  type Fragment,
  isMarked,
  isOpen,
  type Part,
  type Place,
  type Plan,
} from "./plans";
import { templateOf } from "./templates";

/** The place of `fragment` if exactly it stands from `node` up to `end`, or null. */
export function match(fragment: Fragment, node: Node | null, end: Node | null): Place | null {
  const place: Place = { nodes: [], ends: [] };
  if (fragment.plan.whole) return place;
  return alike(fragment.plan, templateOf(fragment).model.firstChild, node, end, place) ? place : null;
}

/** `match` for a row that is one element: the white space around it is not looked at. */
export function matchRow(fragment: Fragment, row: Element): Place | null {
  const place: Place = { nodes: [], ends: [] };
  const model = templateOf(fragment).model.firstElementChild;
  return model && alikeElements(fragment.plan, model, row, place) ? place : null;
}

function alike(plan: Plan, model: Node | null, node: Node | null, end: Node | null, place: Place): boolean {
  let [a, b] = [model, node];
  for (; a; a = a.nextSibling, b = b.nextSibling) {
    if (!b || b === end || a.nodeType !== b.nodeType) return false;
    if (isOpen(a) && isOpen(b)) {
      a = closing(a);
      b = addAnchor(plan, place, b, closing(b));
    } else if (isElement(a) ? !alikeElements(plan, a, b as Element, place) : a.nodeValue !== b.nodeValue)
      return false;
  }
  return b === end;
}

function alikeElements(plan: Plan, a: Element, b: Element, place: Place): boolean {
  const at = place.nodes.length;
  const anchor = isMarked(a) ? plan.anchors[at] : undefined;
  if (
    a.nodeName !== b.nodeName ||
    isMarked(a) !== isMarked(b) ||
    !alikeAttributes(a, b, anchor && plan.parts.filter((p) => p.anchor === at))
  )
    return false;
  if (anchor) addAnchor(plan, place, b, null);
  if (anchor?.closed) return true;
  if (a instanceof HTMLTemplateElement) return a.innerHTML === b.innerHTML;
  return alike(plan, a.firstChild, b.firstChild, null, place);
}

/** Whether `b` has the attributes of `a` and no others, except those that parts write. */
function alikeAttributes(a: Element, b: Element, parts: Part[] = []): boolean {
  const free = parts.some(({ kind }) => kind === TAG);
  const written = new Set([MARK, ...parts.map(({ name }) => name)]);
  const covers = (one: Element, other: Element) =>
    free ||
    one
      .getAttributeNames()
      .every((name) => written.has(name) || one.getAttribute(name) === other.getAttribute(name));
  return covers(a, b) && covers(b, a);
}
