#!/usr/bin/env bash
# Builds the images of docker/ with whatever is here: docker, podman or buildah.
#
#   docker/build.sh                               all images, as localhost/porthole/<name>:dev
#   docker/build.sh --name registry.example/team/porthole --tag 1.0 --push
#   docker/build.sh --only browser                one of them, and those it is made from
#   docker/build.sh --save /tmp/images            each as an archive besides
#
#   --tool docker|podman|buildah   default: the first of them that runs
#   --name PREFIX                  default localhost/porthole (no registry's name): PREFIX/api, PREFIX/agent, …
#   --tag TAG                      default dev
#   --base IMAGE                   default debian:12-slim; any Debian 12
#   --snapshot 20261101T000000Z    Debian's packages of that moment, for a build that can be repeated; default: today's
#   --mirror URL                   of Debian, default http://deb.debian.org
#   --ca FILE                      certificate of a proxy that opens TLS, used only while building
#   --network host                 build steps on the host's network
#   --only NAME  --push  --save FOLDER  --print (only shows the commands)
set -euo pipefail

all=(api agent display browser desktop builder)
tool='' name=localhost/porthole tag=dev base=debian:12-slim snapshot='' mirror='' ca='' network='' only='' push=false save='' print=false

fail() { printf '%s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "$0"; }

while (($#)); do
  case $1 in
    --push) push=true ;;
    --print) print=true ;;
    -h | --help) usage; exit 0 ;;
    --tool | --name | --tag | --base | --snapshot | --mirror | --ca | --network | --only | --save)
      (($# > 1)) || fail "$1 needs a value"
      declare "${1#--}=$2"; shift ;;
    *) fail "$1 is not an option; --help shows them" ;;
  esac
  shift
done

[[ -z $only || " ${all[*]} " == *" $only "* ]] || fail "there is no image $only: ${all[*]}"
[[ -z $snapshot || $snapshot =~ ^[0-9]{8}T[0-9]{6}Z$ ]] || fail "--snapshot looks like 20261101T000000Z"
[[ -z $ca || -r $ca ]] || fail "--ca: $ca cannot be read"
if [[ -z $tool ]]; then
  for tool in docker podman buildah none; do
    if command -v "$tool" >/dev/null && "$tool" version >/dev/null 2>&1; then break; fi
  done
fi
[[ $tool =~ ^(docker|podman|buildah)$ ]] || fail 'neither docker, podman nor buildah runs here'

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$root/package.json")
revision=$(git -C "$root" rev-parse HEAD 2>/dev/null || true)

run() {
  if $print; then printf '%q ' "$@"; printf '\n'; else "$@"; fi
}

build() {
  local image=$1 line=("$tool" build)
  # Only docker's own format has HEALTHCHECK.
  [[ $tool == docker ]] || line+=(--format docker)
  # The bind mounts and the secret of the Dockerfiles need it; newer dockers have no other.
  [[ $tool != docker ]] || line=(env DOCKER_BUILDKIT=1 "${line[@]}")
  line+=(--file "$root/docker/$image/Dockerfile" --tag "$name/$image:$tag")
  line+=(--build-arg "SNAPSHOT=$snapshot" --build-arg "MIRROR=$mirror")
  case $image in
    browser) line+=(--build-arg "DISPLAY_IMAGE=$name/display:$tag") ;;
    desktop) line+=(--build-arg "BROWSER_IMAGE=$name/browser:$tag") ;;
    *) line+=(--build-arg "BASE=$base") ;;
  esac
  line+=(--label "org.opencontainers.image.title=porthole-$image" --label "org.opencontainers.image.version=$version")
  line+=(--label org.opencontainers.image.licenses=MIT)
  [[ -z $revision ]] || line+=(--label "org.opencontainers.image.revision=$revision")
  [[ -z $ca ]] || line+=(--secret "id=ca,src=$ca")
  [[ -z $network ]] || line+=(--network "$network")
  run "${line[@]}" "$root"
}

keep() {
  local image=$1 archive=$save/porthole-$1.tar
  case $tool in
    docker) run docker save --output "$archive" "$name/$image:$tag" ;;
    podman) run podman save --format docker-archive --output "$archive" "$name/$image:$tag" ;;
    buildah) run buildah push "$name/$image:$tag" "docker-archive:$archive:$name/$image:$tag" ;;
  esac
}

wanted=("${all[@]}")
case $only in
  '') ;;
  browser) wanted=(display browser) ;;
  desktop) wanted=(display browser desktop) ;;
  *) wanted=("$only") ;;
esac
[[ -z $save ]] || run mkdir -p "$save"
for image in "${wanted[@]}"; do
  build "$image"
  [[ -z $save ]] || { $print || rm -f "$save/porthole-$image.tar"; keep "$image"; }
  ! $push || run "$tool" push "$name/$image:$tag"
done
