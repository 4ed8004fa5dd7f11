"use strict";
const findings = JSON.parse(document.getElementById("findings").textContent);
const matrix = document.getElementById("matrix");
const evidence = document.getElementById("evidence");

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text; // never as markup: it comes from inside
  if (kind) made.className = kind;
  return made;
}

function described(finding) {
  const article = element("article");
  const heading = element("h3", finding.probe);
  heading.append(element("span", finding.verdict, "cell " + finding.verdict));
  article.append(heading);
  const list = element("dl");
  const rows = [["Inside", finding.evidence], ["Bare host", finding.control], ["If exposed", finding.meaning],
    ["To close it", finding.remedy], ["Promised", finding.promise], ["Waived", finding.waived]];
  for (const [name, value] of rows) {
    if (value) list.append(element("dt", name), element("dd", value));
  }
  article.append(list);
  return article;
}

function show(button) {
  const { group, probe, backend } = button.dataset;
  const chosen = findings.filter((one) => one.backend === backend
    && (probe ? one.probe === probe : one.probe.split(".")[0] === group));
  document.getElementById("evidence-title").textContent = (probe || group) + " on " + backend;
  document.getElementById("evidence-body").replaceChildren(...chosen.map(described));
  evidence.showModal();
}

function move(from, key) {
  const row = from.closest("tr");
  const column = from.closest("td").cellIndex;
  const rows = [...matrix.querySelectorAll("tbody tr")].filter((one) => one.offsetParent !== null);
  const at = rows.indexOf(row);
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const [down, right] = steps[key];
  const target = rows[at + down]?.cells[column + right]?.querySelector("button");
  if (target) target.focus();
}

if (matrix) {
  matrix.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.classList.contains("fold")) {
      const open = button.closest("tbody").classList.toggle("open");
      button.setAttribute("aria-expanded", String(open));
    } else show(button);
  });
  matrix.addEventListener("keydown", (event) => {
    if (event.key.startsWith("Arrow") && event.target.classList.contains("cell")) {
      event.preventDefault();
      move(event.target, event.key);
    }
  });
  const unfold = document.getElementById("unfold");
  unfold.addEventListener("click", () => {
    const all = matrix.classList.toggle("all");
    unfold.setAttribute("aria-pressed", String(all));
  });
}

function key(row, column) {
  const cell = row.cells[column];
  const value = cell.dataset.value;
  if (value === undefined) return cell.textContent.trim().toLowerCase();
  return value === "" ? Infinity : Number(value); // what was not measured stands last
}

for (const table of document.querySelectorAll("table.sortable")) {
  table.tHead.addEventListener("click", (event) => {
    const heading = event.target.closest("th");
    if (!event.target.closest("button")) return;
    const up = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows];
    const column = heading.cellIndex;
    rows.sort((one, two) => {
      const a = key(one, column), b = key(two, column);
      if (a === Infinity || b === Infinity) return a === b ? 0 : a === Infinity ? 1 : -1;
      const order = a < b ? -1 : a > b ? 1 : 0;
      return up ? order : -order;
    });
    table.tBodies[0].append(...rows);
  });
}
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details")) one.open = true;
});
