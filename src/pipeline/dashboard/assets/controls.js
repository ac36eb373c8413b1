"use strict";
// Native controls in the places that the layout left for them; a control's value lives in the Dash store of its name.
(function () {
  const chosen = {}; // name -> value
  const known = { groups: [], regions: [] };

  const { visible, element } = window.pipelineShared;

  function send(name, data) {
    chosen[name] = data;
    window.dash_clientside.set_props(name, { data });
  }

  function segments(place, name, label, options) {
    const fields = options.map(([value, text]) => {
      const input = element("input", { type: "radio", name, value: String(value) });
      input.addEventListener("change", () => {
        if (name === "pace") remember(value);
        send(name, value);
        if (name === "period") days(place, value);
      });
      return element("label", {}, input, element("span", { textContent: text }));
    });
    place.append(element("fieldset", {}, element("legend", { textContent: label, className: "hidden-text" }), ...fields));
    if (name === "period") {
      const inputs = ["first_day", "last_day"].map((day, n) => {
        const input = element("input", { type: "date", id: "control-" + day, ariaLabel: n ? "Last day" : "First day" });
        input.addEventListener("change", () => send(day, input.value || null));
        return input;
      });
      place.append(element("div", { className: "days", hidden: true }, ...inputs));
    }
  }

  function days(place, period) {
    const node = place.querySelector(".days");
    if (node) node.hidden = period !== "dates";
  }

  function select(place, name, label, options) {
    const input = element("select", { ariaLabel: label }, ...options.map(([value, text]) => new Option(text, value)));
    input.addEventListener("change", () => send(name, input.value));
    place.append(input);
  }

  function multi(place, name, label) {
    place.append(element("details", {}, element("summary", { textContent: label }), element("div", { className: "options" })));
  }

  function fill(name) {
    const place = document.getElementById("control-" + name), values = chosen[name] || [];
    if (!place || !place.firstChild) return;
    const box = place.querySelector(".options");
    const names = [...new Set([...known[name], ...values])].sort();
    if (box.dataset.names !== JSON.stringify(names)) {
      box.dataset.names = JSON.stringify(names);
      box.replaceChildren(...names.map((one) => {
        const input = element("input", { type: "checkbox", value: one });
        input.addEventListener("change", () => {
          send(name, [...box.querySelectorAll("input:checked")].map((checked) => checked.value));
          fill(name);
        });
        return element("label", {}, input, element("span", { textContent: visible(one) }));
      }));
    }
    for (const input of box.querySelectorAll("input")) input.checked = values.includes(input.value);
    place.querySelector("summary").textContent = values.length ? visible(values.join(", ")) : place.dataset.label;
  }

  function remember(ms) {
    try { localStorage.setItem("pace", String(ms)); } catch (error) { /* not remembered */ }
  }

  function remembered() {
    try { return Number(localStorage.getItem("pace")) || 1000; } catch (error) { return 1000; }
  }

  function make() {
    for (const place of document.querySelectorAll(".control:empty")) {
      const name = place.id.slice("control-".length), options = JSON.parse(place.dataset.options);
      ({ segments, select, multi })[place.dataset.kind](place, name, place.dataset.label, options);
      if (name === "pace") {
        const ms = remembered();
        if (ms !== 1000) send("pace", ms);
        for (const input of place.querySelectorAll("input")) input.checked = input.value === String(ms);
      }
    }
  }

  function show(view) {
    make();
    Object.assign(chosen, { groups: view.groups, regions: view.regions });
    for (const name of ["groups", "regions"]) fill(name);
    const period = document.getElementById("control-period");
    if (!period) return;
    const radios = [...period.querySelectorAll("input[type=radio]")];
    const shown = radios.some((input) => input.value === view.period) ? view.period : "24h";
    for (const input of radios) input.checked = input.value === shown;
    days(period, view.period);
    for (const [day, value] of [["first_day", view.from], ["last_day", view.to]]) {
      document.getElementById("control-" + day).value = value || "";
    }
    for (const [name, value] of [["zone", view.tz], ["format", view.format]]) {
      const input = document.querySelector("#control-" + name + " select");
      if (![...input.options].some((option) => option.value === value)) input.add(new Option(visible(value), value));
      input.value = value;
    }
  }

  function options(name, names) {
    known[name] = names;
    fill(name);
  }

  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll(".multi details[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const open of document.querySelectorAll(".multi details[open]")) open.open = false;
  });

  window.pipelineControls = { show, options };
})();
