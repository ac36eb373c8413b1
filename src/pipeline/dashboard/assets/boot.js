"use strict";
// Before the first paint: the colour scheme that the viewer chose last time.
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch (error) {
  // a browser without storage follows its system
}
