import { Skeleton } from './states.tsx'

/** Rows on their way. */
export function TableSkeleton({ columns }: { columns: number }) {
  return ['a', 'b', 'c'].map(key => (
    <tr key={key}>
      <td colSpan={columns}>
        <Skeleton height="20px" />
      </td>
    </tr>
  ))
}
