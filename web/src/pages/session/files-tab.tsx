/** Files of a session's home: looked through, taken out, put in by choosing or dropping them, removed. */
import '../../styles/files.css'
import { type DragEvent, useEffect, useRef, useState } from 'react'
import { messageOf } from '../../api/api-error.ts'
import type { FileEntry, Session } from '../../api/contract.ts'
import { fileAddress } from '../../api/files.ts'
import { useApp } from '../../app-context.tsx'
import { bytes, count } from '../../format/quantity.ts'
import { safeLine } from '../../format/safe-text.ts'
import { Button, IconButton } from '../../parts/button.tsx'
import { ConfirmDialog } from '../../parts/dialog.tsx'
import { Icon } from '../../parts/icons.tsx'
import { Ago } from '../../parts/moments.tsx'
import { Notice, Skeleton } from '../../parts/states.tsx'
import { useAsked } from '../sessions/catalogue.ts'
import { hiddenCount, nameOf, shownFiles } from './file-list.ts'

export function FilesTab({ session, mayWrite }: { session: Session; mayWrite: boolean }) {
  if (session.status !== 'running') return <p className="field-note">Its files can be reached while it runs.</p>
  return <Folder key={`${session.id} ${session.generation}`} session={session} mayWrite={mayWrite} />
}

interface Listing {
  /** Which folder; why it could not be read, if so. */
  of: string
  entries: readonly FileEntry[]
  fault: string
}

function Folder({ session, mayWrite }: { session: Session; mayWrite: boolean }) {
  const { api, toasts } = useApp()
  const [path, setPath] = useState<readonly string[]>([])
  const [turn, setTurn] = useState(0)
  const [hidden, setHidden] = useState(false)
  const [moving, setMoving] = useState('')
  const [over, setOver] = useState(false)
  const [going, setGoing] = useState<FileEntry | null>(null)
  const chooser = useRef<HTMLInputElement>(null)
  const shown = useRef(new AbortController())
  useEffect(() => {
    const controller = new AbortController()
    shown.current = controller
    return () => controller.abort()
  }, [])
  const here = path.join('/')
  const asked = useAsked<Listing>(
    { of: '', entries: [], fault: 'not asked yet' },
    async signal => {
      const listing = { of: here, entries: [], fault: '' }
      try {
        return { ...listing, entries: await api.folder(session.id, path, signal) }
      } catch (error) {
        if (signal.aborted) throw error
        return { ...listing, fault: messageOf(error) }
      }
    },
    `${here} ${turn}`,
  )
  // What was found in the folder before is not what is in this one.
  const { entries: all, fault } = asked.value
  const ready = asked.phase === 'ready' && asked.value.of === here
  const entries = ready ? shownFiles(all, hidden) : []
  const more = hiddenCount(all)

  async function put(files: Iterable<File>) {
    const { signal } = shown.current
    let done = 0
    for (const file of files) {
      const name = nameOf(file)
      if (name === null) continue
      setMoving(name)
      try {
        await api.writeFile(session.id, [...path, name], file, signal)
        done += 1
      } catch (error) {
        if (signal.aborted) return
        toasts.failed(`${safeLine(name)} was not put there`, error)
      }
    }
    setMoving('')
    if (done === 0) return
    toasts.say(`${count(done, 'file')} put into ${path.at(-1) ? safeLine(path.at(-1) ?? '') : 'the home folder'}.`)
    setTurn(one => one + 1)
  }

  async function remove(entry: FileEntry) {
    try {
      await api.deleteFile(session.id, [...path, entry.name])
      setTurn(one => one + 1)
    } catch (error) {
      toasts.failed(`${safeLine(entry.name)} was not removed`, error)
    }
  }

  const drop = (event: DragEvent) => {
    event.preventDefault()
    setOver(false)
    void put([...event.dataTransfer.files])
  }
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping is beside the button, which is for everybody
    <div
      className="files"
      data-over={over || undefined}
      onDragOver={mayWrite ? event => event.preventDefault() : undefined}
      onDragEnter={mayWrite ? () => setOver(true) : undefined}
      onDragLeave={event => event.currentTarget === event.target && setOver(false)}
      onDrop={mayWrite ? drop : undefined}
    >
      <div className="files-head">
        <nav className="files-path" aria-label="Folder">
          {['Home', ...path].map((step, index) => (
            <button
              key={['', ...path.slice(0, index)].join('/')}
              type="button"
              aria-current={index === path.length ? 'location' : undefined}
              onClick={() => setPath(path.slice(0, index))}
            >
              {safeLine(step)}
            </button>
          ))}
        </nav>
        <IconButton label="Look again" icon="restart" onClick={() => setTurn(one => one + 1)} />
        {mayWrite && (
          <>
            <Button size="small" icon="upload" busy={moving !== ''} onClick={() => chooser.current?.click()}>
              Put files here
            </Button>
            <input
              ref={chooser}
              className="unseen"
              type="file"
              multiple
              tabIndex={-1}
              aria-label="Files to put here"
              onChange={event => {
                void put([...(event.currentTarget.files ?? [])])
                event.currentTarget.value = ''
              }}
            />
          </>
        )}
      </div>
      <p className="files-moving" role="status">
        {moving && `Sending ${safeLine(moving)}…`}
      </p>
      {!ready ? (
        <Skeleton height="60px" />
      ) : fault ? (
        <Notice tone="warn">
          {fault}{' '}
          <button type="button" className="link-button" onClick={() => setTurn(one => one + 1)}>
            Try again
          </button>
        </Notice>
      ) : (
        <ul>
          {entries.map(entry => (
            <Line
              key={entry.name}
              entry={entry}
              address={fileAddress(session.id, [...path, entry.name])}
              onOpen={() => setPath([...path, entry.name])}
              onRemove={mayWrite ? () => setGoing(entry) : null}
            />
          ))}
        </ul>
      )}
      {ready && !fault && entries.length === 0 && (
        <p className="field-note">Nothing here{more > 0 && !hidden ? ' but hidden files' : ''}.</p>
      )}
      {ready && more > 0 && (
        <button type="button" className="link-button" onClick={() => setHidden(!hidden)}>
          {hidden ? 'Hide dotfiles' : `Show ${count(more, 'dotfile')}`}
        </button>
      )}
      {going && (
        <ConfirmDialog
          title={`Remove ${safeLine(going.name)}?`}
          verb="Remove"
          onClose={() => setGoing(null)}
          onConfirm={() => remove(going)}
        >
          <p>{going.type === 'folder' ? 'The folder and all that is in it are gone for good.' : 'It is gone for good.'}</p>
        </ConfirmDialog>
      )}
    </div>
  )
}

interface LineProps {
  entry: FileEntry
  address: string
  onOpen: () => void
  onRemove: (() => void) | null
}

function Line({ entry, address, onOpen, onRemove }: LineProps) {
  const name = safeLine(entry.name)
  return (
    <li>
      <Icon name={entry.type === 'folder' ? 'projects' : 'files'} size={16} />
      <span className="files-name">
        {entry.type === 'folder' ? (
          <button type="button" onClick={onOpen} title={name}>
            {name}
          </button>
        ) : entry.type === 'file' ? (
          <a href={address} download={entry.name} title={`Download ${name}`}>
            {name}
          </a>
        ) : (
          <span title="A link, or no plain file">{name}</span>
        )}
        <span className="faint">
          {entry.type === 'file' && `${bytes(entry.size)} · `}
          <Ago at={entry.modified_at} />
        </span>
      </span>
      {onRemove && <IconButton label={`Remove ${name}`} icon="end" tip="none" onClick={onRemove} />}
    </li>
  )
}
