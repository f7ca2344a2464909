import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERROR_CODES, hintAbout } from '../../../webhook/core/errors.ts';
import { previewDetailView } from '../../../webhook/core/preview-view.ts';
import { reportFrom } from '../../../webhook/core/report.ts';
import { statusPageOf } from '../../../webhook/dashboard/status-page.ts';
import { aFailure, aPreview, commit } from '../../support/a-preview.ts';

void test('a hint names the preview, wherever it is read', () => {
  const revision = commit('a');
  for (const [code, { hint }] of Object.entries(ERROR_CODES)) {
    const failure = aFailure({ code: code as keyof typeof ERROR_CODES, hint, sha: revision.sha });
    const record = aPreview({ wanted: { presence: 'present', revision }, failure });
    const texts = [
      reportFrom(record, []).comment,
      previewDetailView(record, (label) => label).failure?.hint ?? '',
      statusPageOf(record).html,
    ];
    for (const text of texts) {
      assert.doesNotMatch(text, /<slug>|&lt;slug&gt;/, code);
      if (hint.includes('<slug>')) assert.match(text, /preview (?:logs|status) shop-42/, code);
    }
  }
  assert.equal(hintAbout(null, 'preview logs <slug>'), 'preview logs <slug>', 'there is no name yet');
});
