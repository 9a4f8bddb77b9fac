/**
 * Small things that must outlive a process: the identity's key, the agent's memory. A port, because a cluster may keep them in a Secret
 * where a machine keeps them in files of mode 0600. Writes are atomic: a crash leaves the old text or the new, never half.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

export interface TextStore {
  /** null: nothing kept yet. */
  load(): Promise<string | null>
  save(text: string): Promise<void>
}

export function fileStore(path: string): TextStore {
  return {
    async load() {
      try {
        return await readFile(path, 'utf8')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
        throw error
      }
    },
    async save(text) {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      const draft = `${path}.${randomBytes(4).toString('hex')}`
      try {
        const file = await open(draft, 'wx', 0o600)
        try {
          await file.writeFile(text)
          await file.sync()
        } finally {
          await file.close()
        }
        await rename(draft, path)
      } catch (error) {
        await rm(draft, { force: true })
        throw error
      }
    },
  }
}
