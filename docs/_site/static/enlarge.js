// A click on a picture shows it as large as the window; another click, or Escape, closes it.
document.addEventListener("click", ({ target }) => {
  if (target.closest("dialog.enlarged")) return target.closest("dialog").close();
  if (!target.matches("article img") || target.closest("a:not(.image-reference)")) return;
  const dialog = document.createElement("dialog");
  dialog.className = "enlarged";
  dialog.append(Object.assign(new Image(), { src: target.src, alt: target.alt }));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
});
