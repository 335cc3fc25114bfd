// Before anything is painted: the theme that was chosen here, so that a dark page does not flash.
"use strict";
try {
  const theme = localStorage.getItem("jtw-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden: the system's theme.
}
