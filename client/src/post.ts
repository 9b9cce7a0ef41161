/**
 * The transport without a socket, a file of its own: `Posts` takes the place of `WebSocket`, and
 * sends POSTs to the page's own URL.
 *
 * If the server has no sockets, its script tag comes before the client's. If sockets are blocked,
 * the client loads it. One request is under way at a time, so frames arrive in order; frames that
 * are sent in the meantime go with the next one. Pushes come through an event stream once that is
 * known to work, else with the next answer.
 */
import { djust } from "./core/global";

const HEADER = "X-Djust";
const GONE = 1006;
/** If sockets were blocked, the client tries one again after this many milliseconds. */
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
        // The token has changed, for example by a login.
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
      // Not an answer of djust: for example a login page, or an error of a proxy.
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
        // The stream works. The server learns it from two requests: the second one shows that the
        // first was answered.
        this.#streams = true;
        this.send("");
        setTimeout(() => this.send(""), 100);
      }
    };
    stream.onerror = () => {
      // The server may be gone. A request shows whether it is.
      this.#streams = false;
      this.send("");
    };
  }

  /**
   * Tries whether a socket works by now. Then this connection ends, and the next one is a socket.
   */
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
