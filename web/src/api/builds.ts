/** What builds need: logins of registries, secrets by name, files, hooks of git servers, a look at a repository. Values only go in. */
import type {
  InspectCreate,
  Inspection,
  List,
  Registry,
  RegistryCreate,
  RegistryTest,
  Secret,
  SecretCreate,
  Upload,
  Webhook,
  WebhookCreate,
  WebhookPatch,
  WebhookWithSecret,
} from './contract.ts'
import type { Http } from './http.ts'

export function buildCalls({ json, maybe }: Http) {
  const registry = (id: string, rest = '') => `/v1/registries/${encodeURIComponent(id)}${rest}`
  return {
    registries: (cursor: string | null, signal: AbortSignal) =>
      json<List<Registry>>('/v1/registries', { query: { cursor, limit: 100 }, signal }),
    putRegistry: (body: RegistryCreate) => json<Registry>('/v1/registries', { method: 'POST', body }),
    deleteRegistry: (id: string) => maybe(registry(id), { method: 'DELETE' }),
    testRegistry: (id: string, signal: AbortSignal) =>
      json<RegistryTest>(registry(id, '/test'), { method: 'POST', headers: { prefer: 'wait=45' }, signal }),

    secrets: (cursor: string | null, signal: AbortSignal) =>
      json<List<Secret>>('/v1/secrets', { query: { cursor, limit: 100 }, signal }),
    putSecret: (body: SecretCreate) => json<Secret>('/v1/secrets', { method: 'POST', body }),
    deleteSecret: (id: string) => maybe(`/v1/secrets/${encodeURIComponent(id)}`, { method: 'DELETE' }),

    webhooks: (cursor: string | null, signal: AbortSignal) =>
      json<List<Webhook>>('/v1/webhooks', { query: { cursor, limit: 100 }, signal }),
    createWebhook: (body: WebhookCreate) => json<WebhookWithSecret>('/v1/webhooks', { method: 'POST', body }),
    changeWebhook: (id: string, body: WebhookPatch) =>
      json<Webhook>(`/v1/webhooks/${encodeURIComponent(id)}`, { method: 'PATCH', body }),
    deleteWebhook: (id: string) => maybe(`/v1/webhooks/${encodeURIComponent(id)}`, { method: 'DELETE' }),

    sendUpload: (name: string, archive: Blob, signal: AbortSignal) =>
      json<Upload>(`/v1/uploads/${encodeURIComponent(name)}`, {
        method: 'PUT',
        raw: archive,
        headers: { 'content-type': 'application/gzip' },
        signal,
      }),

    inspectSource: (body: InspectCreate, signal: AbortSignal) =>
      json<Inspection>('/v1/jobs/inspect', { method: 'POST', body, headers: { prefer: 'wait=45' }, signal }),
  }
}
