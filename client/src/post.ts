/**
 * The way without a socket, a file of its own: `Posts` does what a `WebSocket` does, by POSTs to the page's own URL.
 *
 * Its script tag comes before the client's where the server has no sockets; where none can be had, the client loads it. One request is
 * under way at a time, so frames arrive in order; what is sent meanwhile goes with the next one. Pushes come through an
 * event stream once that is known to work, else with the next answer.
 */
import { djust } from "./core/global";

const HEADER = "X-Djust";
const GONE = 1006;
/** Where sockets were blocked, one is tried again after so many milliseconds. */
const RETRY = 300_000;

let token = document.currentScript?.getAttribute("data-csrf") ?? "";
/** The server has no sockets at all. */
const forced = !!token;
const before = djust.Socket;

class Posts {
  static readonly OPEN = 1;
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readonly #socketUrl: string;
  #id = "";
  #queue: string[] = [];
  #busy = false;
  #stream: EventSource | null = null;
  #streams = false;

  constructor(socketUrl: string) {
    this.#socketUrl = socketUrl;
    setTimeout(() => {
      if (this.readyState) return;
      this.readyState = 1;
      this.onopen?.();
    });
    if (!forced) setTimeout(() => this.#probe(), RETRY);
  }

  send(text: string): void {
    this.#queue.push(text);
    if (!this.#busy) void this.#post();
  }

  close(code = 1000): void {
    if (this.readyState > 1) return;
    this.readyState = 3;
    this.#stream?.close();
    this.onclose?.({ code });
  }

  async #post(again = false): Promise<void> {
    this.#busy = true;
    const body = this.#queue.splice(0).join("\n");
    try {
      if (!token) await this.#renew();
      const response = await this.#fetch(body);
      if (response.status === 403 && !response.headers.has(HEADER) && !again) {
        // The token has changed, by logging in perhaps.
        this.#queue.unshift(...body.split("\n"));
        token = "";
        return await this.#post(true);
      }
      this.#answer(response, await response.text());
    } catch {
      this.close(GONE);
    }
    this.#busy = false;
    if (this.readyState === 1 && this.#queue.length) void this.#post();
  }

  #fetch(body: string): Promise<Response> {
    const headers: Record<string, string> = { [HEADER]: this.#id, "X-CSRFToken": token };
    headers["Content-Type"] = "text/plain;charset=utf-8";
    if (this.#streams) headers[`${HEADER}-Stream`] = "1";
    return fetch(url(), { method: "POST", body, headers });
  }

  async #renew(): Promise<void> {
    const response = await fetch(url(), { headers: { [HEADER]: "" } });
    token = await response.text();
  }

  #answer({ headers, redirected, url: at }: Response, text: string): void {
    if (!headers.has(HEADER)) {
      // Not an answer of ours: a login page perhaps, or an error of a proxy on the way.
      if (redirected) this.onmessage?.({ data: JSON.stringify(["go", at]) });
      this.close(GONE);
      return;
    }
    this.#id ||= headers.get(HEADER) ?? "";
    for (const frame of text.split("\n")) if (frame) this.onmessage?.({ data: frame });
    const code = Number(headers.get(`${HEADER}-Close`));
    if (code) this.close(code);
    else if (headers.has(`${HEADER}-More`)) this.#queue.push("");
    else if (headers.has(`${HEADER}-Stream`)) this.#listen();
  }

  #listen(): void {
    if (this.#stream || this.readyState !== 1 || !("EventSource" in window)) return;
    const stream = new EventSource(`${url()}${location.search ? "&" : "?"}djust-stream=${this.#id}`);
    this.#stream = stream;
    stream.onmessage = ({ data }) => {
      if (data) this.onmessage?.({ data });
      else if (!this.#streams) {
        // It works. The server is told twice: with the second request it knows that the first was answered.
        this.#streams = true;
        this.send("");
        setTimeout(() => this.send(""), 100);
      }
    };
    stream.onerror = () => {
      // Perhaps the server is gone: a request finds out.
      this.#streams = false;
      this.send("");
    };
  }

  /** Can a socket be had by now? Then this connection ends, and the next one is a socket. */
  #probe(): void {
    if (this.readyState > 1) return;
    const socket = new WebSocket(this.#socketUrl);
    socket.onopen = () => {
      socket.close();
      djust.Socket = before;
      this.close(GONE);
    };
    socket.onclose = () => setTimeout(() => this.#probe(), RETRY);
  }
}

const url = (): string => location.href.split("#")[0] as string;

djust.Socket = Posts as unknown as typeof WebSocket;
