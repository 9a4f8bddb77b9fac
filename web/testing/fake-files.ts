/** Files of the puppet API's sessions: one home for all of them. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FileEntry } from '../src/api/contract.ts'
import { empty, json, problem, readBytes } from './answers.ts'
import type { FakeState } from './fake-api.ts'

export function sampleFiles(): Map<string, Buffer> {
  return new Map([
    ['.profile', Buffer.from('umask 077\n')],
    ['.config/', Buffer.alloc(0)],
    ['Downloads/', Buffer.alloc(0)],
    ['Downloads/invoice 2026-118.pdf', Buffer.alloc(48_213, 37)],
    ['Downloads/prices.csv', Buffer.from('item,price\nrope,118.00\n')],
    ['notes.txt', Buffer.from('Ask Ada about checkout timings.\n')],
  ])
}

export function fakeFiles(state: FakeState) {
  return async function files(
    request: IncomingMessage,
    id: string,
    pathname: string,
    response: ServerResponse,
  ): Promise<unknown> {
    const path = decodeURIComponent(pathname.slice(`/v1/sessions/${id}/files/`.length))
    if (request.method === 'PUT') {
      state.files.set(path, await readBytes(request))
      return empty(response)
    }
    if (request.method === 'DELETE') {
      for (const name of state.files.keys()) if (name === path || name.startsWith(`${path}/`)) state.files.delete(name)
      return empty(response)
    }
    const bytes = state.files.get(path)
    if (bytes) {
      response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-disposition': 'attachment' })
      return response.end(bytes)
    }
    if (path && !state.files.has(`${path}/`)) return problem(response, 404, 'not_found', { detail: 'There is no such file.' })
    const data = entriesOf(state.files, path ? `${path}/` : '')
    return json(response, 200, { object: 'list', data, has_more: false, next_cursor: null })
  }
}

function entriesOf(all: FakeState['files'], folder: string): FileEntry[] {
  const modified_at = new Date(Date.now() - 3_600_000).toISOString()
  return [...all].flatMap(([name, bytes]) => {
    const rest = name.startsWith(folder) ? name.slice(folder.length) : ''
    const own = rest.replace(/\/$/, '')
    if (!own || own.includes('/')) return []
    return [{ name: own, type: rest.endsWith('/') ? ('folder' as const) : ('file' as const), size: bytes.length, modified_at }]
  })
}
