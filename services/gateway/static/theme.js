/* Light or dark as the system has it, or as the person chose; loaded before the page is painted. */
(() => {
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  const kept = {
    get: () => { try { return localStorage.getItem('parley.theme'); } catch { return null; } },
    set: (theme) => { try { localStorage.setItem('parley.theme', theme); } catch { /* for this visit only */ } },
  };
  const current = () => root.dataset.theme || (system.matches ? 'dark' : 'light');

  const chosen = kept.get();
  if (chosen === 'light' || chosen === 'dark') root.dataset.theme = chosen;

  addEventListener('DOMContentLoaded', () => {
    const button = document.querySelector('[data-theme-switch]');
    if (!button) return;
    const show = () => button.setAttribute('aria-pressed', String(current() === 'dark'));
    button.addEventListener('click', () => {
      root.dataset.theme = current() === 'dark' ? 'light' : 'dark';
      kept.set(root.dataset.theme);
      show();
    });
    system.addEventListener('change', show);
    show();
  });
})();
