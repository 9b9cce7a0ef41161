import { expect, test } from "vitest";
import { shadows } from "../src/core/dom/spans";
import type { Services } from "../src/core/modules";
import start from "../src/ignored";
import { Shown } from "./tree";

test("what the server changes in content that scripts own is not shown, and is no defect", () => {
  const shown = new Shown(`<div dj-update="ignore"><b dj>0</b></div>`, [0, [["t"]]]);
  start({ shadows } as Services);
  const div = document.querySelector("div") as Element;
  div.replaceChildren("mine");
  shown.update([0, "1"]).equals(`<div dj-update="ignore">mine</div>`);
  expect(shadows.get(div)?.innerHTML).toBe(`<b dj="">1</b>`);
  shown.assign(["2"], [0, [0, [["t"]]]]).equals(`<div dj-update="ignore">mine</div>`);
  expect(shadows.get(div)?.innerHTML).toBe(`<b dj="">2</b>`);
});
