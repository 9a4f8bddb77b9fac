/** The OpenAPI 3.1 document: the schemas and routes that the handlers themselves use, so that it cannot say anything else. */
import type { Router } from '../route.ts'

export type OpenApiDocument = ReturnType<Router['getOpenAPI31Document']>

const about = `Browsers, desktops and jobs in your own clusters behind one HTTP API.

Send a token as \`Authorization: Bearer vnc-sk-proj-…\`. Errors are \`application/problem+json\` with a stable \`code\`; \`errors\` points at
what is wrong. Every POST takes an \`Idempotency-Key\`: repeating it answers the same, with \`Idempotent-Replayed: true\`. Lists are newest first;
pass \`next_cursor\` as \`cursor\` for more. What is limited tells \`RateLimit-Limit\`, \`RateLimit-Remaining\` and \`RateLimit-Reset\` (seconds); 429 and
503 say \`Retry-After\`; everything has an \`X-Request-Id\`. WebSocket routes are marked \`WebSocket:\`; programs authenticate them with the same header, browsers
with a ticket as the subprotocols \`binary, ticket.<value>\`.`

export function openApiDocument(app: Router, info: { version: string; origin: string }): OpenApiDocument {
  const document = app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'Porthole', version: info.version, description: about, license: { name: 'MIT' } },
    servers: [{ url: info.origin }],
  })
  withoutFlags(document)
  return document
}

/** A pattern of JSON Schema has no flags, it is Unicode's anyway: `^…$/u` as the schemas' regular expressions are printed is another pattern. */
function withoutFlags(part: unknown): void {
  if (typeof part !== 'object' || part === null) return
  for (const [name, inner] of Object.entries(part)) {
    if (name === 'pattern' && typeof inner === 'string') Object.assign(part, { pattern: inner.replace(/\/u$/, '') })
    else withoutFlags(inner)
  }
}

export function registerSecuritySchemes(app: Router): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'vnc-sk-proj-{project}-{user}-{secret}',
    description: 'A token.',
  })
  app.openAPIRegistry.registerComponent('securitySchemes', 'cookie', {
    type: 'apiKey',
    in: 'cookie',
    name: '__Host-porthole',
    description: 'The dashboard’s login. Unsafe methods need an `Origin` of ours.',
  })
}
