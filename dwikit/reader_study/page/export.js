// The readings as a file.

const COLUMNS = ["time", "answer", "confidence", "seconds", "changes", "level", "width", "zoom", "inverted"];

function csv() {
  const rows = [["deck", "page", "reader", "device", "position", "image", "again", ...COLUMNS]];
  order.forEach((entry, i) => {
    const given = state.answers[entry.key];
    if (!given) return;
    const cells = COLUMNS.map(name => name === "seconds" ? given.seconds.toFixed(1) : given[name] ?? "");
    rows.push([content.deck, content.version, state.reader, DEVICE, i + 1, entry.image, entry.again, ...cells]);
  });
  return rows.map(cells => cells.join(",") + "\r\n").join("");
}

function exportView(title, text, complete) {
  element("export-title").textContent = title;
  element("export-text").textContent = text;
  element("return").textContent = complete ? "Last image again" : "Back to the images";
  element("export-status").textContent = "";
  element("csv").value = csv();
  show("export", "export-title");
}

function finish() {
  exportView("Thank you", `You have read all ${order.length} images. Save your readings and send the file to the organizer.`, true);
}

function save() {
  if (readCount() === order.length) return finish();
  exportView("Save readings", `${soFar(readCount())}The file holds what you have read; saving does not end the study.`, false);
}

element("return").addEventListener("click", () => beginList(false));
element("download").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([element("csv").value], { type: "text/csv" }));
  link.download = `readings-${content.deck}-${state.reader.replace(/[^\p{L}\p{N}-]+/gu, "-")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  unsaved = false;
  element("export-status").textContent = `The browser was asked to save ${link.download}. Look for it among your downloads; if it is not there, copy the text.`;
});
element("copy").addEventListener("click", async () => {
  let copied = false;
  try { await navigator.clipboard.writeText(element("csv").value); copied = true; } catch (error) { /* blocked: try the old way */ }
  if (!copied) {
    element("csv").focus();
    element("csv").select();
    try { copied = document.execCommand("copy"); } catch (error) { copied = false; }
  }
  if (copied) unsaved = false;
  element("export-status").textContent = copied ? "Copied. Paste it where the organizer wants it." : "Copying is blocked here. The text is selected: press Ctrl+C (or ⌘C).";
});
