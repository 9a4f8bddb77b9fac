/** The facts: what it runs on, what it may use, where it lives. */
import type { ReactNode } from 'react'
import type { Session } from '../../api/contract.ts'
import { safeLine } from '../../format/safe-text.ts'
import { duration } from '../../format/time.ts'
import { Ago } from '../../parts/moments.tsx'
import { Notice } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'

export function DetailsTab({ session, clusterName }: { session: Session; clusterName: string }) {
  const { pod } = session
  return (
    <div className="details">
      {session.notes.map(note => (
        <Notice key={note} tone="warn">
          {safeLine(note)}
        </Notice>
      ))}
      <dl className="facts">
        <Fact name="Id">
          <span className="mono">{session.id}</span>
        </Fact>
        <Fact name="User">{session.user}</Fact>
        <Fact name="Template">{session.template}</Fact>
        {session.browser && <Fact name="Browser">{session.browser}</Fact>}
        {session.start_url && (
          <Fact name="First page">
            <span className="clamp" title={session.start_url}>
              {safeLine(session.start_url)}
            </span>
          </Fact>
        )}
        <Fact name="Cluster">{clusterName || session.cluster || 'not chosen yet'}</Fact>
        <Fact name="Made">
          <Ago at={session.created_at} />
        </Fact>
        <Fact name="Last activity">
          <Ago at={session.last_activity_at} />
        </Fact>
        <Fact name="Generation">{session.generation}</Fact>
        {session.display && (
          <Fact name="Screen">
            {session.display.width} × {session.display.height}
          </Fact>
        )}
        <Fact name="Life">{session.ttl_seconds ? duration(session.ttl_seconds * 1000) : 'no end set'}</Fact>
        <Fact name="Idle limit">{session.idle_timeout_seconds ? duration(session.idle_timeout_seconds * 1000) : 'none'}</Fact>
        {Object.entries(session.resources).map(([name, amount]) => (
          <Fact key={name} name={`Limit: ${name}`}>
            {amount}
          </Fact>
        ))}
        <Fact name="Clipboard">{{ none: 'closed', in: 'only in', out: 'only out', both: 'in and out' }[session.clipboard]}</Fact>
        <Fact name="Network out">{session.egress.mode}</Fact>
        {session.volume && (
          <Fact name="Volume">
            <span className="mono">{session.volume}</span>
          </Fact>
        )}
      </dl>
      {Object.keys(session.labels).length > 0 && (
        <>
          <h3>Labels</h3>
          <ul className="chips">
            {Object.entries(session.labels).map(([key, value]) => (
              <li key={key} className="chip mono">
                {key}={value}
              </li>
            ))}
          </ul>
        </>
      )}
      {Object.keys(session.versions).length > 0 && (
        <>
          <h3>Versions</h3>
          <dl className="facts">
            {Object.entries(session.versions).map(([name, version]) => (
              <Fact key={name} name={safeLine(name)}>
                {safeLine(version)}
              </Fact>
            ))}
          </dl>
        </>
      )}
      {pod && (
        <>
          <h3>Pod</h3>
          <dl className="facts">
            <Fact name="Name">
              <span className="mono">{pod.name}</span>
            </Fact>
            <Fact name="Namespace">
              <span className="mono">{pod.namespace}</span>
            </Fact>
            <Fact name="Phase">{pod.phase}</Fact>
            <Fact name="Node">{pod.node ?? 'not scheduled'}</Fact>
            <Fact name="Address">
              <span className="mono">{pod.ip ?? '–'}</span>
            </Fact>
          </dl>
          <ul className="containers">
            {pod.containers.map(container => (
              <li key={container.name}>
                <strong className="mono">{container.name}</strong>
                <StatusBadge
                  word={container.ready ? 'Ready' : safeLine(container.state)}
                  tone={container.ready ? 'good' : container.reason ? 'bad' : 'wait'}
                />
                {container.restarts > 0 && <span className="faint">{container.restarts} restarts</span>}
                {container.reason && <p>{safeLine(container.reason)}</p>}
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}
