// Shows a test as it happens. Everything here is on the page without it too; this only saves reloading.
"use strict";
(() => {
  const section = document.getElementById("progress");
  if (!section || !window.EventSource) return;
  const state = document.getElementById("progress-state");
  const due = document.getElementById("progress-due");
  const lines = document.getElementById("progress-lines");
  const names = { us: "we", them: "server" };
  const source = new EventSource(section.dataset.events);
  let fresh = true;

  source.addEventListener("line", (event) => {
    if (fresh) lines.replaceChildren(); // the stream begins with what the page shows already
    fresh = false;
    const line = JSON.parse(event.data);
    const item = document.createElement("li");
    item.className = line.side;
    for (const [kind, text] of [["who", names[line.side] || "note"], ["said", line.text]]) {
      const part = document.createElement("span");
      part.className = kind;
      part.textContent = text;
      item.append(part, " ");
    }
    lines.append(item);
  });
  source.addEventListener("state", (event) => {
    state.textContent = JSON.parse(event.data).text;
    if (due) due.hidden = true;
  });
  source.addEventListener("end", () => {
    source.close();
    location.reload();
  });
  source.addEventListener("pause", () => source.close());
})();
