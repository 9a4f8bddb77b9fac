/** Files below a session's home. Single files are plain links: the browser's own downloads stream them. */
import type { FileEntry, List } from './contract.ts'
import type { Http } from './http.ts'

/** `path`: its steps below home. */
export const fileAddress = (session: string, path: readonly string[]) =>
  `/v1/sessions/${encodeURIComponent(session)}/files/${path.map(encodeURIComponent).join('/')}`

export function fileCalls({ json, maybe, send }: Http) {
  return {
    folder: async (session: string, path: readonly string[], signal: AbortSignal): Promise<FileEntry[]> =>
      (await json<List<FileEntry>>(fileAddress(session, path), { signal })).data,
    async writeFile(session: string, path: readonly string[], file: Blob, signal: AbortSignal): Promise<void> {
      const headers = { 'content-type': 'application/octet-stream' }
      await send(fileAddress(session, path), { method: 'PUT', raw: file, headers, signal })
    },
    deleteFile: (session: string, path: readonly string[]) => maybe(fileAddress(session, path), { method: 'DELETE' }),
  }
}
