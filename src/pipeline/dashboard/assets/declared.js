"use strict";
// Declared pages: KPIs, sparklines, tables, notes, filters with their values in the page's address, tables behind charts.
(function () {
  const MOST_MS = 60000;
  const values = {}; // column -> values to choose from
  let filters = {}; // column -> chosen values
  let read = false; // whether the address has been read

  const { find, put, visible, element, line, texts } = window.pipelineShared;

  function spark(node, found) {
    if (!node) return;
    if (found.length < 2) return node.replaceChildren();
    const top = Math.max(...found), low = Math.min(0, ...found), step = 100 / (found.length - 1), size = top - low || 1;
    const points = found.map((v, i) => (i * step).toFixed(1) + "," + (27 - (24 * (v - low)) / size).toFixed(1)).join(" ");
    line(node, points);
  }

  function cells(row, texts, tag, isNumber) {
    while (row.cells.length > texts.length) row.deleteCell(-1);
    texts.forEach((text, n) => {
      const cell = row.cells[n] || row.appendChild(document.createElement(tag));
      if (tag === "th") cell.scope = "col";
      cell.className = isNumber[n] ? "number" : "";
      put(cell, text);
    });
  }

  function grid(name, found) {
    const head = find("head-" + name), body = find("body-" + name);
    if (!head || !body) return;
    const isNumber = found.columns.map(([, number]) => number);
    cells(head.rows[0] || head.insertRow(), found.columns.map(([text]) => text), "th", isNumber);
    const wanted = found.rows.length ? found.rows : [[found.empty]];
    while (body.rows.length > wanted.length) body.deleteRow(-1);
    wanted.forEach((texts, n) => cells(body.rows[n] || body.insertRow(), texts, "td", isNumber));
  }

  function rows(body, wanted) {
    while (body.rows.length > wanted.length) body.deleteRow(-1);
    wanted.forEach((texts, n) => cells(body.rows[n] || body.insertRow(), texts, "td", [false, true]));
  }

  function declared(change) {
    for (const [name, kpi] of Object.entries((change && change.kpis) || {})) {
      put(find("kpi-" + name), kpi.value);
      put(find("unit-" + name), kpi.unit);
      put(find("change-" + name), kpi.change);
      if (find("change-" + name)) find("change-" + name).className = "change " + kpi.direction;
      put(find("hint-" + name), kpi.hint);
      spark(find("spark-" + name), kpi.spark);
    }
    for (const [name, found] of Object.entries((change && change.grids) || {})) grid(name, found);
    for (const [name, [told, problem]] of Object.entries((change && change.notes) || {})) {
      put(find("note-" + name), told);
      put(find("problem-" + name), problem);
    }
    if (change && change.options) {
      Object.assign(values, change.options);
      controls();
    }
    return window.dash_clientside.no_update;
  }

  // filters: a list of checkboxes for each, made here since Dash's dropdown needs styles that the page does not allow
  function controls() {
    for (const place of document.querySelectorAll(".control[data-filter]")) {
      const column = place.dataset.filter, chosen = filters[column] || [];
      if (!place.firstChild) {
        place.append(element("details", {}, element("summary", {}), element("div", { className: "options" })));
      }
      const box = place.querySelector(".options"), names = [...new Set([...(values[column] || []), ...chosen])].sort();
      if (box.dataset.names !== JSON.stringify(names)) {
        box.dataset.names = JSON.stringify(names);
        box.replaceChildren(...names.map((name) => {
          const input = element("input", { type: "checkbox", value: name });
          input.addEventListener("change", () => {
            choose({ ...filters, [column]: [...box.querySelectorAll("input:checked")].map((one) => one.value) });
          });
          return element("label", {}, input, element("span", { textContent: visible(name) }));
        }));
      }
      for (const input of box.querySelectorAll("input")) input.checked = chosen.includes(input.value);
      put(place.querySelector("summary"), chosen.length ? visible(chosen.join(", ")) : place.dataset.label);
    }
  }

  function choose(wanted) {
    window.dash_clientside.set_props("chosen", { data: wanted });
  }

  function columns() {
    const section = find("choices");
    return section ? JSON.parse(section.dataset.columns) : [];
  }

  function chosen(data) {
    if (!read) {
      read = true;
      const query = new URLSearchParams(location.search);
      filters = Object.fromEntries(columns().map((column) => [column, query.getAll(column)]));
    } else {
      filters = data || {};
      const query = new URLSearchParams();
      for (const column of columns()) (filters[column] || []).forEach((value) => query.append(column, value));
      const text = query.toString();
      history.replaceState(history.state, "", location.pathname + (text ? "?" + text : ""));
    }
    controls();
    return { filters };
  }

  // just after the server's next snapshot, and not all viewers at the same moment
  function pacing(fresh) {
    if (!fresh || !fresh.due_in_ms) return 1000;
    return Math.round(Math.min(Math.max(fresh.due_in_ms + 50 + 150 * Math.random(), 300), MOST_MS));
  }

  // tables behind charts, and a sentence for those who do not see them
  window.pipelineShared.tables = function tables() {
    for (const graph of document.querySelectorAll(".graph")) {
      const name = graph.id.slice("graph-".length), box = find("rows-" + name), found = texts(name, "\n");
      if (graph.dataset.upwards) found.reverse();
      const title = graph.dataset.title || (graph.dataset.title = graph.getAttribute("aria-label"));
      const said = title + (found.length ? ". " + found[0].replace("\n", ": ") : ": nothing to show");
      if (graph.getAttribute("aria-label") !== said) graph.setAttribute("aria-label", said);
      if (!box || box.hidden) continue;
      if (!box.firstChild) box.appendChild(document.createElement("table")).createTBody();
      rows(box.querySelector("tbody"), found.map((text) => {
        const cut = text.indexOf("\n");
        return cut < 0 ? [text, ""] : [text.slice(0, cut), text.slice(cut + 1)];
      }));
    }
  };

  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll(".multi details[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
    const button = event.target.closest("button");
    if (button && button.id === "clear") choose({});
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const open of document.querySelectorAll(".multi details[open]")) open.open = false;
  });

  const own = (window.dash_clientside = window.dash_clientside || {});
  own.pipeline = Object.assign(own.pipeline || {}, { declared, chosen, pacing });
})();
