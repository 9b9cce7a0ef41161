/**
 * `window.djust`: what pages and developers may use. It may be there before us: with hooks of the page, and in DEBUG with
 * the tools of `djust.debug.js`.
 */
import type { Debug, Djust } from "../djust";
import type { Bindings } from "./bindings";
import type { More, Push } from "./extras";
import type { Fields } from "./forms";

type Global = Partial<Omit<Djust, "version" | "connected" | "debug">> & {
  version: number;
  connected: boolean;
  debug?: Debug;
  /** What makes a connection, in place of `WebSocket`. */
  Socket?: typeof WebSocket | undefined;
  /** `djust.more.js` hands itself over. */
  more?: (make: (push: Push, bindings: Bindings, fields: Fields) => More) => void;
  /** Of loops with rows of one element each: the rows as the server has written them, before scripts move them. */
  written?: WeakMap<Node, Element[]>;
  /** Elements whose content is the page's scripts', and what the server changes instead. */
  shadows?: WeakMap<Element, Element>;
};

const host = window as unknown as { djust: Global | object };
host.djust ??= {};

export const djust = host.djust as Global;

/** Our own tag, which carries what the server has to say first. */
export const script = document.querySelector<HTMLScriptElement>("script[data-djust]");
