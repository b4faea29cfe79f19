// Buttons and keys.

// A confidence, chosen once more, is taken back.
let chosen = null;

function choose(input) {
  chosen = input;
  if (input) element("missing").textContent = "";
  for (const other of document.querySelectorAll("#steps input")) other.checked = other === input;
}

element("steps").replaceChildren(...STEPS.map((name, i) => {
  const label = document.createElement("label"), input = document.createElement("input"), text = document.createElement("span");
  Object.assign(input, { type: "radio", name: "confidence", value: String(i + 1) });
  input.setAttribute("aria-label", name);
  text.textContent = String(i + 1);
  input.addEventListener("click", () => choose(chosen === input ? null : input));
  label.append(input, text);
  return label;
}));
for (const button of document.querySelectorAll(".answers button")) {
  button.addEventListener("click", () => answer(button.dataset.answer));
  button.addEventListener("keydown", event => { if (event.repeat && event.key === "Enter") event.preventDefault(); });
}
element("back").addEventListener("click", () => go(-1));
element("forward").addEventListener("click", () => go(1));
element("pause").addEventListener("click", pause);
element("save").addEventListener("click", save);
element("between-save").addEventListener("click", save);

// What a key means on any layout: its own Latin letter, digit or sign, or else what the key is on a keyboard with those.
function meaning(event) {
  if (/^[a-z0-9+=-]$/i.test(event.key)) return event.key.toLowerCase();
  const named = /^(?:Key([A-Z])|(?:Digit|Numpad)(\d))$/.exec(event.code);
  return named ? (named[1] || named[2]).toLowerCase() : "";
}

const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function arrow(event) {
  const way = ARROWS[event.key];
  if (!way || event.target.tagName === "INPUT") return false;
  if (number("zoom") > 1) {
    if (document.activeElement === stage) move(place.x + 40 * way[0], place.y + 40 * way[1]);
    return document.activeElement === stage;
  }
  if (way[0]) go(-way[0]);
  return Boolean(way[0]);
}

function press(key) {
  if (key === "r") answer("real");
  else if (key === "f") answer("fake");
  else if (/^[1-5]$/.test(key)) {
    const input = document.querySelector(`#steps input[value="${key}"]`);
    choose(chosen === input ? null : input);
    say(chosen ? `How sure: ${STEPS[key - 1]}.` : "How sure: not said.");
  }
  else if (key === "+" || key === "=") enlarge(number("zoom") + .25);
  else if (key === "-") enlarge(number("zoom") - .25);
  else if (key === "0") resetDisplay();
  else if (key === "i") element("invert").click();
  else if (key === "v") { if (!element("full").hidden) whole(); }
  else if (key === "p") pause();
  else if (key === "s") { if (!practising) save(); }
  else return false;
  return true;
}

document.addEventListener("keydown", event => {
  if (element("reading").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
  if (arrow(event)) { event.preventDefault(); return; }
  if (event.repeat) return;
  if (event.key === "Backspace") { event.preventDefault(); go(-1); return; }
  if (element("keys").checked && press(meaning(event))) event.preventDefault();
});

start();
