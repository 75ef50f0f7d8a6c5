// Takes the code of a mail out of the address bar and puts it into the form. It sends nothing: programs that scan mails
// open links and run scripts as well, and only a click may use up a code. Without this script the code is typed.
const form = document.querySelector('form[data-of-mail]');

function takeCode() {
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  if (code === null) return;
  // Neither the history nor a bookmark keeps it.
  history.replaceState(null, '', location.pathname + location.search);
  const byHand = form?.querySelector('[data-by-hand]');
  if (!byHand) return;
  const { code: codeInput, email } = form.elements;
  codeInput.value = code;
  byHand.hidden = true;
  if (email) email.disabled = true;
}

takeCode();
// The link of another mail, opened in the same tab.
addEventListener('hashchange', takeCode);

// The second of two clicks would find the code used up. After a while the first one counts as lost.
let isSent = false;
addEventListener('submit', (event) => {
  if (isSent) event.preventDefault();
  isSent = true;
  setTimeout(free, 5000);
});
addEventListener('pageshow', free);

function free() {
  isSent = false;
}
