/** Holds requests and answers of the stand-in GitHub against GitHub's own description of its API (see scripts/trim-github-openapi.ts). */
import { Ajv, type AnySchema, type ErrorObject, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import { readFileSync } from 'node:fs';

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: { readonly type?: string };
  readonly 'x-multi-segment'?: boolean;
}
interface Reference {
  readonly $ref: string;
}
interface Content {
  readonly content?: Readonly<Record<string, { readonly schema: AnySchema }>>;
}
interface OperationDescription {
  readonly operationId: string;
  readonly parameters?: readonly (Parameter | Reference)[];
  readonly requestBody?: Content & { readonly required?: boolean };
  readonly responses: Readonly<Record<string, Content | Reference>>;
}
interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationDescription>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** An operation of GitHub's API with what a request gave for its path parameters. */
export interface Operation {
  /** `pulls/get` */
  readonly id: string;
  readonly template: string;
  readonly method: string;
  readonly parameters: Readonly<Record<string, string>>;
}

export interface CheckedRequest {
  readonly operation: Operation;
  readonly query: URLSearchParams;
  readonly body: unknown;
}

const SCHEMA_ID = 'github';

export class OpenApiCheck {
  private readonly description: Description;
  private readonly ajv: Ajv;
  private readonly compiled = new Map<AnySchema, ValidateFunction>();
  private readonly routes: readonly { template: string; method: string; pattern: RegExp; names: readonly string[] }[];

  constructor(file: string) {
    this.description = JSON.parse(readFileSync(file, 'utf8'), asItIs) as Description;
    this.ajv = new Ajv({ strict: false, allErrors: false, validateFormats: true });
    addFormats.default(this.ajv);
    this.ajv.addSchema({ $id: SCHEMA_ID, components: this.description.components });
    this.routes = Object.entries(this.description.paths).flatMap(([template, methods]) =>
      Object.keys(methods).map((method) => ({ template, method, ...this.patternOf(template, method) })),
    );
  }

  /** The operation that a request calls, or null when GitHub has none such in the part that we know. */
  match(method: string, path: string): Operation | null {
    for (const route of this.routes) {
      if (route.method !== method.toLowerCase()) continue;
      const found = route.pattern.exec(path);
      if (found === null) continue;
      const parameters = Object.fromEntries(route.names.map((name, at) => [name, decoded(found[at + 1] ?? '')]));
      return { id: this.operation(route).operationId, template: route.template, method: route.method, parameters };
    }
    return null;
  }

  /** What is wrong with a request, in words; empty when nothing is. */
  problemsOfRequest(request: CheckedRequest): string[] {
    const operation = this.operation(request.operation);
    const problems: string[] = [];
    const declared = (operation.parameters ?? []).map((each) => this.resolved<Parameter>(each));
    for (const [name, text] of Object.entries(request.operation.parameters)) {
      const parameter = declared.find((each) => each.in === 'path' && each.name === name);
      if (parameter !== undefined)
        problems.push(...this.problemsOf(parameter.schema, typed(text, parameter), `path ${name}`));
    }
    for (const name of new Set(request.query.keys())) {
      const parameter = declared.find((each) => each.in === 'query' && each.name === name);
      const values = request.query.getAll(name);
      if (parameter === undefined) problems.push(`query ${name}: GitHub has no such parameter`);
      else if (values.length > 1) problems.push(`query ${name}: given twice`);
      else problems.push(...this.problemsOf(parameter.schema, typed(values[0] ?? '', parameter), `query ${name}`));
    }
    for (const parameter of declared) {
      if (parameter.in === 'query' && parameter.required === true && !request.query.has(parameter.name)) {
        problems.push(`query ${parameter.name}: is missing`);
      }
    }
    return [...problems, ...this.problemsOfBody(operation, request.body)];
  }

  /** What is wrong with an answer of ours; the stand-in has to be as complete as the real one. */
  problemsOfAnswer(operation: Operation, status: number, body: unknown): string[] {
    const described = this.operation(operation).responses[String(status)];
    // Errors that GitHub can always give (401, 429, 5xx) are not listed with each operation.
    if (described === undefined) return status < 400 ? [`answer: GitHub never answers ${status} here`] : [];
    const schema = this.resolved<Content>(described).content?.['application/json']?.schema;
    return schema === undefined || body === undefined ? [] : this.problemsOf(schema, body, 'answer');
  }

  private problemsOfBody(operation: OperationDescription, body: unknown): string[] {
    const schema = operation.requestBody?.content?.['application/json']?.schema;
    if (schema === undefined) return body === undefined ? [] : ['body: GitHub expects none'];
    if (body === undefined) return operation.requestBody?.required === true ? ['body: is missing'] : [];
    const known =
      typeof schema === 'object' && 'properties' in schema ? Object.keys(schema['properties'] as object) : null;
    const unknown =
      known === null || typeof body !== 'object' ? [] : Object.keys(body ?? {}).filter((key) => !known.includes(key));
    return [
      ...unknown.map((key) => `body ${key}: GitHub has no such member`),
      ...this.problemsOf(schema, body, 'body'),
    ];
  }

  private problemsOf(schema: AnySchema, value: unknown, what: string): string[] {
    let validate = this.compiled.get(schema);
    if (validate === undefined) {
      validate = this.ajv.compile(withAbsoluteReferences(schema));
      this.compiled.set(schema, validate);
    }
    return validate(value)
      ? []
      : (validate.errors ?? []).map((error: ErrorObject) => `${what}${error.instancePath}: ${error.message}`);
  }

  private operation({ template, method }: { template: string; method: string }): OperationDescription {
    const operation = this.description.paths[template]?.[method];
    if (operation === undefined) throw new Error(`no ${method} ${template} in the description`);
    return operation;
  }

  private resolved<T>(value: T | Reference): T {
    if (typeof value !== 'object' || value === null || !('$ref' in value)) return value;
    const [, , kind = '', name = ''] = value.$ref.split('/');
    return this.description.components[kind]?.[name] as T;
  }

  private patternOf(template: string, method: string): { pattern: RegExp; names: string[] } {
    const declared = (this.operation({ template, method }).parameters ?? []).map((each) =>
      this.resolved<Parameter>(each),
    );
    const names: string[] = [];
    const source = template.replace(/\{([a-z_]+)\}/g, (_whole, name: string) => {
      names.push(name);
      return declared.find((each) => each.name === name)?.['x-multi-segment'] === true ? '(.+)' : '([^/]+)';
    });
    return { pattern: new RegExp(`^${source}$`), names };
  }
}

/**
 * The description in words that JSON Schema has too (OpenAPI 3.0's `nullable` beside `anyOf` and the like), and as GitHub really is: the
 * repository of a pull request's head is null once a fork was deleted, whatever the description says.
 */
function asItIs(key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (key === 'head' && 'properties' in value) {
    const properties = value.properties as Record<string, unknown>;
    return {
      ...value,
      properties: { ...properties, repo: orNull(properties['repo']), user: orNull(properties['user']) },
    };
  }
  if (!('nullable' in value) || 'type' in value || typeof value.nullable !== 'boolean') return value;
  const { nullable, ...schema } = value;
  return nullable ? orNull(schema) : schema;
}

function orNull(schema: unknown): object {
  return { anyOf: [schema, { type: 'null' }] };
}

/** `#/components/…` means the description, wherever in it the schema stood. */
function withAbsoluteReferences(schema: AnySchema): AnySchema {
  return JSON.parse(JSON.stringify(schema).replaceAll('"$ref":"#/', `"$ref":"${SCHEMA_ID}#/`)) as AnySchema;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A path segment or query value as the type that the description gives it. */
function typed(text: string, parameter: Parameter): unknown {
  const { type } = parameter.schema;
  if ((type === 'integer' || type === 'number') && /^-?[0-9]+(\.[0-9]+)?$/.test(text)) return Number(text);
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}
