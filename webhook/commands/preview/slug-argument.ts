import { OperatorError } from '../../core/errors.ts';
import { parseSlug } from '../../core/names.ts';

/** The path of a preview in the API. Throws BAD_REQUEST for what cannot be a name: nothing unchecked becomes part of a request. */
export function previewPath(slug: string | undefined): string {
  const name = parseSlug(slug ?? '');
  if (name !== null) return `/previews/${name}`;
  const hint = 'A name has lower-case letters, digits and single hyphens; `preview list` shows those that there are.';
  throw new OperatorError('BAD_REQUEST', `'${(slug ?? '').slice(0, 64)}' cannot be the name of a preview.`, { hint });
}
