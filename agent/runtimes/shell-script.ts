/** Lines of /bin/sh that shells are made and ended with, wherever there is no program of ours to do it. */

/** Takes over the environment of the first process that carries `mark`, which is what people know as the environment there. */
export const adoptEnvironment = (mark: string) => String.raw`
for environ in $(grep -ls ${mark} /proc/[0-9]*/environ); do
  {
    eval "$(tr '\0' '\n' <"$environ" | grep '^[A-Za-z_][A-Za-z0-9_]*=' | sed "s/'/'\\\\''/g; s/=\(.*\)$/='\1'/; s/^/export /")"
    break
  } 2>/dev/null
done`

/** Sets `shell` to the path of the one that was asked for (`${name}`, a shell word), or of the best there is; ends with 126 where there is none. */
export const chooseShell = (name: string) => `
shell=
find_shell() {
  found=$(command -v "$1") || return 1
  # A busybox knows its own by name alone.
  case $found in /*) ;; *) found=/bin/$1 ;; esac
  [ -x "$found" ] && shell=$found
}
if [ -n ${name} ]; then find_shell ${name}; else find_shell bash || find_shell sh; fi
[ -n "$shell" ] || exit 126`

/** `$1`: what everything started in a terminal carries as PORTHOLE_TERMINAL. Hangs up, then kills, until nothing carries it. */
export const endTerminalProcesses = `
for signal in HUP KILL KILL KILL KILL KILL KILL KILL; do
  left=$(grep -ls "PORTHOLE_TERMINAL=$1" /proc/[0-9]*/environ | sed 's,/proc/,,; s,/environ,,')
  [ -z "$left" ] && exit 0
  for pid in $left; do
    kill -$signal "$pid"
    kill -CONT "$pid"
  done 2>/dev/null
  sleep 0.2 2>/dev/null || sleep 1
done`
