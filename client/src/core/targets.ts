/**
 * Targets: the node of the page that an element belongs to. A node that is not the page's root has marked its root element,
 * `<div dj-node="7">`, or the comment that opens its span, `<!--[ dj-node="7"-->`; the nearest mark around an element tells.
 */
import { isComment } from "./dom/spans";
import { CLOSE, NODE, NODE_COMMENT } from "./tree/marks";
import { isMark, isOpen } from "./tree/plans";

/** The id of the nearest node around `element`, or null if that is the page's root. */
export function targetOf(element: Element): string | null {
  for (let around: Element | null = element; around; around = around.parentElement) {
    const id = around.getAttribute(NODE) ?? spanAround(around);
    if (id !== null) return id;
  }
  return null;
}

/** The id of the innermost node among whose siblings, but not in an element of its own, `element` stands. */
function spanAround(element: Element): string | null {
  let closed = 0;
  for (let node = element.previousSibling; node; node = node.previousSibling) {
    if (!isComment(node)) continue;
    if (isMark(node, CLOSE)) closed++;
    else if (isOpen(node)) {
      if (closed) closed--;
      else if (node.data.startsWith(NODE_COMMENT)) return node.data.slice(NODE_COMMENT.length, -1);
    }
  }
  return null;
}
