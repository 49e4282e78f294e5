"use strict";
// Each animation is an SVG whose parts say in which steps they are seen (data-from, data-to) and lit (data-at).
for (const box of document.querySelectorAll(".stepper")) {
  const svg = box.querySelector("svg.net"), view = svg.parentElement;
  const items = [...box.querySelectorAll(".steps li")];
  const said = box.querySelector(".said"), count = box.querySelector(".count");
  const button = (name) => box.querySelector(`[data-do="${name}"]`);
  const timed = [...svg.querySelectorAll("[data-from], [data-to], [data-at]")].map((part) => ({
    part,
    from: Number(part.dataset.from ?? 0),
    to: Number(part.dataset.to ?? Infinity),
    at: (part.dataset.at ?? "").split(" ").filter(Boolean).map(Number),
  }));
  const last = items.length - 1;
  let step = 0, timer = 0;

  function show(next) {
    step = Math.min(Math.max(next, 0), last);
    svg.dataset.step = step;
    for (const { part, from, to, at } of timed) {
      part.classList.toggle("off", step < from || step > to);
      part.classList.toggle("now", at.includes(step));
    }
    items.forEach((item, i) => (i === step ? item.setAttribute("aria-current", "step") : item.removeAttribute("aria-current")));
    said.textContent = items[step].textContent;
    count.textContent = `Step ${step + 1} of ${last + 1}`;
    button("back").setAttribute("aria-disabled", String(step === 0));
    button("step").setAttribute("aria-disabled", String(step === last));
    follow();
    if (step === last) stop();
  }

  // Where the drawing is wider than the page, keep what the step is about in view.
  function follow() {
    const lit = [...svg.querySelectorAll(".now:not(.off)")].map((part) => part.getBoundingClientRect());
    if (!lit.length || view.scrollWidth <= view.clientWidth) return;
    const edge = view.getBoundingClientRect().left - view.scrollLeft;
    const left = Math.min(...lit.map((r) => r.left)) - edge, right = Math.max(...lit.map((r) => r.right)) - edge;
    const room = view.clientWidth - (right - left);
    view.scrollLeft = left - (room > 0 ? room / 2 : 48);  // of what is wider than the page, its beginning
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    button("play").textContent = "Play";
    button("play").setAttribute("aria-label", "Play the animation");
  }

  function play() {
    if (timer) return stop();
    if (step === last) show(0);
    timer = setInterval(() => show(step + 1), 4500);
    button("play").textContent = "Pause";
    button("play").setAttribute("aria-label", "Pause the animation");
  }

  const actions = {
    play,
    back: () => (stop(), show(step - 1)),
    step: () => (stop(), show(step + 1)),
    reset: () => (stop(), show(0)),
  };
  for (const [name, action] of Object.entries(actions)) button(name).addEventListener("click", action);
  box.querySelector(".controls").addEventListener("keydown", (event) => {
    const action = { ArrowLeft: "back", ArrowRight: "step", Home: "reset" }[event.key];
    if (action) (event.preventDefault(), actions[action]());
  });
  show(0);
}
