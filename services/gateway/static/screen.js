/* Small things of the chat page's screen. */
import { element } from './view.js';

const TOAST_MS = 2600;
const LINES = 8;

export const at = (id) => document.getElementById(id);

export function toast(text) {
  const box = element('p', 'toast', text);
  at('toasts').append(box);
  setTimeout(() => box.remove(), TOAST_MS);
}

/** For those who listen. */
export function say(text) {
  at('said').textContent = text;
}

/** The composer grows with its text. */
export function fit() {
  const box = at('question');
  box.style.height = 'auto';
  const { lineHeight, paddingTop, paddingBottom } = getComputedStyle(box);
  const most = parseFloat(lineHeight) * LINES + parseFloat(paddingTop) + parseFloat(paddingBottom);
  box.style.height = `${Math.min(box.scrollHeight, most)}px`;
}
