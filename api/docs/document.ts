/** The OpenAPI 3.1 document: the schemas and routes that the handlers themselves use, so that it cannot say anything else. */
import type { Router } from '../route.ts'

export type OpenApiDocument = ReturnType<Router['getOpenAPI31Document']>

const about = `Browsers, desktops and jobs in your own clusters behind one HTTP API.

Send a token as \`Authorization: Bearer vnc-sk-proj-…\`. Errors are \`application/problem+json\` with a stable \`code\`; \`errors\` points at
what is wrong. Every POST takes an \`Idempotency-Key\`: repeating it answers the same, with \`Idempotent-Replayed: true\`. Lists are newest first;
pass \`next_cursor\` as \`cursor\` for more. WebSocket routes are marked \`WebSocket:\`; programs authenticate them with the same header, browsers
with a ticket as the subprotocols \`binary, ticket.<value>\`.`

export function openApiDocument(app: Router, info: { version: string; origin: string }): OpenApiDocument {
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'Porthole', version: info.version, description: about, license: { name: 'MIT' } },
    servers: [{ url: info.origin }],
  })
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
