/**
 * `window.djust`: what pages and developers may use. It may exist before the client runs: with
 * hooks of the page, and in DEBUG with the tools of `djust.debug.js`.
 */
import type { Debug, Djust } from "../../djust";

type Global = Partial<Omit<Djust, "version" | "connected" | "debug">> & {
  version: number;
  connected: boolean;
  debug?: Debug;
  /** What makes a connection, in place of `WebSocket`. */
  Socket?: typeof WebSocket | undefined;
};

const host = window as unknown as { djust: Global | object };
host.djust ??= {};

export const djust = host.djust as Global;

/** Our own script tag; its attributes are documented in `docs/protocol.md`. */
export const script = document.querySelector<HTMLScriptElement>("script[data-djust]");
