// Before the first paint, so that nothing flashes: the theme that was chosen in Settings.
try {
  const theme = localStorage.getItem("accord.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is blocked: follow the system.
}
