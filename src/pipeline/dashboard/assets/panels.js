"use strict";
// What the browser paints by itself: KPIs, sparklines, latest sales, ages, tables behind charts, and the page's address.
(function () {
  const QUICKEST_MS = 1000;
  const LISTS = { group: "groups", region: "regions" };
  const ONCE = ["period", "from", "to", "tz", "format"];
  const DAYS = ["from", "to"];
  let newest = {}; // newest event by source, epoch ms
  let skew = 0; // the server's clock less ours, ms
  let lastEvent = null;
  const latencies = [];

  const { find, put, line, texts } = window.pipelineShared;

  function spark(node, values) {
    if (!node) return;
    const top = Math.max(...values, 1), step = 100 / Math.max(values.length - 1, 1);
    const points = values.map((v, i) => (i * step).toFixed(1) + "," + (27 - (24 * v) / top).toFixed(1)).join(" ");
    line(node, values.length > 1 ? points : "");
  }

  function rows(body, wanted) {
    while (body.rows.length > wanted.length) body.deleteRow(-1);
    wanted.forEach((texts, n) => {
      const row = body.rows[n] || body.insertRow();
      texts.forEach((text, c) => put(row.cells[c] || row.insertCell(), text));
    });
  }

  function latency(fresh) {
    // answered at server_ms; from then to the frame that shows it is what this browser took
    const event = Math.max(...Object.values(fresh.newest_ms || {}));
    if (!isFinite(event) || event === lastEvent) return;
    const known = lastEvent !== null;
    lastEvent = event;
    const began = performance.now();
    requestAnimationFrame(() => setTimeout(() => {
      if (!known) return;
      latencies.push(Math.max(0, fresh.server_ms - event + performance.now() - began));
      if (latencies.length > 15) latencies.shift();
      const middle = [...latencies].sort((a, b) => a - b)[latencies.length >> 1];
      put(find("latency"), "event to paint " + (middle / 1000).toFixed(1) + " s");
    }));
  }

  function panels(change, fresh) {
    if (fresh) {
      newest = fresh.newest_ms || {};
      skew = fresh.server_ms - Date.now();
      latency(fresh);
    }
    for (const [name, kpi] of Object.entries((change && change.kpis) || {})) {
      put(find("kpi-" + name), kpi.value);
      put(find("change-" + name), kpi.change || "");
      if (find("change-" + name)) find("change-" + name).className = "change " + kpi.direction;
      put(find("hint-" + name), kpi.hint || "");
      spark(find("spark-" + name), kpi.spark || []);
    }
    if (change && change.latest && find("sales")) {
      rows(find("sales"), change.latest.length ? change.latest : [["None", "among the latest 300 sales", "", "", "", ""]]);
    }
    if (change && change.doubts && find("doubts")) {
      find("doubts").replaceChildren(...change.doubts.map((text) => {
        const item = document.createElement("li");
        item.textContent = text;
        return item;
      }));
    }
    for (const list of Object.values(LISTS)) {
      if (change && change[list]) window.pipelineControls.options(list, change[list]);
    }
    return window.dash_clientside.no_update;
  }

  function span(ms) {
    const s = Math.max(0, Math.round(ms / 1000));
    return s < 60 ? s + " s" : s < 3600 ? Math.floor(s / 60) + " min" : Math.floor(s / 3600) + " h";
  }

  function ages() {
    for (const node of document.querySelectorAll(".age")) {
      const at = newest[node.dataset.source];
      put(node, at ? span(Date.now() + skew - at) + " old" : "");
    }
  }

  // tables behind charts, and a sentence for those who do not see them
  window.pipelineShared.tables = function tables() {
    for (const graph of document.querySelectorAll(".graph")) {
      const panel = graph.id.slice(6), box = find("rows-" + panel), found = texts(panel, ": ");
      const horizontal = !["trend", "tumbling", "hopping", "sessions", "sales_hopping", "sales_sessions"].includes(panel);
      if (horizontal) found.reverse();
      const title = graph.dataset.title || (graph.dataset.title = graph.getAttribute("aria-label"));
      const said = found.length ? title + ". " + found.slice(horizontal ? 0 : -1)[0] : title + ": nothing to show";
      if (graph.getAttribute("aria-label") !== said) graph.setAttribute("aria-label", said);
      if (!box || box.hidden) continue;
      if (!box.firstChild) box.appendChild(document.createElement("table")).createTBody();
      rows(box.querySelector("tbody"), found.map((text) => {
        const cut = text.lastIndexOf(": ");
        return [text.slice(0, cut), text.slice(cut + 2)];
      }));
    }
  };

  setInterval(ages, 1000);

  // the view: what the controls say is in the address, and what the address says is in the controls
  let current = null;
  let unknown = []; // names that the page was opened with and that mean nothing: told until "Reset"
  function address() {
    const query = new URLSearchParams(location.search), keys = [...query.keys()];
    unknown = [...new Set(keys.filter((key) => !(ONCE.includes(key) ? query.getAll(key).length === 1 : LISTS[key])))];
    const [from, to] = [query.get("from"), query.get("to")];
    return {
      period: query.get("period") || (from || to ? "dates" : null), from, to,
      groups: query.getAll("group"), regions: query.getAll("region"),
      tz: query.get("tz"), format: query.get("format"), unknown,
    };
  }

  function link(view, plainView) {
    const query = new URLSearchParams();
    for (const key of ONCE) {
      if (view[key] && view[key] !== plainView[key] && (view.period === "dates" || !DAYS.includes(key))) {
        query.set(key, view[key]);
      }
    }
    for (const [key, list] of Object.entries(LISTS)) view[list].forEach((name) => query.append(key, name));
    const text = query.toString();
    return location.pathname + (text ? "?" + text : "");
  }

  let defaults = null;
  function apply(found) {
    const values = {
      period: found.period, first_day: found.from, last_day: found.to,
      groups: found.groups, regions: found.regions, zone: found.tz, format: found.format,
    };
    for (const [name, data] of Object.entries(values)) window.dash_clientside.set_props(name, { data });
  }

  function view(period, from, to, groups, regions, tz, format) {
    let now = { period, from: from || null, to: to || null, groups: groups || [], regions: regions || [], tz, format, unknown };
    if (!defaults) {
      defaults = { ...now };
      const wanted = address();
      for (const key of ["period", "tz", "format"]) wanted[key] = wanted[key] || now[key];
      if (JSON.stringify(wanted) !== JSON.stringify(now)) setTimeout(() => apply(wanted));
      now = wanted;
    } else if (link(now, defaults) !== location.pathname + location.search) {
      history.replaceState(history.state, "", link(now, defaults));
    }
    window.pipelineControls.show(now);
    if (JSON.stringify(now) === JSON.stringify(current)) return window.dash_clientside.no_update;
    current = now;
    return now;
  }

  function clear() {
    unknown = [];
    return [defaults.period, null, null, [], []];
  }

  // a click on a bar, its name or its value; Plotly's own clicks get lost when it redraws before the button is up
  let pressed = null;
  function barUnder(event) {
    const graph = event.target.closest(".graph[data-filter]"), plot = graph && graph.querySelector(".js-plotly-plot");
    if (!plot || !plot.data.length) return null;
    const box = plot.querySelector(".nsewdrag").getBoundingClientRect(), [low, high] = plot.layout.yaxis.range;
    const name = plot.data[0].y[Math.round(high - ((event.clientY - box.top) / box.height) * (high - low))];
    return name === undefined ? null : { filter: graph.dataset.filter, name, x: event.clientX, y: event.clientY };
  }

  document.addEventListener("pointerdown", (event) => {
    pressed = event.button === 0 ? barUnder(event) : null;
  }, true);
  document.addEventListener("pointercancel", () => { pressed = null; }, true);
  document.addEventListener("pointerup", (event) => {
    if (!pressed || !current || Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > 8) return;
    const chosen = current[pressed.filter], name = pressed.name;
    const data = chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name];
    window.dash_clientside.set_props(pressed.filter, { data });
    pressed = null;
  }, true);

  // at the quickest pace just after the server's next snapshot, and not all viewers at the same moment
  function pace(ms, fresh) {
    if (ms && ms > QUICKEST_MS) return ms;
    if (!fresh || !fresh.due_in_ms) return QUICKEST_MS / 2; // late, nobody knows how much
    return Math.round(Math.min(Math.max(fresh.due_in_ms + 30 + 70 * Math.random(), 200), QUICKEST_MS));
  }

  const own = (window.dash_clientside = window.dash_clientside || {});
  own.pipeline = Object.assign(own.pipeline || {}, { panels, view, clear, pace });
})();
