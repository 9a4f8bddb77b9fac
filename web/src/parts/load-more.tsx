import type { Pages } from '../api/use-pages.ts'
import { Button } from './button.tsx'

export function LoadMore({ pages }: { pages: Pick<Pages<unknown>, 'more' | 'busy' | 'loadMore'> }) {
  if (!pages.more) return null
  return (
    <div className="load-more">
      <Button busy={pages.busy} onClick={pages.loadMore}>
        Load more
      </Button>
    </div>
  )
}
