// Starts the app named by this script's own tag. A file of its own, because the page's content security policy forbids inline scripts.
const { module, wasm } = document.currentScript.dataset;

import(module)
  .then(({ default: init }) => init({ module_or_path: wasm }))
  .catch((error) => {
    console.error(error);
    const note = document.getElementById("loading");
    if (note) {
      note.textContent = `The app could not start in this browser: ${error}. Reload the page, or try a current Chromium-based browser.`;
    }
  });
