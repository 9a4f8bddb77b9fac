/** Files that outlive sessions: made, taken out, put back, removed. */
import { useRef, useState } from 'react'
import { messageOf } from '../../api/api-error.ts'
import type { Cluster, Me, Volume } from '../../api/contract.ts'
import { usePages } from '../../api/use-pages.ts'
import { allows, useApp } from '../../app-context.tsx'
import { count } from '../../format/quantity.ts'
import { safeLine } from '../../format/safe-text.ts'
import { useStore } from '../../live/observable.ts'
import { Button } from '../../parts/button.tsx'
import { ConfirmDialog } from '../../parts/dialog.tsx'
import { ListTable } from '../../parts/list-table.tsx'
import { Menu } from '../../parts/menu.tsx'
import { Ago } from '../../parts/moments.tsx'
import { EmptyState } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { Link } from '../../router.tsx'
import { PageHead } from '../../shell/shell.tsx'
import { useClusters } from '../sessions/catalogue.ts'
import { ArchiveDialog } from './archive-dialog.tsx'
import { NewVolumeDialog } from './new-volume-dialog.tsx'

type Asking =
  | { what: 'new' }
  | { what: 'download' | 'delete'; volume: Volume }
  | { what: 'upload'; volume: Volume; file: File | null }

export function VolumesPage({ me }: { me: Me }) {
  const { api, live, toasts } = useApp()
  const mayWrite = allows(me, 'sessions:write')
  const clusters = useClusters(allows(me, 'clusters:read'))
  // A volume is taken and freed by sessions: what is told of those is when to look again.
  const told = useStore(
    live.sessions,
    state =>
      Object.values(state.entries)
        .map(one => one.value?.volume ?? '')
        .join(' ') + living(state),
  )
  const volumes = usePages(`volumes ${told}`, (cursor, signal) => api.volumes(cursor, signal))
  const shown = useKept(volumes.items, volumes.phase)
  const [asking, setAsking] = useState<Asking | null>(null)

  async function remove(volume: Volume) {
    try {
      await api.deleteVolume(volume.id)
      volumes.change(items => items.filter(one => one.id !== volume.id))
      toasts.say(`${safeLine(volume.name)} and its files were removed.`)
    } catch (error) {
      toasts.say(`${safeLine(volume.name)} was not removed: ${messageOf(error)}`, { tone: 'bad' })
    }
  }

  const create = mayWrite && (
    <Button kind="primary" icon="plus" onClick={() => setAsking({ what: 'new' })}>
      New volume
    </Button>
  )
  return (
    <>
      <PageHead title="Volumes" summary={shown.length > 0 ? count(shown.length, 'volume') : 'Files that outlive sessions.'}>
        {create}
      </PageHead>
      <ListTable
        pages={{ ...volumes, items: shown }}
        columns={['Name', 'Used by', 'Size', 'Cluster', 'Last used']}
        empty={
          <EmptyState title="No volume yet" action={create}>
            A session with a volume finds its home as the last one left it: sign-ins, settings, downloads.
          </EmptyState>
        }
      >
        {shown.map(volume => (
          <Row
            key={volume.id}
            volume={volume}
            cluster={clusters.value.find(one => one.id === volume.cluster)}
            mayWrite={mayWrite}
            onAsk={what => setAsking(what === 'upload' ? { what, volume, file: null } : { what, volume })}
          />
        ))}
      </ListTable>
      {asking?.what === 'new' && (
        <NewVolumeDialog
          clusters={clusters.value}
          onClose={() => setAsking(null)}
          onMade={() => {
            setAsking(null)
            volumes.reload()
          }}
        />
      )}
      {(asking?.what === 'download' || asking?.what === 'upload') && (
        <ArchiveDialog volume={asking.volume} way={asking.what} onClose={() => setAsking(null)} />
      )}
      {asking?.what === 'delete' && (
        <ConfirmDialog
          title={`Remove ${safeLine(asking.volume.name)}?`}
          verb="Remove for good"
          onClose={() => setAsking(null)}
          onConfirm={() => remove(asking.volume)}
        >
          <p>Its files are deleted in the cluster. To keep them, download the archive first.</p>
        </ConfirmDialog>
      )}
    </>
  )
}

interface RowProps {
  volume: Volume
  cluster: Cluster | undefined
  mayWrite: boolean
  onAsk: (what: 'download' | 'upload' | 'delete') => void
}

function Row({ volume, cluster, mayWrite, onAsk }: RowProps) {
  const name = safeLine(volume.name)
  const free = volume.session === null
  return (
    <tr>
      <td>
        <strong className="table-name">{name}</strong>
        <span className="faint">
          {safeLine(volume.user)} · <span className="mono">{volume.id}</span>
        </span>
      </td>
      <td data-label="Used by">
        {volume.session ? (
          <Link to={`/sessions/${encodeURIComponent(volume.session)}`} className="mono">
            {volume.session}
          </Link>
        ) : (
          <StatusBadge word="Free" tone="good" />
        )}
      </td>
      <td data-label="Size">{volume.size ?? 'as it grows'}</td>
      <td data-label="Cluster">{cluster?.name ?? volume.cluster ?? 'where it is first used'}</td>
      <td data-label="Last used">
        <Ago at={volume.last_used_at} />
      </td>
      <td className="table-actions">
        <Menu
          label={`Actions for ${name}`}
          items={[
            { label: 'Download its files', icon: 'download', onPick: () => onAsk('download') },
            ...(mayWrite && free
              ? [
                  { label: 'Replace its files', icon: 'upload' as const, onPick: () => onAsk('upload') },
                  { label: 'Remove', icon: 'end' as const, danger: true, onPick: () => onAsk('delete') },
                ]
              : []),
          ]}
        />
      </td>
    </tr>
  )
}

/** While looking again, what was there stays. */
function useKept(items: readonly Volume[], phase: string): readonly Volume[] {
  const last = useRef(items)
  if (phase === 'ready') last.current = items
  return phase === 'loading' ? last.current : items
}

function living(state: {
  entries: Readonly<Record<string, { value: { volume: string | null; status: string } | null }>>
}): string {
  return Object.values(state.entries)
    .filter(one => one.value?.volume)
    .map(one => one.value?.status)
    .join(' ')
}
