/** What is left of sessions on this machine: processes that see a data folder (as mount or as argument), and runtime folders. */
import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, vi } from 'vitest'

export interface LeftProcess {
  pid: number
  command: string
}

/** Those that carry the folder in their arguments or mounts, and all below them (a page's process is shut in too deep to tell). */
export function processesOf(folder: string): LeftProcess[] {
  const all = readdirSync('/proc')
    .filter(name => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(name => ({
      pid: Number(name),
      parent: Number(statusField(Number(name), 'PPid')),
      command: textOf(`/proc/${name}/cmdline`).replaceAll('\0', ' '),
      mounts: textOf(`/proc/${name}/mountinfo`),
    }))
  const ours = new Set(all.filter(each => each.command.includes(folder) || each.mounts.includes(folder)).map(each => each.pid))
  for (let before = -1; before !== ours.size; ) {
    before = ours.size
    for (const each of all) if (ours.has(each.parent)) ours.add(each.pid)
  }
  return all.filter(each => ours.has(each.pid)).map(({ pid, command }) => ({ pid, command: command.slice(0, 200) }))
}

/** Waits until none is left: a process that is just ending still has its number for a moment. */
export function expectNoneLeft(folder: string, of = /(?:)/): Promise<void> {
  const left = () => processesOf(folder).filter(({ command }) => of.test(command))
  return vi.waitFor(() => expect(left()).toEqual([]), { timeout: 30_000, interval: 20 })
}

/** Folders for sockets that an agent of this pid made: others' come and go meanwhile. */
export function runtimeFoldersOf(pid: number): string[] {
  return readdirSync(tmpdir()).filter(
    name => name.startsWith('porthole-') && textOf(join(tmpdir(), name, 'owner.json')).includes(`"pid":${pid},`),
  )
}

/** `Seccomp:` of /proc: 2 is a filter, which Chromium gives to pages only with its own sandbox on. */
export function statusField(pid: number, field: string): string {
  return new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(textOf(`/proc/${pid}/status`))?.[1] ?? ''
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
