/** Projects with what they use of what they may. An admin sees and changes all of them, everybody else looks at the own one. */
import '../../styles/projects.css'
import { useState } from 'react'
import type { Me, Project } from '../../api/contract.ts'
import { usePages } from '../../api/use-pages.ts'
import { allows, useApp } from '../../app-context.tsx'
import { count } from '../../format/quantity.ts'
import { safeLine } from '../../format/safe-text.ts'
import { shortDate } from '../../format/time.ts'
import { Button } from '../../parts/button.tsx'
import { LoadMore } from '../../parts/load-more.tsx'
import { Menu } from '../../parts/menu.tsx'
import { Meter } from '../../parts/meter.tsx'
import { FailedState } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { Link } from '../../router.tsx'
import { PageHead } from '../../shell/shell.tsx'
import { DeleteProjectDialog } from './delete-project-dialog.tsx'
import { ProjectDialog } from './project-dialog.tsx'
import { useLines } from './quota-words.ts'

type Asking = { what: 'new' } | { what: 'change' | 'delete'; project: Project }

export function ProjectsPage({ me }: { me: Me }) {
  const { api, toasts } = useApp()
  const admin = allows(me, 'admin')
  const projects = usePages('projects', (cursor, signal) => api.projects(cursor, signal))
  const [asking, setAsking] = useState<Asking | null>(null)

  async function suspend(project: Project, suspended: boolean) {
    try {
      const answer = await api.changeProject(project.id, { suspended })
      projects.change(items => items.map(one => (one.id === answer.id ? answer : one)))
      toasts.say(
        suspended
          ? `${safeLine(project.name)} is suspended: none of its tokens works, and its streams end within seconds.`
          : `${safeLine(project.name)} works again.`,
      )
    } catch (error) {
      toasts.failed(`${safeLine(project.name)} is unchanged`, error)
    }
  }

  return (
    <>
      <PageHead
        title={admin ? 'Projects' : 'Usage'}
        summary={
          admin
            ? `${count(projects.items.length, 'project')}${projects.more ? ' and more' : ''}`
            : 'What your project uses of what it may.'
        }
      >
        {admin && (
          <Button kind="primary" icon="plus" onClick={() => setAsking({ what: 'new' })}>
            New project
          </Button>
        )}
      </PageHead>
      {projects.phase === 'failed' && projects.error ? (
        <FailedState error={projects.error} onRetry={projects.reload} />
      ) : (
        <ul className="projects" aria-busy={projects.phase === 'loading'}>
          {projects.phase === 'loading' && projects.items.length === 0 && <li className="project skeleton project-skeleton" />}
          {projects.items.map(project => (
            <ProjectCard
              key={project.id}
              project={project}
              own={project.id === me.project.id}
              admin={admin}
              onAsk={what => setAsking({ what, project })}
              onSuspend={suspended => void suspend(project, suspended)}
            />
          ))}
        </ul>
      )}
      <LoadMore pages={projects} />
      {(asking?.what === 'new' || asking?.what === 'change') && (
        <ProjectDialog
          project={asking.what === 'change' ? asking.project : null}
          onClose={() => setAsking(null)}
          onSaved={saved => {
            projects.change(items =>
              items.some(one => one.id === saved.id) ? items.map(one => (one.id === saved.id ? saved : one)) : [saved, ...items],
            )
            setAsking(null)
          }}
        />
      )}
      {asking?.what === 'delete' && (
        <DeleteProjectDialog
          project={asking.project}
          onClose={() => setAsking(null)}
          onDeleted={() => {
            projects.change(items => items.filter(one => one.id !== asking.project.id))
            setAsking(null)
          }}
        />
      )}
    </>
  )
}

interface ProjectCardProps {
  project: Project
  own: boolean
  admin: boolean
  onAsk: (what: 'change' | 'delete') => void
  onSuspend: (suspended: boolean) => void
}

function ProjectCard({ project, own, admin, onAsk, onSuspend }: ProjectCardProps) {
  const { quotas, usage } = project
  const suspended = project.suspended_at !== null
  const name = safeLine(project.name)
  return (
    <li className="project" data-suspended={suspended || undefined}>
      <header className="project-head">
        <div>
          <h2>{name}</h2>
          <p className="faint mono">{project.id}</p>
        </div>
        {suspended ? <StatusBadge word="Suspended" tone="bad" /> : own && <StatusBadge word="Yours" tone="quiet" />}
        {admin && (
          <Menu
            label={`Actions for ${name}`}
            items={[
              { label: 'Name and quotas', icon: 'quality', onPick: () => onAsk('change') },
              ...(own
                ? []
                : [
                    suspended
                      ? { label: 'Lift the suspension', icon: 'start' as const, onPick: () => onSuspend(false) }
                      : { label: 'Suspend', icon: 'pause' as const, onPick: () => onSuspend(true) },
                    { label: 'Delete', icon: 'end' as const, danger: true, onPick: () => onAsk('delete') },
                  ]),
            ]}
          />
        )}
      </header>
      <div className="meters">
        {useLines(quotas, usage).map(line => (
          <Meter key={line.name} name={line.name} used={line.used} limit={line.limit} show={line.show} endless />
        ))}
      </div>
      <footer className="project-foot">
        <span>
          {quotas.requests_per_minute === null ? 'No rate limit of its own' : `${quotas.requests_per_minute} requests a minute`}
        </span>
        <span>Since {shortDate(project.created_at)}</span>
        {admin && <Link to={`/audit?project=${encodeURIComponent(project.id)}`}>Audit</Link>}
      </footer>
    </li>
  )
}
