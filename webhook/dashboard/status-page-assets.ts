/** Style and script of the status page. Both stand in the page itself, so that it needs nothing else, and are named by hash in its policy. */
import { createHash } from 'node:crypto';

export const STYLE = `
:root {
  color-scheme: light dark;
  --ink: #1b1f24; --soft: #59636e; --paper: #f6f8fa; --card: #fff; --line: #d8dee4;
  --go: #0969da; --good: #1a7f37; --bad: #cf222e; --code: #f6f8fa;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6edf3; --soft: #9198a1; --paper: #0d1117; --card: #151b23; --line: #30363d;
    --go: #58a6ff; --good: #3fb950; --bad: #f85149; --code: #0d1117;
  }
}
* { box-sizing: border-box }
body {
  margin: 0; min-height: 100vh; padding: clamp(1rem, 10vh, 6rem) 1rem 2rem;
  background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, 'Segoe UI', sans-serif;
}
main { max-width: 42rem; margin: 0 auto }
.of { margin: 0 0 .75rem; color: var(--soft); font-size: .875rem; overflow-wrap: anywhere }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.5rem }
h1 { margin: 0; font-size: 1.375rem; line-height: 1.3; font-weight: 600; text-wrap: balance; overflow-wrap: anywhere }
p { margin: .5rem 0 0; overflow-wrap: anywhere }
.soft { color: var(--soft) }
code, pre { font: .8125rem/1.55 ui-monospace, 'SF Mono', Menlo, Consolas, monospace }
pre {
  margin: 1rem 0; padding: .875rem 1rem; max-height: 24rem; overflow: auto; background: var(--code);
  border: 1px solid var(--line); border-radius: .5rem; tab-size: 4; unicode-bidi: isolate;
}
.steps { list-style: none; margin: 1.25rem 0 0; padding: 0 }
.steps li { display: flex; gap: .75rem; align-items: center; padding: .3rem 0; color: var(--soft) }
.steps li.now, .steps li.wrong { color: var(--ink); font-weight: 500 }
.steps .took { margin-left: auto; font-weight: 400; color: var(--soft); font-variant-numeric: tabular-nums }
.mark {
  flex: none; display: grid; place-items: center; width: 1.125rem; height: 1.125rem; border-radius: 50%;
  border: 2px solid var(--line); color: var(--card); font: 700 .6875rem/1 system-ui, sans-serif;
}
.done .mark::after { content: '✓' }
.wrong .mark::after { content: '✕' }
.done .mark { border-color: var(--good); background: var(--good) }
.wrong .mark { border-color: var(--bad); background: var(--bad) }
.now .mark { border-color: var(--go); border-right-color: transparent; animation: turn .9s linear infinite }
@keyframes turn { to { transform: rotate(1turn) } }
@media (prefers-reduced-motion: reduce) { .now .mark { animation: none; border-right-color: var(--go) } }
`;

/**
 * Looks once a second whether the page has changed: a changed status page is put in place of this one; anything else is the app, and
 * the browser goes there. A redirect counts as the app, and is left to the browser. Until then it counts the seconds of the step.
 */
export const SCRIPT = `
const shown = () => document.querySelector('main');
let last = shown().outerHTML;
const count = () => {
  for (const each of document.querySelectorAll('time')) {
    const seconds = Math.max(0, Math.round((Date.now() - Date.parse(each.dateTime)) / 1000));
    each.textContent = seconds < 60 ? seconds + ' s' : Math.floor(seconds / 60) + ' min ' + (seconds % 60) + ' s';
  }
};
const look = async () => {
  try {
    const answer = await fetch(location.href, { headers: { accept: 'text/html' }, cache: 'no-store', redirect: 'manual' });
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
    if (answer.status !== 503 || next.documentElement.dataset.page !== 'berth-status') return location.reload();
    const main = next.querySelector('main');
    if (main.outerHTML !== last) {
      last = main.outerHTML;
      document.title = next.title;
      shown().replaceWith(main);
    }
  } catch {
    // Nobody answered: what is shown stays, and we ask again.
  }
  count();
  setTimeout(look, 1000);
};
count();
setTimeout(look, 1000);
`;

function sourceOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

/** Lets the page run these two texts and ask its own address, and nothing else. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src ${sourceOf(STYLE)}`,
  `script-src ${sourceOf(SCRIPT)}`,
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
