/**
 * Overlays: what the client changes in the server's DOM for a while, such as the class of an
 * element that waits.
 *
 * An overlay is a function that changes an element, and returns a function that undoes this. The
 * server does not know overlays, so they are lifted while one of its changes is made, and laid
 * again afterwards, on what the elements are by then. They form a stack: they are undone from the
 * top.
 *
 *     const overlay = overlays.lay(button, (element) => withAttribute(element, "aria-busy", "true"));
 *     overlays.lift(() => …);     the page is as the server wrote it
 *     overlays.remove(overlay);
 */
export type Undo = () => void;
type Effect = (element: Element) => Undo;

export interface Overlay {
  readonly element: Element;
  readonly effect: Effect;
  /** Undefined while it is lifted, and while its element is not in the page. */
  undo?: Undo | undefined;
}

export class Overlays {
  readonly #laid: Overlay[] = [];
  #lifted = false;

  lay(element: Element, effect: Effect): Overlay {
    const overlay = { element, effect };
    this.#laid.push(overlay);
    this.#show();
    return overlay;
  }

  /** Lays `effect` over an element for so many milliseconds. */
  layFor(element: Element, effect: Effect, milliseconds: number): void {
    const overlay = this.lay(element, effect);
    setTimeout(() => this.remove(overlay), milliseconds);
  }

  remove(overlay: Overlay): void {
    const at = this.#laid.indexOf(overlay);
    if (at < 0) return;
    const above = this.#laid.splice(at).slice(1);
    hide([overlay, ...above]);
    this.#laid.push(...above);
    this.#show();
  }

  /** Runs `change` on the page as the server knows it. */
  lift(change: () => void): void {
    hide(this.#laid);
    this.#lifted = true;
    try {
      change();
    } finally {
      this.#lifted = false;
      this.#show();
    }
  }

  /** Shows what does not show yet. What scripts lay while a change is made waits for its end. */
  #show(): void {
    if (this.#lifted) return;
    for (const overlay of this.#laid)
      if (overlay.element.isConnected) overlay.undo ??= overlay.effect(overlay.element);
  }
}

function hide(overlays: readonly Overlay[]): void {
  for (const overlay of [...overlays].reverse()) {
    overlay.undo?.();
    overlay.undo = undefined;
  }
}

// Effects

/** Adds a class unless it is there; no empty attribute is left behind. */
export function withClass(element: Element, name: string): Undo {
  const none = !element.hasAttribute("class");
  if (element.classList.contains(name)) return () => {};
  element.classList.add(name);
  return () => {
    element.classList.remove(name);
    if (none && !element.classList.length) element.removeAttribute("class");
  };
}

export function withAttribute(element: Element, name: string, value: string): Undo {
  const old = element.getAttribute(name);
  element.setAttribute(name, value);
  return () => (old === null ? element.removeAttribute(name) : element.setAttribute(name, old));
}

/** Shows `text` in place of the content. */
export function withText(element: Element, text: string): Undo {
  const nodes = [...element.childNodes];
  if (element.nodeName === "INPUT") return withAttribute(element, "value", text);
  if (nodes.length) element.replaceChildren(text);
  return () => element.replaceChildren(...nodes);
}
