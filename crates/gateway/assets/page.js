// Keeps the page's parts fresh while somebody looks. The page works without it.
//
// One connection, closed while the tab is hidden. A part in which somebody works (focus, or a
// selection) waits until they are done; what was unfolded stays unfolded.
"use strict";

(() => {
  const live = document.getElementById("live");
  if (!live || !window.EventSource) return;

  const language = document.documentElement.lang;
  const waiting = new Map();
  let source = null;
  let retry = 0;
  let watch = 0;

  const say = (state) => {
    const text = live.dataset[state];
    if (live.textContent !== text) live.textContent = text;
    live.className = "live live-" + (state === "live" ? "on" : state);
    live.hidden = false;
    document.body.classList.toggle("lost", state === "lost");
  };

  const isBusy = (part) => {
    const selection = document.getSelection();
    return (
      part.contains(document.activeElement) ||
      (selection && !selection.isCollapsed && part.contains(selection.anchorNode))
    );
  };

  // For those who listen: what has changed in the sentence, and not each second of it.
  let known = document.querySelector(".headline")?.dataset.key;
  const tell = () => {
    const headline = document.querySelector(".headline");
    if (!headline || headline.dataset.key === known) return;
    known = headline.dataset.key;
    document.getElementById("told").textContent = headline.querySelector("p").textContent;
  };

  const put = (name, html) => {
    const part = document.querySelector(`[data-part="${name}"]`);
    if (!part) return;
    if (isBusy(part)) {
      waiting.set(name, html);
      return;
    }
    waiting.delete(name);
    const open = [...part.querySelectorAll("details[open][id]")].map((one) => one.id);
    // Rendered and escaped by the gateway; the same as in the page itself.
    part.innerHTML = html;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  };

  const alive = () => {
    clearTimeout(watch);
    // Three beats without a word: what is seen may be wrong by now.
    watch = setTimeout(lost, 7000);
    say("live");
  };

  const close = () => {
    clearTimeout(watch);
    clearTimeout(retry);
    source?.close();
    source = null;
  };

  const lost = () => {
    close();
    say("lost");
    retry = setTimeout(open, 3000);
  };

  const open = () => {
    close();
    source = new EventSource("/events?lang=" + encodeURIComponent(language));
    source.addEventListener("parts", (event) => {
      alive();
      for (const [name, html] of Object.entries(JSON.parse(event.data))) put(name, html);
      for (const [name, html] of [...waiting]) put(name, html);
      tell();
    });
    source.addEventListener("error", lost);
    watch = setTimeout(lost, 7000);
  };

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
      say("paused");
    } else {
      open();
    }
  });

  if (!document.hidden) open();
})();
