/** Tokens, projects and the record of the puppet API. */
import type { ServerResponse } from 'node:http'
import type { AuditRecord, Project, Token } from '../src/api/contract.ts'
import { type Body, empty, json, list, pageOf, problem } from './answers.ts'
import type { FakeState } from './fake-api.ts'

const ended = new Set(['revoked', 'expired'])

export function fakeTenants(state: FakeState, nextId: (prefix: string) => string) {
  function tokens(method: string, id: string, verb: string, url: URL, body: Body, response: ServerResponse): unknown {
    if (!id && method === 'GET') {
      const status = url.searchParams.get('status')
      return json(response, 200, list(state.tokens.filter(one => !status || ended.has(one.status) === (status === 'ended'))))
    }
    const base = state.tokens.find(token => token.id === id) ?? (state.tokens[0] as Token)
    if (method === 'DELETE') {
      state.tokens = state.tokens.map(token =>
        token.id === id ? { ...token, status: 'revoked', revoked_at: new Date().toISOString() } : token,
      )
      return empty(response)
    }
    const made: Token = {
      ...base,
      ...(verb ? {} : body),
      id: nextId('tok'),
      created_at: new Date().toISOString(),
      last_used_at: null,
      status: 'active',
      last4: '9f3k',
    }
    state.tokens = [made, ...state.tokens]
    return json(response, 201, { ...made, token: 'vnc-sk-proj-main-ada-3fJq8Zt0W1nXk7Yb2LmP5RsVc9f3k' })
  }

  function projects(method: string, id: string, url: URL, body: Body, response: ServerResponse): unknown {
    if (!id && method === 'GET') return json(response, 200, list(state.projects))
    const { name, suspended, ...quotas } = body
    if (!id) {
      const model = state.projects[0] as Project
      const made = { ...model, id: nextId('prj'), name: String(name), suspended_at: null, quotas: { ...noQuotas, ...quotas } }
      state.projects = [made as Project, ...state.projects]
      return json(response, 201, made)
    }
    const project = state.projects.find(one => one.id === id)
    if (!project) return problem(response, 404, 'not_found')
    if (method === 'DELETE') {
      if (project.usage.sessions > 0 && url.searchParams.get('force') !== 'true')
        return problem(response, 409, 'conflict', { detail: 'Sessions of this project live.' })
      state.projects = state.projects.filter(one => one.id !== id)
      return empty(response)
    }
    if (quotas.max_cpu === '7') {
      const detail = 'Seven is not lucky here.'
      return problem(response, 422, 'invalid', { detail, errors: [{ pointer: '/max_cpu', detail }] })
    }
    const next: Project = {
      ...project,
      ...(name === undefined ? {} : { name: String(name) }),
      ...(suspended === undefined ? {} : { suspended_at: suspended ? new Date().toISOString() : null }),
      quotas: { ...project.quotas, ...quotas },
    }
    state.projects = state.projects.map(one => (one.id === id ? next : one))
    return json(response, 200, next)
  }

  function audit(url: URL, accept: string, response: ServerResponse): unknown {
    const get = (name: string) => url.searchParams.get(name) ?? ''
    const family = get('action').endsWith('.*') ? get('action').slice(0, -1) : null
    const all = state.audit.filter(
      one =>
        (family !== null ? one.action.startsWith(family) : !get('action') || one.action === get('action')) &&
        (!get('actor') || one.actor.id === get('actor')) &&
        (!get('target') || one.target === get('target')) &&
        (!get('outcome') || one.outcome === get('outcome')) &&
        (!get('since') || one.created_at >= get('since')),
    )
    if (accept.includes('text/csv')) {
      const line = (one: AuditRecord) => `${one.created_at},${one.actor.id},${one.action},${one.target}\r\n`
      response.writeHead(200, { 'content-type': 'text/csv' })
      return response.end(`created_at,actor,action,target\r\n${all.map(line).reverse().join('')}`)
    }
    return json(response, 200, pageOf(all, url))
  }

  return { tokens, projects, audit }
}

const noQuotas = {
  max_sessions: null,
  max_cpu: null,
  max_memory: null,
  max_storage: null,
  max_jobs: null,
  requests_per_minute: null,
  max_streams: null,
  max_sessions_per_user: null,
  max_streams_per_user: null,
}
