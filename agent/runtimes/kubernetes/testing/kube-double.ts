/**
 * An API server over HTTP that keeps objects in memory and fails on command: lists, watches with history, preconditions, merge patches, conflicts.
 * `kube-contract.ts` holds it to what the real one does; `fail…`, `silence`, `forgetHistory` and `cutWatches` are what the real one only does at night.
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { KubeConfig } from '@kubernetes/client-node'
import type { KubeObject } from '../wire.ts'
import { fits, merged, type StoredObject, WatchHub } from './watch-hub.ts'

export interface Fault {
  /** `GET /api/v1/namespaces/a/pods?watch=true` is matched against it. */
  on: RegExp
  times?: number
  status?: number
  reason?: string
  message?: string
  retryAfter?: number
  /** Does what was asked, then answers with the fault all the same: the answer that got lost. */
  after?: boolean
  /** Never answers. */
  hang?: boolean
}

export class KubeDouble {
  readonly requests: string[] = []
  readonly deletes: { path: string; graceSeconds: number | undefined }[] = []
  readonly watches = new WatchHub()
  /** What containers have written, by `pod/container`, and who follows it. */
  private readonly output = new Map<string, { text: string; followers: Set<ServerResponse> }>()
  private readonly objects = new Map<string, StoredObject>()
  private readonly server: Server
  private readonly arrivals = new Set<{ on: RegExp; arrived: () => void }>()
  private faults: (Fault & { left: number })[] = []

  private constructor() {
    this.server = createServer((request, response) => {
      this.handle(request, response).catch(error => answer(response, 500, status(500, 'InternalError', (error as Error).message)))
    })
  }

  static async start(): Promise<KubeDouble> {
    const double = new KubeDouble()
    double.server.listen(0, '127.0.0.1')
    await once(double.server, 'listening')
    return double
  }

  get config(): KubeConfig {
    const config = new KubeConfig()
    const server = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
    config.loadFromClusterAndUser({ name: 'double', server, skipTLSVerify: true }, { name: 'agent', token: 'token' })
    return config
  }

  async close(): Promise<void> {
    this.watches.cut()
    this.server.closeAllConnections()
    await new Promise(resolve => this.server.close(resolve))
  }

  fail(fault: Fault): void {
    this.faults.push({ ...fault, left: fault.times ?? 1 })
  }

  heal(): void {
    this.faults = []
  }

  /** Resolves when the next request like this arrives. */
  arrival(on: RegExp): Promise<void> {
    return new Promise(arrived => this.arrivals.add({ on, arrived }))
  }

  /** Somebody else (kubelet, scheduler, a person) writes: `collection` is the path without the name. */
  put(collection: string, object: KubeObject): StoredObject {
    const { name } = object.metadata!
    const key = `${collection}/${name}`
    const before = this.objects.get(key)
    const metadata = {
      ...object.metadata,
      name: name!,
      namespace: /namespaces\/([^/]+)/.exec(collection)?.[1] ?? '',
      uid: before?.metadata.uid ?? randomUUID(),
      creationTimestamp: before?.metadata.creationTimestamp ?? object.metadata?.creationTimestamp ?? stamp(),
      resourceVersion: this.watches.next(),
    }
    const stored: StoredObject = { ...object, metadata }
    this.objects.set(key, stored)
    this.watches.tell(collection, before ? 'MODIFIED' : 'ADDED', stored)
    return stored
  }

  get(collection: string, name: string): StoredObject | undefined {
    return this.objects.get(`${collection}/${name}`)
  }

  /** As a merge patch by somebody else. */
  change(collection: string, name: string, patch: object): StoredObject {
    return this.put(collection, merged(this.get(collection, name)!, patch) as StoredObject)
  }

  remove(collection: string, name: string): void {
    const there = this.get(collection, name)
    if (!there) return
    this.objects.delete(`${collection}/${name}`)
    const last = { ...there, metadata: { ...there.metadata, resourceVersion: this.watches.next() } }
    this.watches.tell(collection, 'DELETED', last)
  }

  /** A container (`pod/container`) writes. */
  write(stream: string, text: string): void {
    const output = this.output.get(stream) ?? { text: '', followers: new Set() }
    this.output.set(stream, { ...output, text: output.text + text })
    for (const follower of output.followers) follower.write(text)
  }

  followersOf(stream: string): number {
    return this.output.get(stream)?.followers.size ?? 0
  }

  names(collection: string): string[] {
    return [...this.objects.keys()].filter(key => key.startsWith(`${collection}/`)).map(key => key.slice(collection.length + 1))
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, 'http://double')
    const line = `${request.method} ${decodeURIComponent(request.url!)}`
    this.requests.push(line)
    for (const waiting of [...this.arrivals]) if (waiting.on.test(line) && this.arrivals.delete(waiting)) waiting.arrived()
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = chunks.length > 0 ? (JSON.parse(Buffer.concat(chunks).toString()) as KubeObject) : undefined
    const fault = this.faults.find(each => each.left > 0 && each.on.test(line))
    if (fault) {
      fault.left--
      if (fault.hang) return
      if (fault.after) this.act(request.method!, url, body)
      const { status: code = 500, reason = '', message = 'by order of the test', retryAfter } = fault
      return answer(response, code, status(code, reason, message), retryAfter)
    }
    const output = this.output.get(`${/\/pods\/([^/]+)\/log$/.exec(url.pathname)?.[1]}/${url.searchParams.get('container')}`)
    if (output) return this.tellOutput(output, url.searchParams, response)
    const { collection } = addressed(url.pathname)
    if (collection && url.searchParams.get('watch') === 'true') this.watches.open(collection, url.searchParams, response)
    else answer(response, ...this.act(request.method!, url, body))
  }

  private tellOutput(
    { text, followers }: { text: string; followers: Set<ServerResponse> },
    query: URLSearchParams,
    response: ServerResponse,
  ) {
    const tail = Number(query.get('tailLines') ?? Number.POSITIVE_INFINITY)
    response.writeHead(200, { 'content-type': 'text/plain' })
    response.write(
      text
        .split(/(?<=\n)/)
        .slice(-tail)
        .join(''),
    )
    if (query.get('follow') !== 'true') return void response.end()
    followers.add(response)
    response.on('close', () => followers.delete(response))
  }

  private act(method: string, { pathname: path, searchParams }: URL, body: KubeObject | undefined): [number, object] {
    if (path === '/version') return [200, { gitVersion: 'v1.34.0-double' }]
    const { collection, name } = addressed(path)
    if (!collection) return [404, status(404, 'NotFound', `no such path ${path}`)]
    if (!name) return method === 'POST' ? this.create(collection, body!) : this.list(collection, searchParams)
    const there = this.get(collection, name)
    if (!there) return [404, status(404, 'NotFound', `${name} not found`)]
    if (method === 'GET') return [200, there]
    if (method === 'DELETE') {
      const { preconditions, gracePeriodSeconds } = (body ?? {}) as {
        preconditions?: { uid?: string }
        gracePeriodSeconds?: number
      }
      if (preconditions?.uid && preconditions.uid !== there.metadata.uid)
        return [409, status(409, 'Conflict', 'Precondition failed: UID in precondition is not the UID in object meta')]
      this.deletes.push({ path, graceSeconds: gracePeriodSeconds })
      this.endOf(collection, there, gracePeriodSeconds)
      return [200, there]
    }
    const { uid, resourceVersion } = body?.metadata ?? {}
    if (uid !== undefined && uid !== there.metadata.uid)
      return [422, status(422, 'Invalid', `metadata.uid: Invalid value: ${uid}: field is immutable`)]
    if (resourceVersion !== undefined && resourceVersion !== there.metadata.resourceVersion)
      return [409, status(409, 'Conflict', 'the object has been modified; please apply your changes to the latest version')]
    return [200, this.put(collection, method === 'PUT' ? body! : (merged(there, body!) as StoredObject))]
  }

  private create(collection: string, body: KubeObject): [number, object] {
    const { name } = body.metadata!
    if (this.get(collection, name!)) return [409, status(409, 'AlreadyExists', `${name} already exists`)]
    return [201, this.put(collection, body)]
  }

  private list(collection: string, query: URLSearchParams): [number, object] {
    const items = this.names(collection)
      .map(name => this.get(collection, name)!)
      .filter(object => fits(object, query))
    return [200, { kind: 'List', metadata: { resourceVersion: this.watches.version }, items }]
  }

  /** A pod on a node goes when its kubelet says so; here that is at once unless the test holds it. */
  private endOf(collection: string, there: StoredObject, graceSeconds: number | undefined): void {
    const held = there.metadata.annotations?.['test/held'] === 'true' && graceSeconds !== 0
    if (held) this.change(collection, there.metadata.name, { metadata: { deletionTimestamp: stamp() } })
    else this.remove(collection, there.metadata.name)
  }
}

function addressed(path: string): { collection?: string; name?: string } {
  const [, collection, name] =
    /^(\/apis?\/.+\/namespaces\/[^/]+\/[a-z]+)(?:\/([^/]+))?$/.exec(path) ??
    /^(\/api\/v1\/[a-z]+)(?:\/([^/]+))?$/.exec(path) ??
    []
  return { ...(collection && { collection }), ...(name && { name }) }
}

function status(code: number, reason: string, message: string): object {
  return { kind: 'Status', status: 'Failure', code, reason, message }
}

function answer(response: ServerResponse, code: number, value: object, retryAfter?: number): void {
  response.writeHead(code, {
    'content-type': 'application/json',
    ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
  })
  response.end(JSON.stringify(value))
}

const stamp = () => new Date().toISOString().replace(/\.\d+Z$/, 'Z')
