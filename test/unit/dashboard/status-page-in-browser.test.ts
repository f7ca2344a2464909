import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { chromium } from 'playwright-core';
import type { PreviewRecord } from '../../../webhook/core/preview.ts';
import { parseRepositoryName } from '../../../webhook/core/pull-request.ts';
import { statusPageOf } from '../../../webhook/dashboard/status-page.ts';
import { aGateway, anApp, aRoute, slug } from '../../support/a-gateway.ts';

const CHROMIUM = '/usr/bin/chromium';
// Without the last four Chromium asks for hosts of Google's at every start.
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const skip = existsSync(CHROMIUM) ? false : `needs ${CHROMIUM} (apt-get install chromium)`;

void test('a browser that waits sees each step, then arrives at the app where it wanted to go', { skip }, async () => {
  const repository = parseRepositoryName('acme/shop');
  assert.ok(repository !== null);
  const at = new Date();
  const record = {
    id: 1,
    key: { repositoryId: 81, subject: { kind: 'pull', number: 42 } },
    repository,
    generation: 1,
    createdAt: at,
    requestedAt: at,
    slug: slug('shop-42'),
    wanted: { presence: 'present', revision: { sha: 'a'.repeat(40), ref: '<b>branch</b>' } },
    hold: null,
    concludedGeneration: 0,
    retryAskedAt: null,
    database: null,
    instances: [],
    answering: null,
    failure: null,
    doing: { step: 'fetch-source', since: at },
  } as unknown as PreviewRecord;
  let shown = record;
  await using app = await anApp((_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><h1>The app</h1>');
  });
  await using door = await aGateway({ statusPage: () => Promise.resolve(statusPageOf(shown)) });
  await door.gateway.ensure(aRoute('shop-42', { slot: null, ports: { 3000: app.port } }));

  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  try {
    const page = await browser.newPage();
    const refusedByPolicy: string[] = [];
    page.on('console', (message) => {
      if (message.text().includes('Content Security Policy')) refusedByPolicy.push(message.text());
    });
    const response = await page.goto(`http://shop-42.localhost:${door.gateway.port}/deep?link=1`);
    assert.equal(response?.status(), 503);
    const heading = (text: string) => page.getByRole('heading', { name: text }).waitFor({ timeout: 20_000 });
    await heading('Fetching the commit');
    assert.equal(await page.locator('b').count(), 0);
    shown = { ...record, doing: { step: 'set-up', since: new Date() } };
    await heading('Running the app’s setup');
    await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
    await heading('The app');
    assert.equal(new URL(page.url()).pathname, '/deep');
    assert.deepEqual(refusedByPolicy, []);
  } finally {
    await browser.close();
  }
});
