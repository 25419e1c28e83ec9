document.getElementById("NAME").addEventListener("change", event => {
  const field = event.target.closest("fieldset");
  const right = event.target.dataset.right === "1";
  field.querySelector("[role=status]").textContent = right ? "Right. " + field.dataset.why : "Not this one. Think again.";
});
