import { expect, test, vi } from "vitest";
import { Page } from "../../src/core/page";
import { FakeSocket } from "../sockets";

test("what the root element of the document mentions is loaded, too", async () => {
  vi.stubGlobal("WebSocket", FakeSocket);
  const error = vi.spyOn(console, "error").mockReturnValue();
  document.documentElement.setAttribute("dj-window-keydown.escape", "close");
  new Page("ws://djust.test/djust/socket/", "TICKET");
  // There is no such file here.
  await vi.waitFor(() => expect(error).toHaveBeenCalled());
  expect(error.mock.calls[0]?.[0]).toBe("djust: djust.outside.js cannot be loaded yet:");
});
