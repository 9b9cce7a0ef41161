/** lit-html: the messages change the data, and the whole table is rendered from the data. */
import { html, render } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { compete, main } from "./common.js";

let rows = [];
let selected = 0;
let clicks = 0;

const operations = {
  replace(list) {
    rows = list;
    selected = 0;
  },
  append(list) {
    rows = rows.concat(list);
  },
  labels(list) {
    for (const [at, label] of list) rows[at][1] = label;
  },
  select(number) {
    selected = number;
  },
  swap([a, b]) {
    [rows[a], rows[b]] = [rows[b], rows[a]];
  },
  remove(number) {
    rows = rows.filter((row) => row[0] !== number);
  },
  clicks(number) {
    clicks = number;
  },
};

const row = ([number, label]) => html`<tr class=${number === selected ? "danger" : ""}
  ><td class="col-md-1">${number}</td><td class="col-md-4"><a>${label}</a></td><td class="col-md-1"><a
  ><span class="glyphicon glyphicon-remove" aria-hidden="true"></span></a></td><td class="col-md-6"></td></tr>`;

const table = () => html`<p id="clicks">${clicks}</p><table class="table"><tbody id="rows"
  >${repeat(rows, ([number]) => number, row)}</tbody></table>`;

main.textContent = "";
compete((text) => {
  const message = JSON.parse(text);
  for (const name in message) operations[name](message[name]);
  render(table(), main);
});
