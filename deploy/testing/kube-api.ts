/** The API server of KUBECONFIG as plain HTTPS, as the administrator or with somebody else's token: for tests of what it answers. */
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { KubeConfig } from '@kubernetes/client-node'
import type { KubeObject } from '../chart.ts'

export interface Answer {
  status: number
  body: Record<string, unknown>
}

const plurals: Record<string, string> = { NetworkPolicy: 'networkpolicies', Ingress: 'ingresses' }

export class KubeApi {
  private readonly server: URL
  private readonly ca: Buffer
  private readonly agent: Agent
  private readonly token: string | null

  constructor(token: string | null = null, kubeconfig = process.env.KUBECONFIG!) {
    const config = new KubeConfig()
    config.loadFromFile(kubeconfig)
    const cluster = config.getCurrentCluster()!
    const user = config.getCurrentUser()!
    const bytes = (data?: string, file?: string) => (data ? Buffer.from(data, 'base64') : file ? readFileSync(file) : undefined)
    this.server = new URL(cluster.server)
    this.ca = bytes(cluster.caData, cluster.caFile)!
    this.token = token ?? user.token ?? null
    const own = token === null ? { cert: bytes(user.certData, user.certFile), key: bytes(user.keyData, user.keyFile) } : {}
    this.agent = new Agent({ keepAlive: true, ca: this.ca, ...own })
  }

  as(token: string): KubeApi {
    return new KubeApi(token)
  }

  close(): void {
    this.agent.destroy()
  }

  impersonate(user: string, path: string): Promise<Answer> {
    return this.ask('GET', path, undefined, undefined, { 'impersonate-user': user })
  }

  ask(
    method: string,
    path: string,
    body?: unknown,
    type = 'application/json',
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          agent: this.agent,
          host: this.server.hostname,
          port: this.server.port || 443,
          method,
          path,
          headers: {
            accept: 'application/json',
            ...headers,
            ...(body !== undefined && { 'content-type': type }),
            ...(this.token && { authorization: `Bearer ${this.token}` }),
          },
          timeout: 20_000,
        },
        answer => {
          let text = ''
          answer.setEncoding('utf8')
          answer.on('data', chunk => (text += chunk))
          answer.on('end', () => resolve({ status: answer.statusCode!, body: parsed(text) }))
        },
      )
      sent.on('timeout', () => sent.destroy(new Error(`${method} ${path}: no answer`)))
      sent.on('error', reject)
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }

  /** `kubectl apply --server-side`. Newer servers also refuse fields they do not know. */
  async apply(object: KubeObject): Promise<Record<string, unknown>> {
    const path = `${pathOf(object)}?fieldManager=test&force=true&fieldValidation=Strict`
    const { status, body } = await this.ask('PATCH', path, object, 'application/apply-patch+yaml')
    if (status !== 200 && status !== 201)
      throw new Error(`${object.kind} ${object.metadata.name}: ${status} ${String(body.message)}`)
    return body
  }
}

export const pathOf = (object: KubeObject): string => `${collectionOf(object)}/${object.metadata.name}`

export function collectionOf({ apiVersion, kind, metadata }: KubeObject): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  const space = metadata.namespace ? `/namespaces/${metadata.namespace}` : ''
  return `${root}${space}/${plurals[kind] ?? `${kind.toLowerCase()}s`}`
}

function parsed(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return { message: text }
  }
}
