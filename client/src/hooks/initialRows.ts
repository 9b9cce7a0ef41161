/**
 * Rows as the server has written them, for loops that scripts of the page take apart before
 * anything has changed in them.
 *
 * A drag library moves rows within their element, also behind the mark that ends their loop. So the
 * rows are noted before hooks run: by the mark that begins a loop, or by the element that it fills.
 */
import { CLOSE, MARK, NODE_COMMENT, OPEN } from "../core/tree/marks";

export function noteInitialRows(rows: WeakMap<Node, Element[]>): void {
  const marked = document.querySelectorAll(`[${MARK}]`);
  for (const parent of new Set([...marked].map((element) => element.parentElement)))
    if (parent) addRows(parent, rows);
}

function addRows(parent: Element, rows: WeakMap<Node, Element[]>): void {
  const around: Node[] = [];
  let loop: Node = parent;
  for (const node of parent.childNodes) {
    if (node instanceof Comment) {
      if (node.data === OPEN || node.data.startsWith(NODE_COMMENT)) {
        around.push(loop);
        loop = node;
      } else if (node.data === CLOSE) loop = around.pop() ?? parent;
    } else if (node instanceof Element && node.hasAttribute(MARK)) listOf(rows, loop).push(node);
  }
}

function listOf(rows: WeakMap<Node, Element[]>, loop: Node): Element[] {
  const list = rows.get(loop) ?? [];
  rows.set(loop, list);
  return list;
}
