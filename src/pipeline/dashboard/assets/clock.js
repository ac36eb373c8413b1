"use strict";
// What the browser does by itself: ages that keep counting between ticks, the colour scheme, the pause button.
(function () {
  const LABELS = { live: "Live", stale: "Stale", unreachable: "Pinot unreachable", starting: "Waiting for data" };
  const LOST_AFTER_S = 6;
  let newestAnswer = null; // server_ms of the newest answer
  let answeredAt = performance.now();
  let revivedAt = 0;

  function age(seconds) {
    const s = Math.max(0, Math.round(seconds));
    if (s < 60) return s + " s";
    if (s < 3600) return Math.floor(s / 60) + " min";
    if (s < 86400) return Math.floor(s / 3600) + " h";
    return Math.floor(s / 86400) + " d";
  }

  function revive() {
    // Dash leaves the tick disabled when a request gets no answer at all: start it again
    if (performance.now() - revivedAt > LOST_AFTER_S * 1000) {
      revivedAt = performance.now();
      window.dash_clientside.set_props("tick", { disabled: false });
    }
  }

  function eventAge(fresh, elapsed) {
    if (fresh.event_age_s === null) return "No events yet";
    return "Newest event " + age(fresh.event_age_s + elapsed) + " ago";
  }

  function refreshAge(fresh, elapsed) {
    if (fresh.refresh_age_s === null) return "Not refreshed yet";
    return "Refreshed " + age(fresh.refresh_age_s + elapsed) + " ago";
  }

  function chip(_tick, fresh, paused, intervalMs) {
    if (fresh && fresh.server_ms !== newestAnswer) {
      newestAnswer = fresh.server_ms;
      answeredAt = performance.now();
    }
    const elapsed = (performance.now() - answeredAt) / 1000;
    if (paused && fresh) {
      return ["chip paused", "Paused", eventAge(fresh, elapsed), refreshAge(fresh, elapsed)];
    }
    if (elapsed > Math.max(LOST_AFTER_S, (3 * intervalMs) / 1000)) {
      revive();
      return ["chip unreachable", "No connection", "The dashboard does not answer", "Last answer " + age(elapsed) + " ago"];
    }
    if (!fresh) return ["chip starting", LABELS.starting, "Waiting for the first answer", ""];
    return ["chip " + fresh.state, LABELS[fresh.state], eventAge(fresh, elapsed), refreshAge(fresh, elapsed)];
  }

  function scheme(_tick, current) {
    const system = window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const wanted = document.documentElement.dataset.theme || system;
    return wanted === current ? window.dash_clientside.no_update : wanted;
  }

  function pause(_clicks, paused) {
    if (paused) answeredAt = performance.now();
    return paused ? [false, -1, "Pause"] : [true, 0, "Resume"];
  }

  const own = (window.dash_clientside = window.dash_clientside || {});
  own.pipeline = Object.assign(own.pipeline || {}, { chip, scheme, pause });
})();
