/**
 * Makes test/fixtures/github-openapi-trimmed.json, by which the stand-in GitHub of the tests checks each request and answer, from GitHub's own
 * description. That one is far too large to depend on (385 MB installed), so it is fetched by hand when GitHub's API changes:
 *
 *     cd "$(mktemp -d)" && npm pack @octokit/openapi && tar xzf octokit-openapi-*.tgz package/generated/api.github.com.json
 *     node scripts/trim-github-openapi.ts "$OLDPWD/package/generated/api.github.com.json"
 *
 * Kept: the operations listed below and all that they refer to. Dropped: prose and examples.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';

const TARGET = resolve(import.meta.dirname, '../test/fixtures/github-openapi-trimmed.json');

const OPERATIONS: Readonly<Record<string, readonly string[]>> = {
  '/app': ['get'],
  '/app/hook/deliveries': ['get'],
  '/app/hook/deliveries/{delivery_id}/attempts': ['post'],
  '/app/installations/{installation_id}/access_tokens': ['post'],
  '/installation/repositories': ['get'],
  '/rate_limit': ['get'],
  '/repos/{owner}/{repo}': ['get', 'patch'],
  '/repos/{owner}/{repo}/branches/{branch}': ['get'],
  '/repos/{owner}/{repo}/check-runs': ['post'],
  '/repos/{owner}/{repo}/check-runs/{check_run_id}': ['patch'],
  '/repos/{owner}/{repo}/collaborators/{username}/permission': ['get'],
  '/repos/{owner}/{repo}/commits/{ref}/statuses': ['get'],
  '/repos/{owner}/{repo}/contents/{path}': ['get'],
  '/repos/{owner}/{repo}/deployments': ['get', 'post'],
  '/repos/{owner}/{repo}/deployments/{deployment_id}': ['delete'],
  '/repos/{owner}/{repo}/deployments/{deployment_id}/statuses': ['get', 'post'],
  '/repos/{owner}/{repo}/environments/{environment_name}': ['delete', 'put'],
  '/repos/{owner}/{repo}/hooks': ['get', 'post'],
  '/repos/{owner}/{repo}/hooks/{hook_id}': ['get', 'patch', 'delete'],
  '/repos/{owner}/{repo}/hooks/{hook_id}/deliveries': ['get'],
  '/repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts': ['post'],
  '/repos/{owner}/{repo}/hooks/{hook_id}/pings': ['post'],
  '/repos/{owner}/{repo}/installation': ['get'],
  '/repos/{owner}/{repo}/issues/comments/{comment_id}': ['get', 'patch', 'delete'],
  '/repos/{owner}/{repo}/issues/{issue_number}/comments': ['get', 'post'],
  '/repos/{owner}/{repo}/pulls': ['get', 'post'],
  '/repos/{owner}/{repo}/pulls/{pull_number}': ['get', 'patch'],
  '/repos/{owner}/{repo}/statuses/{sha}': ['post'],
  '/user': ['get'],
  '/user/repos': ['get'],
  '/users/{username}/repos': ['get'],
};

/** Prose and examples: two thirds of the text, and no part of what can be checked. */
const DROPPED = new Set(['description', 'summary', 'example', 'examples', 'externalDocs', 'x-github']);

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
interface Description {
  openapi: string;
  info: Json;
  paths: Record<string, Record<string, Json>>;
  components: Record<string, Record<string, Json>>;
}

/** `inProperties`: the keys are names that GitHub chose (a property may well be called `description`). */
function withoutProse(value: Json, inProperties = false): Json {
  if (Array.isArray(value)) return value.map((item) => withoutProse(item));
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => inProperties || !DROPPED.has(key));
  return Object.fromEntries(
    kept.map(([key, item]) => [key, withoutProse(item, key === 'properties' && !inProperties)]),
  );
}

function referencesIn(value: Json): string[] {
  return Array.from(JSON.stringify(value).matchAll(/"\$ref":"#\/components\/([^"]+)"/g), (match) => match[1] ?? '');
}

function main(sourceFile: string): void {
  const source = JSON.parse(readFileSync(sourceFile, 'utf8')) as Description;
  const paths: Description['paths'] = {};
  for (const [path, methods] of Object.entries(OPERATIONS)) {
    const operations = methods.map((method) => {
      const operation = source.paths[path]?.[method];
      if (operation === undefined) throw new Error(`GitHub's description has no ${method.toUpperCase()} ${path}`);
      return [method, withoutProse(operation)] as const;
    });
    paths[path] = Object.fromEntries(operations);
  }

  const components: Description['components'] = {};
  const waiting = referencesIn(paths);
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [kind = '', name = ''] = next.split('/');
    const section = (components[kind] ??= {});
    if (section[name] !== undefined) continue;
    const kept = withoutProse(source.components[kind]?.[name] ?? null);
    section[name] = kept;
    waiting.push(...referencesIn(kept));
  }

  const version = (source.info as { version: string }).version;
  const trimmed = {
    openapi: source.openapi,
    info: {
      title: 'GitHub REST API, the part that Berth calls',
      version,
      license: { name: 'MIT', url: 'https://spdx.org/licenses/MIT' },
      'x-made-by': `scripts/trim-github-openapi.ts from @octokit/openapi ${version}, generated/api.github.com.json`,
    },
    paths,
    components,
  };
  // One operation or schema per line: a change of GitHub's API is then a readable diff.
  const text = JSON.stringify(trimmed, null, 1).length;
  writeFileSync(TARGET, `${lined(trimmed)}\n`);
  console.log(`${TARGET}: ${Object.keys(paths).length} paths, ${text} characters`);
}

function lined(document: object, depth = 0): string {
  const indent = ' '.repeat(depth + 1);
  const items = Object.entries(document).map(([key, value]) => {
    const nested = depth < 2 && typeof value === 'object' && value !== null;
    return `${indent}${JSON.stringify(key)}: ${nested ? lined(value as object, depth + 1) : JSON.stringify(value)}`;
  });
  return `{\n${items.join(',\n')}\n${' '.repeat(depth)}}`;
}

const [sourceFile] = process.argv.slice(2);
if (sourceFile === undefined) {
  console.error('usage: node scripts/trim-github-openapi.ts <api.github.com.json>');
  process.exitCode = 2;
} else main(sourceFile);
