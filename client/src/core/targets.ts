/**
 * Targets: the node of the page that an element belongs to. A node that is not the page's root has
 * a mark on its root element, `<div dj-node="7">`, or in the comment that opens its span,
 * `<!--[ dj-node="7"-->`. The nearest mark around an element decides.
 */
import { isComment } from "./dom/spans";
import { CLOSE, NODE, NODE_COMMENT, OPEN } from "./tree/marks";
import { isMark, isOpen } from "./tree/plans";

/**
 * Whether the page has had a node without a root element, because finding one is a walk over
 * siblings.
 */
let hasSpans = false;

/** Notes whether there is such a node in HTML of the page or of a frame. */
export function noteSpans(html: string): void {
  hasSpans ||= html.includes(`${OPEN} ${NODE}`);
}

/** The id of the nearest node around `element`, or null if that is the page's root. */
export function targetOf(element: Element): string | null {
  for (let around: Element | null = element; around; around = around.parentElement) {
    const id = around.getAttribute(NODE) ?? (hasSpans ? spanAround(around) : null);
    if (id !== null) return id;
  }
  return null;
}

/** The id of the innermost node without a root element in whose span `element` is. */
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
