/** idiomorph: the page is brought to the HTML of the new state. */
import { Idiomorph } from "idiomorph/dist/idiomorph.esm.js";
import { compete, main } from "./common.js";

compete((text) => Idiomorph.morph(main, text, { morphStyle: "outerHTML" }));
