import { createRoot } from "react-dom/client";
import { App } from "./app";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/pages.css";
import "./styles/notices.css";
import "./styles/home.css";

const root = document.getElementById("root");
if (root) createRoot(root).render(<App />);

if (import.meta.env.PROD && "serviceWorker" in navigator) {
  // Without it everything works; it only keeps the shell for when the hub is gone.
  addEventListener("load", () => void navigator.serviceWorker.register("/sw.js").catch(() => undefined));
}
