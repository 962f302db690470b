// A filter's options carry the address that chooses them.
document.addEventListener("change", (event) => {
  if (event.target.matches("select[data-navigate]")) window.location.search = event.target.value;
  if (event.target.matches("select[data-submit]")) event.target.form.requestSubmit();
});
