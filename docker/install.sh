#!/bin/sh
# apt-get install, for a layer of an image: `install.sh package…`. Mounted while building, so it is in no image.
# SNAPSHOT (20261101T000000Z): packages as they were then, for a build that can be repeated; empty: today's, with today's security fixes.
# MIRROR: another Debian mirror than the base image's.
set -eu
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
debian=${MIRROR:-http://deb.debian.org}/debian
security=${MIRROR:-http://deb.debian.org}/debian-security
options='signed-by=/usr/share/keyrings/debian-archive-keyring.gpg'
if [ -n "${SNAPSHOT:-}" ]; then
  debian=http://snapshot.debian.org/archive/debian/$SNAPSHOT
  security=http://snapshot.debian.org/archive/debian-security/$SNAPSHOT
  options="$options check-valid-until=no"
fi
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
cat >/etc/apt/sources.list <<EOF
deb [$options] $debian $release main
deb [$options] $debian $release-updates main
deb [$options] $security $release-security main
EOF
# Nobody reads manuals in there, and they would be a third of some layers.
cat >/etc/dpkg/dpkg.cfg.d/porthole <<EOF
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/lintian/*
path-exclude=/usr/share/locale/*
EOF
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install -y --no-install-recommends "$@"
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log /var/log/alternatives.log /tmp/*
# One of its own for each machine; an image must not hand out the same to all.
rm -f /etc/machine-id /var/lib/dbus/machine-id
