/**
 * Types of djust's browser client, for pages with scripts of their own.
 *
 *     import type { Hook } from "./djust";
 *     const Chart: Hook<{ chart?: Plot }> = { mounted() { this.chart = plot(this.el); } };
 *     window.djust.registerHook("Chart", Chart);
 */
export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

/** What `this` is in a hook beside its own properties. There is one such object per element. */
export interface HookContext {
  readonly el: HTMLElement;
  /**
   * Calls a handler of the view or component around the element; resolves with what it returned,
   * rejects with the error.
   */
  pushEvent(handler: string, params?: { [name: string]: Json }): Promise<Json>;
  /**
   * Calls back for each `self.push_event(name, payload)` of the view, until the element is gone.
   */
  handleEvent(name: string, callback: (payload: Json) => void): void;
}

export interface HookCallbacks {
  /** The element has come into the page, or the hook was registered after it. */
  mounted?(): void;
  /** The server has changed the element, or something in it. */
  updated?(): void;
  /** The element has left the page. */
  destroyed?(): void;
  /** The connection was lost. */
  disconnected?(): void;
  /** The connection is back. */
  reconnected?(): void;
}

export type Hook<Own extends object = object> = Own &
  HookCallbacks &
  ThisType<Own & HookCallbacks & HookContext>;

/**
 * `djust:error` is dispatched with this detail; `preventDefault()` keeps the notice from being
 * shown.
 */
export interface Failure {
  readonly text: string;
  readonly detail: string;
  /** The event's number, 0 for the connection. */
  readonly ref: number;
}

/** In DEBUG only. */
export interface Debug {
  /** Delays every frame by so many milliseconds, in both directions. */
  latency(milliseconds: number): void;
  /** The last 100 frames: `in` or `out`, the frame, when. */
  readonly frames: [direction: string, frame: unknown, milliseconds: number][];
  /** How often the page could not apply a frame; each one is a defect. */
  readonly resyncs: number;
  /** For the client itself. */
  failed(failure: Failure): void;
}

export interface Djust {
  /** How many changes of the server are in the page. */
  readonly version: number;
  readonly connected: boolean;
  readonly debug?: Debug;
  /** Hooks by name. May be set before the script runs; afterwards, names may be added. */
  hooks: { [name: string]: Hook };
  registerHook(name: string, hook: Hook): void;
  /**
   * `pushEvent` of a hook, for scripts without one: `element` tells whose handler is called, else
   * it is the page's view.
   */
  pushEvent(handler: string, params?: { [name: string]: Json }, element?: Element): Promise<Json>;
}

declare global {
  interface Window {
    djust: Djust;
  }
}
