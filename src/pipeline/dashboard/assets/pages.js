"use strict";
// A page renews itself: only what is inside #renewed, or else <main>, is replaced, so that nothing flickers or scrolls.
(function () {
  const SOON_MS = 2000, LATER_MS = 5000;
  let paused = false;

  document.addEventListener("click", (event) => {
    if (event.target.id !== "pause") return;
    paused = !paused;
    event.target.textContent = paused ? "Resume" : "Pause";
  });

  function renewed(page) {
    return page.getElementById("renewed") || page.querySelector("main");
  }

  async function renew() {
    const state = document.getElementById("state");
    try {
      if (!paused && !document.hidden) {
        const reply = await fetch(location.href, { cache: "no-store" });
        const page = new DOMParser().parseFromString(await reply.text(), "text/html");
        const fresh = renewed(page), scrolls = [...document.querySelectorAll(".scroll")].map((e) => e.scrollLeft);
        if (reply.ok && fresh) {
          renewed(document).replaceChildren(...fresh.childNodes);
          document.querySelectorAll(".scroll").forEach((e, n) => (e.scrollLeft = scrolls[n] || 0));
          state.textContent = "";
        }
      }
    } catch (error) {
      state.textContent = "The dashboard does not answer; this is the last that is known.";
    }
    setTimeout(renew, document.querySelector(".lights") ? LATER_MS : SOON_MS);
  }

  setTimeout(renew, SOON_MS);
})();
