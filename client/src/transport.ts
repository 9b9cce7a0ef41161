/**
 * The connection: one WebSocket at a time, made again whenever it goes away.
 *
 * It knows frames only as JSON arrays. Liveness is proved by any frame that arrives; a ping asks for one. `latency`
 * delays frames in both directions, for tests and for developers who want to see what a slow line feels like.
 */
import { CLOSE_REFUSED, type Frame, type Json, PING } from "./protocol";

export interface Receiver {
  /** The socket is open: the first frame has to be a join. */
  opened(): void;
  received(frame: Json[]): void;
  /** The socket is gone; `final` if the server wants no other one. */
  lost(code: number, final: boolean): void;
}

const FIRST_DELAY = 500;
const LAST_DELAY = 30_000;
const HEARTBEAT = 25_000;
const DEADLINE = 10_000;

/** Milliseconds before attempt number `attempt` (from 0): doubling, and spread so that clients do not come in step. */
export const backoff = (attempt: number, random = Math.random()): number =>
  Math.min(LAST_DELAY, FIRST_DELAY * 2 ** attempt) * (0.5 + random / 2);

/** Lets frames through in order, each `latency` milliseconds later. */
class Line {
  private due = 0;

  constructor(private readonly latency: () => number) {}

  pass(deliver: () => void): void {
    const now = performance.now();
    this.due = Math.max(now + this.latency(), this.due);
    if (this.due <= now) deliver();
    else setTimeout(deliver, this.due - now);
  }
}

export class Transport {
  latency = 0;
  private socket: WebSocket | null = null;
  private attempt = 0;
  private retry = 0;
  private beat = 0;
  private stopped = false;
  private readonly outward = new Line(() => this.latency);
  private readonly inward = new Line(() => this.latency);

  constructor(
    private readonly url: string,
    private readonly receiver: Receiver,
  ) {
    addEventListener("online", () => this.wake());
    document.addEventListener("visibilitychange", () => document.hidden || this.wake());
    addEventListener("pageshow", ({ persisted }) => persisted && this.connect());
    addEventListener("pagehide", () => this.stop());
  }

  connect(): void {
    this.stopped = false;
    clearTimeout(this.retry);
    const socket = new WebSocket(this.url);
    this.socket = socket;
    const live = (deliver: () => void) => () => socket === this.socket && deliver();
    socket.onopen = live(() => this.receiver.opened());
    socket.onmessage = ({ data }) => this.inward.pass(live(() => this.receive(data)));
    socket.onclose = ({ code }) => live(() => this.lose(code))();
    this.expect();
  }

  /** The join was accepted: the next loss starts with short delays again. */
  settled(): void {
    this.attempt = 0;
    this.rest();
  }

  send(frame: Frame): void {
    const { socket } = this;
    const text = JSON.stringify(frame);
    this.outward.pass(() => socket?.readyState === WebSocket.OPEN && socket.send(text));
  }

  /** Closes the socket without making another one. */
  stop(): void {
    this.stopped = true;
    this.drop(1000);
  }

  private receive(text: string): void {
    this.rest();
    this.receiver.received(JSON.parse(text));
  }

  /** Asks for a sign of life after a while without one. */
  private rest(): void {
    clearTimeout(this.beat);
    this.beat = window.setTimeout(() => this.ping(), HEARTBEAT);
  }

  private ping(): void {
    this.send([PING]);
    this.expect();
  }

  /** Something has to arrive before the deadline. */
  private expect(): void {
    clearTimeout(this.beat);
    this.beat = window.setTimeout(() => this.drop(0), DEADLINE);
  }

  /** The network or the user is back: no waiting now. */
  private wake(): void {
    if (this.stopped) return;
    if (this.socket?.readyState === WebSocket.OPEN) this.ping();
    else if (this.socket?.readyState !== WebSocket.CONNECTING) this.connect();
  }

  /** Gives up the socket at once; a dead network would report its end only much later. */
  private drop(code: number): void {
    const { socket } = this;
    if (!socket) return;
    this.lose(code);
    socket.close();
  }

  private lose(code: number): void {
    this.socket = null;
    clearTimeout(this.beat);
    this.stopped ||= code === CLOSE_REFUSED;
    if (!this.stopped) this.retry = window.setTimeout(() => this.connect(), backoff(this.attempt++));
    this.receiver.lost(code, code === CLOSE_REFUSED);
  }
}
