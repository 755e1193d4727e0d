/* The drawer with the settings, and where they are kept. */
import { defaults, protocols } from './parley.js';
import { preferredLanguage } from './words.js';

const KEY = 'parley.settings';

export const newId = () => Math.random().toString(36).slice(2, 10);

/* The token is kept for this tab alone. */
export class Settings {
  constructor() {
    const { protocol, pipeline, sessionType, stream, tools } = defaults;
    this.values = {
      language: preferredLanguage(), protocol, pipeline, sessionType, persona: '', conversation: newId(), user: newId(), stream, tools,
      token: '', ...read(localStorage), ...read(sessionStorage),
    };
    if (!this.protocol) this.values.protocol = defaults.protocol;
    this.#write();
  }

  set(name, value) {
    this.values[name] = value;
    this.#write();
  }

  /** What is known of the protocol. */
  get protocol() {
    return protocols[this.values.protocol];
  }

  /** What tells the conversation from others. */
  name() {
    return [this.values.protocol, ...this.protocol.memory.map((name) => this.values[name])].join(' ');
  }

  /** As options of parley.js. */
  connection() {
    const { language, ...options } = this.values;
    return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== ''));
  }

  #write() {
    const { token, ...rest } = this.values;
    try {
      localStorage.setItem(KEY, JSON.stringify(rest));
      sessionStorage.setItem(KEY, JSON.stringify({ token }));
    } catch { /* for this visit only */ }
  }
}

function read(storage) {
  try {
    return JSON.parse(storage.getItem(KEY)) || {};
  } catch {
    return {};
  }
}

/** Ties the drawer to the settings. `onChange(names)` is called when it closes, with what has been changed. Returns what
 * opens it, at the field of that name. */
export function openDrawerWith({ dialog, button, settings, onLanguage, onChange }) {
  const form = dialog.querySelector('form');
  const fields = form.elements;
  const changed = new Set();

  for (const [name, { title }] of Object.entries(protocols)) fields.protocol.add(new Option(title, name));

  const fit = () => {
    const protocol = fields.protocol.value;
    for (const row of form.querySelectorAll('[data-for]')) row.hidden = !row.dataset.for.split(' ').includes(protocol);
    form.querySelector('#memory-note').hidden = protocols[protocol].memory.length > 0;
  };

  const show = () => {
    for (const [name, value] of Object.entries(settings.values)) {
      if (typeof value === 'boolean') fields[name].checked = value;
      else fields[name].value = value;
    }
    fit();
  };

  form.addEventListener('change', ({ target }) => {
    settings.set(target.name, target.type === 'checkbox' ? target.checked : target.value.trim());
    if (target.name === 'language') onLanguage(target.value);
    else changed.add(target.name);
    fit();
  });
  const open = (name) => {
    show();
    dialog.showModal();
    if (name) fields[name].focus();
  };
  button.addEventListener('click', () => open());
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  dialog.addEventListener('close', () => {
    if (changed.size) onChange([...changed]);
    changed.clear();
  });
  return open;
}
