// Views, and the way through the images.

const VIEWS = ["start", "reading", "between", "elsewhere", "export"];
const TOO_SOON = 250;  // milliseconds: an answer that follows the last one so fast is a double press
const STEPS = ["1, a guess", "2", "3", "4", "5, certain"];

let list = [], order = [], position = 0, practising = false, practiceAnswers = {};
let shownAt = 0, clock = null, elapsed = 0, timed = null;

function show(name, focus) {
  if (name !== "reading") { stopClock(); if (document.fullscreenElement) document.exitFullscreen(); }
  for (const view of VIEWS) element(view).hidden = view !== name;
  window.scrollTo(0, 0);
  if (focus) element(focus).focus();
}

const say = text => { element("status").textContent = text; };
const answersOf = () => practising ? practiceAnswers : state.answers;
const current = () => list[position];
const readCount = (answers = state.answers, entries = order) => entries.filter(entry => answers[entry.key]).length;

function start() {
  document.title = content.title;
  element("title").textContent = content.title;
  if (content.progress) element("count").textContent = `${content.images.length + content.repeats} images`;
  element("deck").textContent = content.deck;
  element("version").textContent = content.version;
  if (content.instructions) {
    element("instructions").className = "own";
    element("instructions").replaceChildren(...content.instructions.trim().split(/\n\s*\n/).map(text => {
      const paragraph = document.createElement("p");
      paragraph.textContent = text;
      return paragraph;
    }));
  }
  if (content.confidence_required) {
    element("sure-kind").hidden = true;
    if (element("sure-help")) element("sure-help").textContent = "Say first how sure you are, from 1 (a guess) to 5 (certain).";
  }
  const n = content.practice.length;
  element("practising").textContent = `${n} practice image${n > 1 ? "s" : ""} come first. They do not count, and nobody tells you the answer.`;
  element("practising").hidden = !n;
  element("begun").hidden = !anyStored();
  show("start");
}

// Not a form's submission: sandboxed frames block those.
function enter() {
  const reader = element("reader").value.trim().replace(/\s+/g, " ");
  const right = /^[\p{L}\p{N}][\p{L}\p{N} ._-]*$/u.test(reader);
  element("wrong").textContent = right ? "" : "Letters, digits, spaces, dots and hyphens only, please, beginning with a letter or a digit.";
  element("reader").setAttribute("aria-invalid", String(!right));
  if (!right) { element("reader").focus(); return; }
  const known = stored(reader);
  if (known) ask(known); else open({ reader, answers: {}, practised: !content.practice.length });
}

// Whoever enters a name that is known here is asked whether the reading is theirs.
function ask(known) {
  const n = Object.keys(known.answers).length;
  element("known-title").textContent = `Are you ${known.reader}?`;
  element("known-text").textContent = `${known.reader} has begun on this device${content.progress ? `: ${n} of ${content.images.length + content.repeats} images are read` : ""}. Go on only with a reading that is your own.`;
  element("known-yes").textContent = `I am ${known.reader}: continue`;
  element("known-yes").onclick = () => open(stored(known.reader) || known);
  element("who").hidden = true;
  element("known").hidden = false;
  element("known-title").focus();
}

element("known-no").addEventListener("click", () => {
  element("known").hidden = true;
  element("who").hidden = false;
  element("reader").select();
});
element("begin").addEventListener("click", enter);
element("reader").addEventListener("keydown", event => { if (event.key === "Enter") enter(); });
element("here").addEventListener("click", () => open(stored(state.reader) || state));

function open(reading) {
  takeOver(reading);
  order = orderOf(state.reader);
  element("known").hidden = true;
  element("who").hidden = false;
  if (!state.practised) return beginList(true);
  if (readCount() === order.length) return finish();
  beginList(false);
}

function beginList(practice) {
  practising = practice;
  practiceAnswers = {};
  list = practice ? content.practice.map(entry => ({ ...entry, key: entry.image })) : order;
  const next = list.findIndex(entry => !answersOf()[entry.key]);
  position = next < 0 ? list.length - 1 : next;
  element("save").hidden = practice;
  show("reading", "where");
  showImage();
}

function showImage() {
  const total = list.length, given = answersOf()[current().key], kind = practising ? "Practice image" : "Image";
  const where = practising || content.progress ? `${kind} ${position + 1} of ${total}` : "Real or fake?";
  element("where").textContent = where;
  element("progress").hidden = !practising && !content.progress;
  element("progress").max = total;
  element("progress").value = readCount(answersOf(), list);
  canvas.setAttribute("aria-label", `${where}, a slice of a brain`);
  element("missing").textContent = "";
  choose(given ? document.querySelector(`#steps input[value="${given.confidence}"]`) : null);
  for (const button of document.querySelectorAll(".answers button")) {
    button.setAttribute("aria-pressed", String(Boolean(given) && given.answer === button.dataset.answer));
  }
  element("back").disabled = position === 0;
  element("forward").hidden = !given || position + 1 === list.length;
  decode(current());
  draw();
  shownAt = performance.now();
  startClock();
}

function answer(value) {
  if (performance.now() - shownAt < TOO_SOON) return;
  const confidence = chosen ? Number(chosen.value) : null;
  if (content.confidence_required && !confidence) {
    element("missing").textContent = "Say first how sure you are.";
    return;
  }
  stopClock();
  const before = answersOf()[current().key];
  const changed = before && (before.answer !== value || before.confidence !== confidence);
  answersOf()[current().key] = {
    answer: value, confidence, seconds: Math.round(((before ? before.seconds : 0) + elapsed) * 10) / 10,
    time: new Date().toISOString(), changes: (before ? before.changes : 0) + Number(Boolean(changed)), ...displayState(),
  };
  elapsed = 0;
  if (!practising && !keep()) return;
  const read = readCount(answersOf(), list);
  if (position + 1 === list.length) return practising ? practiceDone() : finish();
  position += 1;
  if (!practising && !before && content.breaks && read % content.breaks === 0) return offerBreak(read);
  showImage();
  say(`Recorded: ${value}. ${element("where").textContent}.`);
}

function go(step) {
  const target = position + step;
  if (target < 0 || target >= list.length || (step > 0 && !answersOf()[current().key])) return;
  stopClock();
  position = target;
  showImage();
  if (document.activeElement === document.body || document.activeElement.disabled || document.activeElement.hidden) element("where").focus();
  const given = answersOf()[current().key];
  say(`${element("where").textContent}${given ? `, you said ${given.answer}` : ""}.`);
}

// ---- Between images

function between(title, text, next) {
  element("between-title").textContent = title;
  element("between-text").textContent = text;
  element("between-save").hidden = practising || !readCount();
  element("continue").textContent = next;
  show("between", "between-title");
}

function practiceDone() {
  state.practised = true;
  practising = false;
  if (!keep()) return;
  between("Now it counts", `Practice is over. ${content.progress ? `${order.length} images follow.` : "The images follow."}`, "Begin reading");
}

const later = () => kept ? "You may close the browser and continue later on this device." : "Keep this page open, or save your readings.";
const soFar = read => content.progress ? `${read} of ${order.length} images read. ` : "";

function pause() {
  between("Paused", practising ? "The clock has stopped." : `${soFar(readCount())}The clock has stopped. ${later()}`, "Continue");
}

function offerBreak(read) {
  between("Time for a break?", `${soFar(read)}Rest your eyes for a moment if you like; the clock has stopped. ${later()}`, "Continue");
}

element("continue").addEventListener("click", () => {
  if (practising) { show("reading", "where"); showImage(); } else beginList(false);
});

// ---- Time in front of an image, without pauses and hidden tabs

function startClock() {
  if (timed !== current().key) { elapsed = 0; timed = current().key; }
  clock = performance.now();
}

function stopClock() {
  if (clock !== null) elapsed += (performance.now() - clock) / 1000;
  clock = null;
}

document.addEventListener("visibilitychange", () => {
  if (element("reading").hidden) return;
  if (document.hidden) stopClock(); else if (clock === null) clock = performance.now();
});
