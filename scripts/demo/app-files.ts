/** The app of the demonstration: a page that says its commit, and whether it was given a database. */
export const APP_FILES: Readonly<Record<string, string>> = {
  'preview.toml': `# What this app needs to run. docs/reference/app-manifest.md lists every key.
database = "host"

[setup]
command = "node setup.js"

[[services]]
name = "web"
command = "node server.js"
port = 3000

[health]
path = "/health"
`,
  'package.json': '{ "name": "berth-demo", "private": true, "type": "module" }\n',
  'message.txt': 'Hello from the first commit',
  'setup.js': `import { writeFileSync } from 'node:fs';
console.log('building commit', process.env.PREVIEW_COMMIT);
writeFileSync('built.txt', new Date().toISOString());
`,
  'server.js': `import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const message = readFileSync('message.txt', 'utf8').trim();
const { HOST, PORT, PREVIEW_COMMIT, PREVIEW_URL, DATABASE_URL } = process.env;
const page = \`<!doctype html><meta charset="utf-8"><title>\${message}</title>
<style>body { font: 1.2rem/1.5 system-ui; max-width: 40rem; margin: 4rem auto; color-scheme: light dark }</style>
<h1>\${message}</h1>
<p>Commit <code>\${PREVIEW_COMMIT}</code> at <code>\${PREVIEW_URL}</code>\${DATABASE_URL ? ', with a PostgreSQL database of its own' : ''}.</p>\`;

const server = createServer((request, response) => {
  if (request.url === '/commit') return response.end(PREVIEW_COMMIT);
  if (request.url === '/health') return response.end('ok');
  response.setHeader('content-type', 'text/html; charset=utf-8');
  response.end(page);
});
server.listen(Number(PORT), HOST, () => console.log(\`listening on \${HOST}:\${PORT}\`));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
`,
};
