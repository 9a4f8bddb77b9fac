/**
 * The API of design.md section 4 as a puppet, for the dashboard's own tests and pictures: state in memory, faults on demand.
 * Never part of the build. What a real API does is proven by the end-to-end tests, not here.
 */

import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'
import type { PNG } from 'pngjs'
import { WebSocketServer } from 'ws'
import type {
  AuditRecord,
  Cluster,
  Job,
  Link,
  LiveEvent,
  Me,
  Project,
  Session,
  Template,
  Token,
  Volume,
} from '../src/api/contract.ts'
import { type Body, empty, image, json, list, pageOf, problem, readBody } from './answers.ts'
import { type BuildsState, fakeBuilds } from './fake-builds.ts'
import { fakeFiles } from './fake-files.ts'
import { type FakeJobs, fakeJobs } from './fake-jobs.ts'
import { fakeLinks } from './fake-links.ts'
import { fakeTenants } from './fake-tenants.ts'
import { type FakeTerminal, fakeTerminals } from './fake-terminals.ts'
import { fakeViewers } from './fake-viewers.ts'
import { fakeVolumes } from './fake-volumes.ts'
import { plainPicture, type RfbDouble, serveRfb } from './rfb-double.ts'
import { pendingCluster } from './sample-state.ts'

export interface FakeState {
  me: Me
  sessions: Map<string, Session>
  clusters: Map<string, Cluster>
  templates: Template[]
  tokens: Token[]
  projects: Project[]
  audit: AuditRecord[]
  pictures: Map<string, PNG>
  logs: Map<string, string>
  volumes: Map<string, Volume>
  jobs: Map<string, Job>
  jobLogs: Map<string, string>
  /** What was uploaded, by volume. */
  archives: Map<string, Buffer>
  /** By secret. */
  links: Map<string, Link>
  builds: BuildsState
  /** Of all sessions, by path below home; folders end with `/`. */
  files: Map<string, Buffer>
}

export interface FakeApi {
  url: string
  state: FakeState
  secret: string
  /** Changes a session (or cluster) and tells of it, as the API would. */
  tellSession: (session: Session, type?: string) => void
  tellCluster: (cluster: Cluster) => void
  jobs: Pick<FakeJobs, 'tellJob' | 'write' | 'cut'>
  /** Screens that are open now, by session. */
  screens: Map<
    string,
    {
      rfb: RfbDouble
      viewer: string
      role: string
      link: string | null
      asked_at: string | null
      close: (code: number, reason: string) => void
    }[]
  >
  terminals: { all: Map<string, FakeTerminal>; make: (session: string) => FakeTerminal }
  /** Requests by `METHOD path`, in order. */
  calls: string[]
  /** Answers with this instead: `GET /v1/sessions` -> 500. */
  faults: Map<string, { status: number; body?: object } | 'hang'>
  /** Ends every event stream and refuses new ones until `false`. */
  cut: (on: boolean) => void
  close: () => Promise<void>
}

interface Stream {
  response: ServerResponse
}

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}

/** The strictest policy the dashboard has to live with. */
export const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

export async function startFakeApi(state: FakeState, dist: string, port = 0): Promise<FakeApi> {
  const secret = 'vnc-sk-test-ada-0123456789'
  const streams = new Set<Stream>()
  const tickets = new Map<string, { session: string; role: string; link?: string }>()
  const screens: FakeApi['screens'] = new Map()
  const calls: string[] = []
  const faults: FakeApi['faults'] = new Map()
  const told: LiveEvent[] = []
  let isCut = false
  let counter = 0
  const nextId = (prefix: string) => `${prefix}_${Date.now().toString(36)}${String(++counter).padStart(6, '0')}`

  const jobs = fakeJobs({ state, nextId, tell: (type, more) => tell(type, more) })
  const tenants = fakeTenants(state, nextId)
  const volumes = fakeVolumes(state, nextId)
  const viewers = fakeViewers({ state, screens, tellSession: session => tellSession(session) })
  const terminals = fakeTerminals(tickets, nextId)
  const files = fakeFiles(state)
  const builds = fakeBuilds(state.builds, nextId)
  const links = fakeLinks({ state, screens, tickets, nextId, tell: (type, more) => tell(type, more) })

  function tell(type: string, more: Partial<LiveEvent>): void {
    const event: LiveEvent = { id: nextId('evt'), object: 'event', type, created_at: new Date().toISOString(), ...more }
    told.push(event)
    for (const stream of streams) write(stream, event)
  }
  function write(stream: Stream, event: LiveEvent): void {
    stream.response.write(`id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
  }
  function tellSession(session: Session, type = 'session.updated'): void {
    if (type === 'session.deleted') state.sessions.delete(session.id)
    else state.sessions.set(session.id, session)
    tell(type, { session, session_id: session.id })
  }
  function tellCluster(cluster: Cluster): void {
    state.clusters.set(cluster.id, cluster)
    tell('cluster.updated', { cluster })
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const url = new URL(request.url ?? '/', 'http://x')
    const call = `${request.method} ${url.pathname}`
    if (!url.pathname.startsWith('/v1/')) return asset(url.pathname, response)
    calls.push(call)
    const fault = faults.get(call)
    if (fault === 'hang') return
    if (fault) return problem(response, fault.status, 'fault', fault.body)
    const [, , kind = '', id = '', verb = '', part = ''] = url.pathname.split('/')
    // An archive is no JSON.
    if (kind === 'volumes' && /porthole=yes/.test(request.headers.cookie ?? '')) return volumes(request, id, verb, response)
    if (kind === 'sessions' && verb === 'files' && /porthole=yes/.test(request.headers.cookie ?? ''))
      return files(request, id, url.pathname, response)
    const body = await readBody(request)
    if (url.pathname === '/v1/auth/login') {
      if (body.token !== secret) return problem(response, 401, 'unauthorized')
      response.setHeader('set-cookie', 'porthole=yes; HttpOnly; SameSite=Strict; Path=/')
      return json(response, 200, state.me)
    }
    if (kind === 'links') return links.opened(id, body, response)
    if (!/porthole=yes/.test(request.headers.cookie ?? '')) return problem(response, 401, 'unauthorized')
    if (request.method !== 'GET' && request.headers.origin !== `http://${request.headers.host}`)
      return problem(response, 403, 'forbidden')
    if (kind === 'auth') {
      response.setHeader('set-cookie', 'porthole=; Max-Age=0; Path=/')
      return empty(response)
    }
    if (kind === 'me') return json(response, 200, state.me)
    if (kind === 'events') return events(request, response)
    if (kind === 'templates') return json(response, 200, list(state.templates))
    if (kind === 'sessions' && (verb === 'viewers' || verb === 'control')) return viewers(id, verb, body, response)
    if (kind === 'sessions' && verb === 'links') return links.owned(request.method ?? 'GET', id, part, body, response)
    if (kind === 'sessions') return sessions(request.method ?? 'GET', id, verb, url, body, response)
    if (kind === 'terminals') return terminals.answer(request.method ?? 'GET', id, verb, url, body, response)
    if (kind === 'clusters') return clusters(request.method ?? 'GET', id, verb, body, response)
    if (kind === 'tokens') return tenants.tokens(request.method ?? 'GET', id, verb, url, body, response)
    if (kind === 'jobs' && id === 'inspect') return builds.inspect(response)
    if (kind === 'pools') return builds.pools(request.method ?? 'GET', id, body, response)
    if (kind === 'registries') return builds.registries(request.method ?? 'GET', id, verb, url, body, response)
    if (kind === 'secrets') return builds.secrets(request.method ?? 'GET', id, url, body, response)
    if (kind === 'webhooks') return builds.webhooks(request, id, url, body, response)
    if (kind === 'jobs') return jobs.answer(request, url, id, verb, body, response)
    if (kind === 'projects') return tenants.projects(request.method ?? 'GET', id, url, body, response)
    if (kind === 'audit') return tenants.audit(url, request.headers.accept ?? '', response)
    return problem(response, 404, 'not_found')
  }

  function events(request: IncomingMessage, response: ServerResponse): unknown {
    if (isCut) return void response.destroy()
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    const stream = { response }
    response.write(': hello\n\n')
    const last = request.headers['last-event-id']
    if (last) for (const event of told.filter(one => one.id > last)) write(stream, event)
    streams.add(stream)
    response.on('close', () => streams.delete(stream))
  }

  function sessions(method: string, id: string, verb: string, url: URL, body: Body, response: ServerResponse): unknown {
    if (!id && method === 'GET') {
      const status = url.searchParams.get('status')
      const ended = ['stopped', 'failed', 'expired']
      const all = [...state.sessions.values()]
        .filter(one => !status || ended.includes(one.status) === (status === 'ended'))
        .filter(one => !url.searchParams.get('template') || one.template === url.searchParams.get('template'))
        .filter(one => !url.searchParams.get('cluster') || one.cluster === url.searchParams.get('cluster'))
        .sort((a, b) => (a.created_at < b.created_at ? 1 : -1))
      return json(response, 200, pageOf(all, url))
    }
    if (!id && method === 'POST') {
      if (typeof body.start_url === 'string' && /^(file|javascript):/.test(body.start_url)) {
        const detail = 'Must be an http:, https: or data: URL, or about:blank.'
        return problem(response, 422, 'invalid', { detail, errors: [{ pointer: '#/start_url', detail }] })
      }
      const first = [...state.sessions.values()][0]
      const made = {
        ...first,
        ...body,
        id: nextId('ses'),
        status: 'starting',
        status_reason: null,
        created_at: new Date().toISOString(),
      } as unknown as Session
      tellSession(
        { ...made, name: (body.name as string) ?? null, phases: [{ phase: 'created', at: made.created_at }] },
        'session.created',
      )
      return json(response, 201, state.sessions.get(made.id))
    }
    const session = state.sessions.get(id)
    if (!session) return problem(response, 404, 'not_found', { detail: 'No such session.' })
    if (method === 'DELETE') {
      tellSession(session, 'session.deleted')
      return empty(response)
    }
    if (!verb) return json(response, 200, session)
    if (verb === 'screenshot') return image(response, state.pictures.get(id) ?? plainPicture(320, 180, [30, 40, 50]))
    if (verb === 'tickets') {
      const ticket = nextId('tic')
      tickets.set(ticket, { session: id, role: String(body.role ?? 'control') })
      return json(response, 201, {
        ticket,
        viewer: `str_${ticket}`,
        url: `/v1/sessions/${id}/vnc`,
        expires_at: new Date(Date.now() + 30_000).toISOString(),
      })
    }
    if (verb === 'logs') {
      response.writeHead(200, { 'content-type': 'text/plain' })
      response.write(state.logs.get(id) ?? '')
      if (url.searchParams.get('follow') !== 'true') response.end()
      return
    }
    if (verb === 'events') return json(response, 200, list(told.filter(event => event.session_id === id)))
    if (verb === 'touch') {
      const expires = new Date(Date.now() + (session.ttl_seconds ?? 3600) * 1000).toISOString()
      tellSession({ ...session, expires_at: expires })
    }
    if (verb === 'stop')
      tellSession({ ...session, status: 'stopped', ended_at: new Date().toISOString(), termination_reason: 'requested' })
    if (verb === 'start' && ['failed', 'expired'].includes(session.status)) return problem(response, 409, 'conflict')
    if (verb === 'start')
      tellSession({ ...session, status: 'starting', ended_at: null, generation: session.generation + 1, phases: [] })
    if (verb === 'restart') tellSession({ ...session, status: 'starting', generation: session.generation + 1, phases: [] })
    return json(response, 200, state.sessions.get(id))
  }

  function clusters(method: string, id: string, verb: string, body: Body, response: ServerResponse): unknown {
    const helm =
      'helm upgrade --install porthole-agent deploy/helm/porthole-agent \
  --namespace porthole-system --create-namespace \
  --set api.url=https://porthole.example \
  --set joinToken=vnc-join-7k2m9q4x8z1c5v0b'
    const enrollment = {
      token: 'vnc-join-x',
      commands: {
        kubernetes: helm,
        local: "npx porthole-agent --url https://porthole.example --join-token 'vnc-join-7k2m9q4x8z1c5v0b'",
      },
      expires_at: new Date(Date.now() + 3_600_000).toISOString(),
      command: helm,
    }
    if (!id && method === 'GET') return json(response, 200, list([...state.clusters.values()]))
    if (!id) {
      const made = pendingCluster(nextId('clu'), String(body.name), new Date().toISOString())
      if ([...state.clusters.values()].some(one => one.name === made.name))
        return problem(response, 409, 'conflict', { detail: 'A cluster of this name is already there.' })
      tellCluster(made)
      return json(response, 201, { ...made, enrollment })
    }
    const cluster = state.clusters.get(id)
    if (!cluster) return problem(response, 404, 'not_found')
    if (method === 'DELETE') {
      state.clusters.delete(id)
      tell('cluster.deleted', { cluster })
      return empty(response)
    }
    if (verb === 'enroll') return json(response, 200, { ...cluster, enrollment })
    tellCluster({
      ...cluster,
      scheduling: verb === 'drain' ? 'draining' : ((body.scheduling as Cluster['scheduling']) ?? 'open'),
    })
    return json(response, 200, state.clusters.get(id))
  }

  async function asset(path: string, response: ServerResponse): Promise<void> {
    const file = normalize(path).replace(/^(\.\.[/\\])+/, '')
    const wanted = extname(file) ? file : '/index.html'
    try {
      const bytes = await readFile(join(dist, wanted))
      response.writeHead(200, {
        'content-type': types[extname(wanted)] ?? 'application/octet-stream',
        'content-security-policy': policy,
      })
      response.end(bytes)
    } catch {
      response.writeHead(404).end()
    }
  }

  const server: Server = createServer((request, response) => {
    handle(request, response).catch(error => problem(response, 500, 'internal', { detail: String(error) }))
  })
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: offered => (offered.has('binary') ? 'binary' : false) })
  server.on('upgrade', (request, socket, head) => {
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map(word => word.trim())
    const ticket = offered.find(word => word.startsWith('ticket.'))?.slice(7) ?? ''
    const grant = tickets.get(ticket)
    tickets.delete(ticket)
    calls.push(`WS ${request.url}`)
    const terminal = grant?.role === 'terminal' && !isCut ? terminals.all.get(grant.session) : undefined
    const wanted = new URL(request.url ?? '/', 'http://x')
    if (terminal && wanted.pathname === terminal.view.url) {
      const offset = wanted.searchParams.get('offset')
      return sockets.handleUpgrade(request, socket, head, ws => terminal.serve(ws, offset === null ? null : Number(offset)))
    }
    if (!grant || request.url !== `/v1/sessions/${grant.session}/vnc` || isCut)
      return void socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n')
    sockets.handleUpgrade(request, socket, head, ws => {
      const rfb = serveRfb(ws, state.pictures.get(grant.session) ?? plainPicture(640, 400, [20, 90, 140]), grant.session)
      const open = screens.get(grant.session) ?? []
      const entry = {
        rfb,
        viewer: `str_${ticket}`,
        role: grant.role,
        link: grant.link ?? null,
        asked_at: null,
        close: (code: number, reason: string) => ws.close(code, reason),
      }
      screens.set(grant.session, [...open, entry])
      ws.on('close', () =>
        screens.set(
          grant.session,
          (screens.get(grant.session) ?? []).filter(one => one !== entry),
        ),
      )
    })
  })
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    state,
    secret,
    tellSession,
    tellCluster,
    jobs,
    screens,
    terminals,
    calls,
    faults,
    cut(on) {
      isCut = on
      if (!on) return
      for (const stream of streams) stream.response.destroy()
      for (const client of sockets.clients) client.terminate()
    },
    async close() {
      for (const client of sockets.clients) client.terminate()
      server.closeAllConnections()
      await new Promise<void>(resolve => server.close(() => resolve()))
    },
  }
}
