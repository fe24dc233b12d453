// Loaded by every page: mends what Streamlit's own elements say or claim and cannot be told otherwise.

const THEIRS = /Streamlit server is not responding/;
const TITLE = "The server does not answer";
const WORDS =
  "Skipscope was closed, or is being started anew. This page keeps asking and goes on by itself as " +
  "soon as there is an answer; a training that was cut short can be taken up again.";

// A server that is away, in words that say what happens next. The window closes by itself.
function connection() {
  const dialogs = [...document.querySelectorAll('[role="dialog"]')]; // an open drawer is one too
  const dialog = dialogs.find((one) => THEIRS.test(one.textContent));
  if (!dialog) return;
  const texts = document.createTreeWalker(dialog, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    // The nodes are Streamlit's: only what they say is changed.
    if (THEIRS.test(texts.currentNode.nodeValue)) texts.currentNode.nodeValue = WORDS;
    else if (texts.currentNode.nodeValue === "Connection error") texts.currentNode.nodeValue = TITLE;
  }
}

// The box of a file uploader claims to be decoration, and has a name and takes the focus.
function uploaders() {
  const boxes = '[data-testid="stFileUploaderDropzone"][role="presentation"]';
  for (const box of document.querySelectorAll(boxes)) box.setAttribute("role", "group");
}

let asked = false;
new MutationObserver(() => {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    connection();
    uploaders();
  });
}).observe(document.body, { childList: true, subtree: true });
