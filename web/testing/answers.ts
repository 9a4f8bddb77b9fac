/** What the puppet API reads and answers with. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { PNG } from 'pngjs'
import { pngBytes } from './rfb-double.ts'

export type Body = Record<string, unknown>

export async function readBytes(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

export async function readBody(request: IncomingMessage): Promise<Body> {
  const text = (await readBytes(request)).toString()
  return text ? (JSON.parse(text) as Body) : {}
}

export function list<T>(data: T[]) {
  return { object: 'list', data, has_more: false, next_cursor: null }
}

/** `limit` and `cursor` as the API takes them. */
export function pageOf<T>(all: readonly T[], { searchParams }: URL) {
  const from = Number(searchParams.get('cursor') || 0)
  const limit = Number(searchParams.get('limit') || 20)
  const more = all.length > from + limit
  return {
    object: 'list',
    data: all.slice(from, from + limit),
    has_more: more,
    next_cursor: more ? String(from + limit) : null,
  }
}

export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

export function empty(response: ServerResponse): void {
  response.writeHead(204).end()
}

export function image(response: ServerResponse, picture: PNG): void {
  response.writeHead(200, { 'content-type': 'image/png' }).end(pngBytes(picture))
}

export function problem(response: ServerResponse, status: number, code: string, more: object = {}): void {
  const body = { type: 'about:blank', title: code, status, code, request_id: 'req_0test', ...more }
  response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(body))
}
