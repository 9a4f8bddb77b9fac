/** Pools, registries, secrets and webhooks of the puppet API. What goes in as a secret is remembered here and never answered. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Inspection, Pool, Registry, RegistryTest, Secret, Webhook } from '../src/api/contract.ts'
import { type Body, empty, json, list, pageOf, problem } from './answers.ts'
import { samplePools, sampleRegistries, sampleSecrets, sampleWebhooks } from './sample-builds.ts'

export interface BuildsState {
  pools: Map<string, Pool>
  registries: Map<string, Registry>
  secrets: Map<string, Secret>
  webhooks: Map<string, Webhook>
  /** Passwords and values by host or name. */
  kept: Map<string, string>
  /** What the next look at a repository, and the next trial of a login, come to. */
  inspection: Partial<Inspection>
  trial: Partial<RegistryTest>
}

const byId = <T extends { id: string }>(all: readonly T[]) => new Map(all.map(one => [one.id, one]))

export function sampleBuilds(now: number): BuildsState {
  return {
    pools: byId(samplePools(now)),
    registries: byId(sampleRegistries(now)),
    secrets: byId(sampleSecrets(now)),
    webhooks: byId(sampleWebhooks(now)),
    kept: new Map(),
    inspection: {
      commit: '3f2a91c07d0b5a4f6e1c2d3b4a5f60718293a4b5',
      default_branch: 'main',
      branches: ['main', 'release/1.4', 'try-webkit'],
      dockerfile: {
        path: 'Dockerfile',
        args: [
          { name: 'NODE_VERSION', default: '24' },
          { name: 'COMMIT', default: null },
        ],
        stages: ['deps', 'build', 'runtime'],
      },
    },
    trial: { ok: true, detail: 'The registry let robot-builds in.' },
  }
}

export const madeSecret = 'k3Qp8Zt0W1nXk7Yb2LmP5RsVc9f3kA6dH4jG1tUe'

export type FakeBuilds = ReturnType<typeof fakeBuilds>

export function fakeBuilds(state: BuildsState, nextId: (prefix: string) => string) {
  const now = () => new Date().toISOString()
  const text = (value: unknown) => (typeof value === 'string' ? value : '')

  function remove(map: Map<string, unknown>, id: string, response: ServerResponse): unknown {
    return map.delete(id) ? empty(response) : problem(response, 404, 'not_found')
  }

  function pools(method: string, id: string, body: Body, response: ServerResponse): unknown {
    if (!id && method === 'GET') return json(response, 200, list([...state.pools.values()]))
    if (method === 'DELETE') return remove(state.pools, id, response)
    const model = id ? state.pools.get(id) : [...state.pools.values()][0]
    if (id && !model) return problem(response, 404, 'not_found')
    if (body.size === 13) {
      const detail = 'eu-west has 12 places.'
      return problem(response, 422, 'invalid', { detail, errors: [{ pointer: '/size', detail }] })
    }
    const fresh = {
      id: nextId('pol'),
      ready: 0,
      starting: 1,
      hits: 0,
      misses: 0,
      last_asked_at: null,
      created_at: now(),
      overrides: {},
    }
    const made = { ...samplePools(Date.now())[0], ...(id ? model : fresh), ...body } as Pool
    state.pools.set(made.id, made)
    return json(response, id ? 200 : 201, made)
  }

  function registries(method: string, id: string, verb: string, url: URL, body: Body, response: ServerResponse): unknown {
    if (!id && method === 'GET') return json(response, 200, pageOf([...state.registries.values()], url))
    if (method === 'DELETE') return remove(state.registries, id, response)
    if (verb === 'test')
      return json(response, 200, { object: 'registry_test', job: 'job_01run', ok: null, detail: '', ...state.trial })
    const host = text(body.host)
    if (!/^[a-z0-9.-]+(:\d+)?$/.test(host)) {
      const detail = 'Must be a host such as registry.example.com.'
      return problem(response, 422, 'invalid', { detail, errors: [{ pointer: '/host', detail }] })
    }
    const known = [...state.registries.values()].find(one => one.host === host)
    const made: Registry = {
      id: known?.id ?? nextId('reg'),
      object: 'registry',
      project: 'prj_01main',
      host,
      username: text(body.username),
      insecure: body.insecure === true,
      created_at: known?.created_at ?? now(),
      updated_at: now(),
    }
    state.kept.set(host, text(body.password))
    state.registries.set(made.id, made)
    return json(response, known ? 200 : 201, made)
  }

  function secrets(method: string, id: string, url: URL, body: Body, response: ServerResponse): unknown {
    if (!id && method === 'GET') return json(response, 200, pageOf([...state.secrets.values()], url))
    if (method === 'DELETE') return remove(state.secrets, id, response)
    const name = text(body.name)
    const known = [...state.secrets.values()].find(one => one.name === name)
    const made: Secret = {
      id: known?.id ?? nextId('sec'),
      object: 'secret',
      project: 'prj_01main',
      name,
      created_at: known?.created_at ?? now(),
      updated_at: now(),
    }
    state.kept.set(name, text(body.value))
    state.secrets.set(made.id, made)
    return json(response, known ? 200 : 201, made)
  }

  function webhooks(request: IncomingMessage, id: string, url: URL, body: Body, response: ServerResponse): unknown {
    if (!id && request.method === 'GET') return json(response, 200, pageOf([...state.webhooks.values()], url))
    if (request.method === 'DELETE') return remove(state.webhooks, id, response)
    const known = state.webhooks.get(id)
    if (request.method === 'PATCH' && known) {
      state.webhooks.set(id, { ...known, ...body })
      return json(response, 200, state.webhooks.get(id))
    }
    const git = (body.build as Body | undefined)?.git as Body | undefined
    if (!/^https?:/.test(text(git?.url))) {
      const detail = 'Must be an http: or https: address.'
      return problem(response, 422, 'invalid', { detail, errors: [{ pointer: '/build/git/url', detail }] })
    }
    const made: Webhook = {
      ...(body as Pick<Webhook, 'provider' | 'branches' | 'build'>),
      id: nextId('hok'),
      object: 'webhook',
      name: text(body.name) || null,
      enabled: true,
      project: 'prj_01main',
      deploy: (body.deploy as Webhook['deploy'] | undefined) ?? null,
      url: '',
      created_at: now(),
      last_delivery_at: null,
    }
    made.url = `http://${request.headers.host}/v1/hooks/${made.id}`
    state.webhooks.set(made.id, made)
    return json(response, 201, { ...made, secret: text(body.secret) || madeSecret })
  }

  function inspect(response: ServerResponse): unknown {
    const nothing = { commit: null, default_branch: null, branches: [], dockerfile: null }
    const found = { object: 'inspection', job: 'job_01run', status: 'succeeded', detail: null, ...nothing, ...state.inspection }
    return json(response, 200, found)
  }

  return { pools, registries, secrets, webhooks, inspect }
}
