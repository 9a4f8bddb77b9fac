/**
 * What sessions keep on disk: `sessions/<id>/` (home and log, between generations) and `volumes/<id>/` (homes that outlive sessions). Where each
 * session has a user of its own, that is the owner of its home: it stays the same over generations and agents, and files never change hands.
 */
import { chmod, chown, lstat, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

export interface SessionHome {
  home: string
  uid: number
}

const safeId = /^[a-z]{2,8}_[0-9a-z]{1,64}$/
/** A volume being filled from an archive. */
const halfVolume = '.new-'
const firstUid = 1_900_000_000
const uidCount = 200_000_000
/** Containers often map no more than these. */
const lowFirstUid = 20_000
const lowUidCount = 40_000

export class SessionFolders {
  private readonly root: string
  private readonly range: { first: number; count: number } | null
  private readonly used = new Set<number>()
  private readonly volumesInUse = new Map<string, string>()

  private constructor(root: string, range: { first: number; count: number } | null) {
    this.root = root
    this.range = range
  }

  /** `ownUsers`: give each home a user of its own (needs root). `traversable`: those users reach their homes by path. */
  static async open(dataDir: string, ownUsers: boolean, traversable: boolean): Promise<SessionFolders> {
    const folders = new SessionFolders(dataDir, ownUsers ? await uidRange() : null)
    for (const name of ['sessions', 'volumes', 'jobs']) {
      const folder = join(dataDir, name)
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await chmod(folder, traversable ? 0o711 : 0o700)
      for (const id of await readdir(folder)) {
        if (id.startsWith(halfVolume)) await removeAll(join(folder, id))
        const home = name === 'volumes' ? join(folder, id) : join(folder, id, 'home')
        const facts = await lstat(home).catch(() => null)
        if (facts) folders.used.add(facts.uid)
      }
    }
    return folders
  }

  sessionFolder(session: string): string {
    if (!safeId.test(session)) throw new Error(`"${session}" is no session id`)
    return join(this.root, 'sessions', session)
  }

  /** The session's home, made when it is not there; a volume has one writer at a time. */
  async take(session: string, instance: string, volume: string | undefined): Promise<SessionHome> {
    const folder = this.sessionFolder(session)
    await mkdir(folder, { recursive: true, mode: this.range ? 0o711 : 0o700 })
    if (volume === undefined) return await this.owned(join(folder, 'home'))
    const path = this.claim(volume, instance)
    try {
      return await this.owned(path)
    } catch (cause) {
      this.volumesInUse.delete(volume)
      throw cause
    }
  }

  /** Work on a volume that nobody else may touch meanwhile; null: there is no such volume. */
  async withVolume<T>(volume: string, purpose: string, work: (home: SessionHome | null) => Promise<T>): Promise<T> {
    const path = this.claim(volume, purpose)
    try {
      const there = await lstat(path).catch(() => null)
      return await work(there && (await this.owned(path)))
    } finally {
      this.volumesInUse.delete(volume)
    }
  }

  removeVolume(volume: string): Promise<void> {
    return this.withVolume(volume, 'its removal', async home => {
      if (!home) return
      await removeAll(home.home)
      if (this.inRange(home.uid)) this.used.delete(home.uid)
    })
  }

  /** The volume's files are what `fill` puts into an empty folder, or stay what they were when it fails. */
  replaceVolume(volume: string, fill: (home: SessionHome) => Promise<void>): Promise<void> {
    return this.withVolume(volume, 'an upload', async old => {
      const half = await this.owned(join(this.root, 'volumes', `${halfVolume}${volume}`))
      try {
        await fill(half)
        if (old) await removeAll(old.home)
        await rename(half.home, join(this.root, 'volumes', volume))
      } catch (cause) {
        await removeAll(half.home)
        throw cause
      }
    })
  }

  private claim(volume: string, purpose: string): string {
    if (!safeId.test(volume)) throw new Error(`"${volume}" is no volume id`)
    const holder = this.volumesInUse.get(volume)
    if (holder && holder !== purpose)
      throw new Error(`volume ${volume} is in use by ${holder}: one session writes to it at a time`)
    this.volumesInUse.set(volume, purpose)
    return join(this.root, 'volumes', volume)
  }

  release(instance: string, volume: string | undefined): void {
    if (volume !== undefined && this.volumesInUse.get(volume) === instance) this.volumesInUse.delete(volume)
  }

  forget(session: string): Promise<void> {
    const folder = this.sessionFolder(session)
    return this.removeWithHome(folder, join(folder, 'home'))
  }

  get jobs(): string {
    return join(this.root, 'jobs')
  }

  /** A home elsewhere, of a user of its own. */
  takeAt(home: string): Promise<SessionHome> {
    return this.owned(home)
  }

  /** Removes a folder with such a home in it. */
  async removeWithHome(folder: string, home: string): Promise<void> {
    const owner = await lstat(home).catch(() => null)
    await removeAll(folder)
    if (owner && this.inRange(owner.uid)) this.used.delete(owner.uid)
  }

  private async owned(home: string): Promise<SessionHome> {
    const known = await lstat(home).catch(() => null)
    if (known && !known.isDirectory()) throw new Error(`${home} is not a folder`)
    if (!this.range) {
      await mkdir(home, { recursive: true, mode: 0o700 })
      return { home, uid: process.getuid!() }
    }
    if (known && this.inRange(known.uid)) return { home, uid: known.uid }
    if (known) throw new Error(`${home} belongs to user ${known.uid}, not to a session: was it copied?`)
    const uid = this.freeUid()
    try {
      await mkdir(home, { mode: 0o700 })
      await chown(home, uid, uid)
    } catch (cause) {
      this.used.delete(uid)
      throw cause
    }
    return { home, uid }
  }

  private inRange(uid: number): boolean {
    return this.range !== null && uid >= this.range.first && uid < this.range.first + this.range.count
  }

  private freeUid(): number {
    const { first, count } = this.range!
    // A random place: two agents of one machine seldom meet, and where they do their sessions still do not see each other.
    const start = Math.floor(Math.random() * count)
    for (let step = 0; step < count; step++) {
      const uid = first + ((start + step) % count)
      if (this.used.has(uid)) continue
      this.used.add(uid)
      return uid
    }
    throw new Error('every user number for sessions is taken')
  }
}

async function uidRange(): Promise<{ first: number; count: number }> {
  const map = await readFile('/proc/self/uid_map', 'utf8').catch(() => '')
  const mapped = map.split('\n').some(line => {
    const [inside, , length] = line.trim().split(/\s+/).map(Number)
    return inside! <= firstUid && inside! + length! >= firstUid + uidCount
  })
  return mapped ? { first: firstUid, count: uidCount } : { first: lowFirstUid, count: lowUidCount }
}

/** A session may have left folders that not even their owner can enter. */
async function removeAll(folder: string): Promise<void> {
  try {
    await rm(folder, { recursive: true, force: true })
  } catch {
    await openUp(folder)
    await rm(folder, { recursive: true, force: true })
  }
}

async function openUp(folder: string): Promise<void> {
  await chmod(folder, 0o700).catch(() => {})
  for (const entry of await readdir(folder, { withFileTypes: true }))
    if (entry.isDirectory()) await openUp(join(folder, entry.name))
}
