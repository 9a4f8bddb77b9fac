/** A list as a table: the same while it comes, when it failed and when there is nothing. Rows are the caller's, with a cell for actions last. */
import type { ReactNode } from 'react'
import type { Pages } from '../api/use-pages.ts'
import { LoadMore } from './load-more.tsx'
import { FailedState } from './states.tsx'
import { TableSkeleton } from './table-skeleton.tsx'

interface ListTableProps {
  pages: Omit<Pages<unknown>, 'change'>
  /** Heads of the columns before the actions. */
  columns: readonly string[]
  /** Instead of a table without rows. */
  empty: ReactNode
  /** A class of the table's own. */
  look?: string
  children: ReactNode
}

export function ListTable({ pages, columns, empty, look, children }: ListTableProps) {
  const nothing = pages.items.length === 0
  if (pages.phase === 'failed' && pages.error && nothing) return <FailedState error={pages.error} onRetry={pages.reload} />
  if (pages.phase === 'ready' && nothing) return empty
  return (
    <>
      <div className="table-frame">
        <table className={look ? `table ${look}` : 'table'} aria-busy={pages.phase === 'loading'}>
          <thead>
            <tr>
              {columns.map(name => (
                <th key={name} scope="col">
                  {name}
                </th>
              ))}
              <th scope="col">
                <span className="unseen">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {pages.phase === 'loading' && nothing && <TableSkeleton columns={columns.length + 1} />}
            {children}
          </tbody>
        </table>
      </div>
      <LoadMore pages={pages} />
    </>
  )
}
