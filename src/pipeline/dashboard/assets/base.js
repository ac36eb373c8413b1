"use strict";
// What flash sales' page and declared pages share: texts, sparklines, tables behind charts, the theme.
(function () {
  const SVG = "http://www.w3.org/2000/svg";

  const find = (id) => document.getElementById(id);
  const put = (node, text) => node && node.textContent !== text && (node.textContent = text);

  // what acts instead of being seen, as in shown.py: marks of direction and control characters
  const ACTING = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
  const visible = (text) => String(text).replace(ACTING, (found) => "\\u" + found.charCodeAt(0).toString(16).padStart(4, "0"));

  function element(tag, props, ...children) {
    const node = Object.assign(document.createElement(tag), props);
    node.append(...children);
    return node;
  }

  // a line through these points ("x,y x,y", of 100 by 30) with the area below it; "": none
  function line(node, points) {
    if (!node.firstChild) {
      const svg = document.createElementNS(SVG, "svg");
      svg.setAttribute("viewBox", "0 0 100 30");
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("aria-hidden", "true");
      svg.append(document.createElementNS(SVG, "polygon"), document.createElementNS(SVG, "polyline"));
      node.append(svg);
    }
    node.querySelector("polyline").setAttribute("points", points);
    node.querySelector("polygon").setAttribute("points", points && "0,30 " + points + " 100,30");
  }

  // the texts of a chart's marks, which are markup of Plotly's, as plain text
  const CHARACTERS = { "&lt;": "<", "&gt;": ">", "&amp;": "&" };
  function texts(name, lineBreak) {
    const plain = (html) => String(html).replace(/<br>/g, lineBreak).replace(/<[^>]*>/g, "")
      .replace(/&(lt|gt|amp);/g, (found) => CHARACTERS[found]);
    const plot = document.querySelector("#figure-" + name + " .js-plotly-plot");
    return plot && plot.data ? plot.data.flatMap((trace) => (trace.customdata || []).map(plain)) : [];
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.id.startsWith("table-")) {
      const name = button.id.slice("table-".length), box = find("rows-" + name);
      box.hidden = !box.hidden;
      find("graph-" + name).classList.toggle("away", !box.hidden);
      button.setAttribute("aria-pressed", String(!box.hidden));
      shared.tables();
    }
    if (button.id === "theme") {
      const order = ["auto", "light", "dark"], root = document.documentElement;
      const next = order[(order.indexOf(root.dataset.theme || "auto") + 1) % 3];
      if (next === "auto") delete root.dataset.theme;
      else root.dataset.theme = next;
      try { localStorage.setItem("theme", next); } catch (error) { /* not remembered */ }
    }
  });

  setInterval(() => {
    shared.tables();
    put(find("theme"), "Theme: " + (document.documentElement.dataset.theme || "auto"));
  }, 1000);

  // `tables` fills the tables behind charts; each page has its own
  const shared = (window.pipelineShared = { find, put, visible, element, line, texts, tables() {} });
})();
